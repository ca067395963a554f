/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: list and unpack a zip archive that lies in memory.
 * Invariants: no byte outside the file is read; members together are no larger than the file, and none claims
 * more than deflate can make of its bytes, so a small archive cannot ask for much memory.
 */
#include "model/zip.h"

#include <stdlib.h>
#include <zlib.h>

#define END_BYTES       22u /* end of central directory */
#define LOCATOR_BYTES   20u /* zip64 end locator, directly before it */
#define END64_BYTES     56u /* zip64 end of central directory */
#define ENTRY_BYTES     46u /* directory entry without name, extra field, comment */
#define LOCAL_BYTES     30u /* local header without name, extra field */
#define LARGEST_COMMENT 65535u
#define DEFLATE_RATIO   1032u /* the best that deflate can do, zlib's technical notes */

struct directory {
    uint64_t offset, count;
};

static int damaged(const struct tt_file *file, const char *what, uint64_t at, struct tt_error *error)
{
    return tt_fail(error, TT_EINPUT,
                   "%s: %s at byte %llu: the archive is damaged or truncated; write it again", file->path,
                   what, (unsigned long long)at);
}

static bool within(const struct tt_file *file, uint64_t offset, uint64_t length)
{
    return offset <= file->size && length <= file->size - offset;
}

static bool has_mark(const struct tt_file *file, uint64_t at, const char *mark, uint64_t length)
{
    return within(file, at, length) && memcmp(file->data + at, mark, 4) == 0;
}

/* The end record is the last thing but a comment of unknown length. */
static bool find_end(const struct tt_file *file, uint64_t *end)
{
    uint64_t lowest = file->size > END_BYTES + LARGEST_COMMENT ? file->size - END_BYTES - LARGEST_COMMENT : 0;

    for (uint64_t at = file->size < END_BYTES ? 0 : file->size - END_BYTES + 1; at-- > lowest;) {
        if (has_mark(file, at, "PK\5\6", END_BYTES) &&
            at + END_BYTES + tt_load_u16(file->data + at + 20) == file->size) {
            *end = at;
            return true;
        }
    }
    return false;
}

static int find_directory(const struct tt_file *file, struct directory *directory, struct tt_error *error)
{
    uint64_t end;

    if (!find_end(file, &end))
        return damaged(file, "no zip directory", file->size, error);
    directory->count = tt_load_u16(file->data + end + 10);
    directory->offset = tt_load_u32(file->data + end + 16);
    if (end >= LOCATOR_BYTES && has_mark(file, end - LOCATOR_BYTES, "PK\6\7", LOCATOR_BYTES)) {
        uint64_t end64 = tt_load_u64(file->data + end - LOCATOR_BYTES + 8);
        if (!has_mark(file, end64, "PK\6\6", END64_BYTES))
            return damaged(file, "zip64 locator points nowhere", end - LOCATOR_BYTES, error);
        directory->count = tt_load_u64(file->data + end64 + 32);
        directory->offset = tt_load_u64(file->data + end64 + 48);
    }
    if (directory->offset > file->size || directory->count > (file->size - directory->offset) / ENTRY_BYTES)
        return damaged(file, "zip directory larger than the file", end, error);
    return 0;
}

/* The zip64 extra field replaces, in this order, each field that is all ones. */
static void widen(const uint8_t *extra, uint32_t length, struct tt_zip_member *member)
{
    uint64_t *const fields[] = {&member->size, &member->packed, &member->offset};

    while (length >= 4) {
        uint32_t id = tt_load_u16(extra), size = tt_load_u16(extra + 2);
        if (size > length - 4)
            return;
        const uint8_t *at = extra + 4, *end = at + size;
        for (int i = 0; id == 1 && i < 3; i++) {
            if (*fields[i] != UINT32_MAX || end - at < 8)
                continue;
            *fields[i] = tt_load_u64(at);
            at += 8;
        }
        extra += 4 + size;
        length -= 4 + size;
    }
}

/* The directory gives the local header, whose own name and extra field may differ in length. */
static int find_data(const struct tt_file *file, struct tt_zip_member *member, struct tt_error *error)
{
    uint64_t local = member->offset;

    if (!has_mark(file, local, "PK\3\4", LOCAL_BYTES))
        return damaged(file, "no member where the directory says", local, error);
    const uint8_t *at = file->data + local;
    member->offset = local + LOCAL_BYTES + tt_load_u16(at + 26) + tt_load_u16(at + 28);
    if (!within(file, member->offset, member->packed))
        return damaged(file, "member longer than the file", local, error);
    return 0;
}

static int take_member(const struct tt_file *file, uint64_t *at, struct tt_zip_member *member,
                       struct tt_error *error)
{
    const uint8_t *entry = file->data + *at;

