/* SPDX-License-Identifier: Apache-2.0
 *
 * The header of a closed shard, for the recorder and for repair (include/tensortap/shard.h).
 *
 * safetensors readers want every byte of the data covered exactly once, so gaps are named `_pad.N`, and
 * only dtypes that they know, so others are U8 with the bytes of a block on the last axis.
 */
#include "tensortap/shard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "record/text.h"
#include "tensortap/format.h"

static int by_offset(const void *a, const void *b)
{
    const struct tt_shard_entry *left = a, *right = b;
    return (left->offset > right->offset) - (left->offset < right->offset);
}

static void put_shape(struct tt_text *out, const struct tt_shard_entry *entry)
{
    const struct tt_dtype_info *type = tt_dtype_info(entry->dtype);
    tt_text_put(out, "[");
    for (int i = 0; i < entry->rank; i++) {
        int64_t extent = entry->shape[i];
        if (!type->safetensors && i == entry->rank - 1)
            extent = extent / type->block * type->bytes;
        tt_text_format(out, "%s%lld", i ? "," : "", (long long)extent);
    }
    if (!type->safetensors && entry->rank == 0)
        tt_text_format(out, "%u", type->bytes);
    tt_text_put(out, "]");
}

static void put_range(struct tt_text *out, uint64_t begin, uint64_t end)
{
    tt_text_format(out, ",\"data_offsets\":[%llu,%llu]}", (unsigned long long)begin, (unsigned long long)end);
}

static void put_pad(struct tt_text *out, uint32_t number, uint64_t begin, uint64_t end)
{
    tt_text_format(out, ",\"_pad.%u\":{\"dtype\":\"U8\",\"shape\":[%llu]", number,
                   (unsigned long long)(end - begin));
    put_range(out, begin, end);
}

/* Logical types of the entries that are U8 only for the sake of readers. */
static void put_metadata(struct tt_text *out, uint32_t number, const struct tt_shard_entry *entries,
                         uint32_t nentries)
{
    tt_text_format(out, "{\"__metadata__\":{\"tensortap.shard\":\"%u\"", number);
    for (uint32_t i = 0; i < nentries; i++) {
        const struct tt_dtype_info *type = tt_dtype_info(entries[i].dtype);
        if (type->safetensors)
            continue;
        tt_text_put(out, ",");
        tt_text_json(out, entries[i].name);
        tt_text_format(out, ":\"%s [", type->name);
        for (int axis = 0; axis < entries[i].rank; axis++)
            tt_text_format(out, "%s%lld", axis ? "," : "", (long long)entries[i].shape[axis]);
        tt_text_put(out, "]\"");
    }
    tt_text_put(out, "}");
}

/* Header bytes without the leading length, padded to data_start. */
static void put_header(struct tt_text *out, uint32_t number, const struct tt_shard_entry *entries,
                       uint32_t nentries, uint64_t data_start, uint64_t end)
{
    uint64_t at = data_start;
    uint32_t pads = 0;
    put_metadata(out, number, entries, nentries);
    for (uint32_t i = 0; i < nentries; i++) {
        const struct tt_shard_entry *entry = &entries[i];
        const char *dtype = tt_dtype_info(entry->dtype)->safetensors;
        if (entry->offset > at)
            put_pad(out, pads++, at - data_start, entry->offset - data_start);
        tt_text_put(out, ",");
        tt_text_json(out, entry->name);
        tt_text_format(out, ":{\"dtype\":\"%s\",\"shape\":", dtype ? dtype : "U8");
        put_shape(out, entry);
        at = entry->offset + entry->nbytes;
        put_range(out, entry->offset - data_start, at - data_start);
    }
    if (end > at)
        put_pad(out, pads, at - data_start, end - data_start);
    tt_text_put(out, "}");
    while ((out->length + 8) < data_start && !out->failed) {
        static const char spaces[] = "                                                                ";
        uint64_t missing = data_start - 8 - out->length;
        tt_text_add(out, spaces, missing < sizeof spaces - 1 ? missing : sizeof spaces - 1);
    }
}

static int write_at(int fd, const char *bytes, uint64_t nbytes, uint64_t offset)
{
    while (nbytes) {
        ssize_t written = pwrite(fd, bytes, nbytes, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? -errno : -EIO;
        bytes += written;
        offset += (uint64_t)written;
        nbytes -= (uint64_t)written;
    }
    return 0;
}

/* The tail of the header first, while it still counts as data; then the first page and the cut. Only
 * between those two is the file invalid: a cut takes effect as it begins, but returns late, so a kill
 * mostly arrives on its way out. */
static int write_header(int fd, const struct tt_text *header, uint64_t data_start, uint64_t end)
{
    char page[TT_SHARD_PAGE], before[TT_SHARD_PAGE];
    uint64_t length = data_start - 8;
    if (header->failed || header->length != length)
        return -EOVERFLOW;
    memcpy(page, &length, 8);
    memcpy(page + 8, header->bytes, sizeof page - 8);
    if (pread(fd, before, sizeof before, 0) != (ssize_t)sizeof before)
        return -EIO;
    int status = write_at(fd, header->bytes + sizeof page - 8, length - (sizeof page - 8), sizeof page);
    if (status == 0)
        status = write_at(fd, page, sizeof page, 0);
    if (status == 0 && ftruncate(fd, (off_t)end) != 0) {
        status = -errno;
        write_at(fd, before, sizeof before, 0);
    }
    return status;
}

int tt_shard_seal(int fd, uint32_t number, struct tt_shard_entry *entries, uint32_t nentries,
                  uint64_t data_start, uint64_t end)
{
    struct tt_text header = {0};
    if (data_start < TT_SHARD_PAGE || data_start % TT_SHARD_ALIGN || end < data_start)
        return -EINVAL;
    if (nentries)
        qsort(entries, nentries, sizeof *entries, by_offset);
    put_header(&header, number, entries, nentries, data_start, end);
    int status = write_header(fd, &header, data_start, end);
    tt_text_free(&header);
    return status;
}