    if (!has_mark(file, *at, "PK\1\2", ENTRY_BYTES))
        return damaged(file, "no directory entry", *at, error);
    uint32_t name = tt_load_u16(entry + 28), extra = tt_load_u16(entry + 30),
             comment = tt_load_u16(entry + 32);
    if (!within(file, *at, (uint64_t)ENTRY_BYTES + name + extra + comment))
        return damaged(file, "directory entry longer than the file", *at, error);
    if (tt_load_u16(entry + 8) & 1)
        return tt_fail(error, TT_EINPUT, "%s is encrypted; save it without a password", file->path);
    *member = (struct tt_zip_member){
        .name = (const char *)entry + ENTRY_BYTES,
        .name_length = (uint16_t)name,
        .method = tt_load_u16(entry + 10),
        .crc = tt_load_u32(entry + 16),
        .packed = tt_load_u32(entry + 20),
        .size = tt_load_u32(entry + 24),
        .offset = tt_load_u32(entry + 42),
    };
    widen(entry + ENTRY_BYTES + name, extra, member);
    *at += (uint64_t)ENTRY_BYTES + name + extra + comment;
    return find_data(file, member, error);
}

int tt_zip_list(const struct tt_file *file, struct tt_zip_member **members, size_t *count,
                struct tt_error *error)
{
    struct directory directory = {0};
    uint64_t total = 0;
    int rc = find_directory(file, &directory, error);

    *members = NULL;
    *count = 0;
    if (rc != 0)
        return rc;
    *members = tt_alloc_array(directory.count + 1, sizeof **members);
    for (uint64_t at = directory.offset; *count < directory.count && rc == 0; (*count)++) {
        rc = take_member(file, &at, &(*members)[*count], error);
        total += (*members)[*count].packed;
        if (rc == 0 && total > file->size)
            rc = damaged(file, "members overlap", at, error);
    }
    return rc;
}

static bool inflate_all(const struct tt_file *file, const struct tt_zip_member *member, uint8_t *out)
{
    z_stream stream = {0};
    uint64_t in_left = member->packed, out_left = member->size;
    int rc = inflateInit2(&stream, -15); /* raw deflate */

    stream.next_in = (uint8_t *)file->data + member->offset;
    stream.next_out = out;
    while (rc == Z_OK) { /* zlib counts in 32 bits */
        uint32_t in = in_left > UINT32_MAX ? UINT32_MAX : (uint32_t)in_left;
        uint32_t room = out_left > UINT32_MAX ? UINT32_MAX : (uint32_t)out_left;
        stream.avail_in = in;
        stream.avail_out = room;
        rc = inflate(&stream, Z_NO_FLUSH);
        if (in == stream.avail_in && room == stream.avail_out && rc == Z_OK)
            rc = Z_BUF_ERROR;
        in_left -= in - stream.avail_in;
        out_left -= room - stream.avail_out;
    }
    inflateEnd(&stream);
    return rc == Z_STREAM_END && out_left == 0;
}

static int unpacked_error(const struct tt_file *file, const struct tt_zip_member *member, const char *what,
                          struct tt_error *error)
{
    struct tt_printable name = tt_printable(member->name, member->name_length);
    return tt_fail(error, TT_EINPUT, "%s: member '%s': %s; write it again", file->path, name.text, what);
}

/* What is wrong with the member before a byte is unpacked, NULL: nothing. */
static const char *unpack_refusal(const struct tt_zip_member *member)
{
    if (member->method != 0 && member->method != 8)
        return "packed with a method other than deflate";
    if (member->method == 0 ? member->size != member->packed : member->size / DEFLATE_RATIO > member->packed)
        return "its packed and unpacked sizes do not fit each other";
    return NULL;
}

const uint8_t *tt_zip_unpack(const struct tt_file *file, const struct tt_zip_member *member, void **owned,
                             struct tt_error *error)
{
    const uint8_t *data = file->data + member->offset;
    const char *fault = unpack_refusal(member);

    *owned = NULL;
    if (!fault && member->method == 8) {
        data = *owned = tt_alloc(member->size + 1);
        if (!inflate_all(file, member, *owned))
            fault = "its deflated bytes are damaged";
    }
    if (!fault && crc32_z(0, data, member->size) != member->crc)
        fault = "its checksum does not fit: it is damaged";
    if (!fault)
        return data;
    free(*owned);
    *owned = NULL;
    unpacked_error(file, member, fault, error);
    return NULL;
}

const uint8_t *tt_zip_stored(const struct tt_file *file, const struct tt_zip_member *member)
{
    return member->method == 0 && member->size == member->packed ? file->data + member->offset : NULL;
}
