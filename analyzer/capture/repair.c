/* SPDX-License-Identifier: Apache-2.0
 *
 * Rewriting shard headers from the blob records of the log (repair.h).
 *
 * Only blobs that lie inside their file, aligned, apart from one another and with as many bytes as
 * dtype and shape say, are named; the rest becomes padding. So the result opens everywhere.
 */
#include "capture/repair.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/capture.h"
#include "tensortap/shard.h"

#define MOST_SHARDS 10000u
#define MOST_HEADER (16u << 20) /* bytes before the first tensor; the recorder takes a quarter at most */

struct blob {
    uint32_t shard;
    struct tt_shard_entry entry;
};

/* ---- which shards are open, and whose ---- */

static bool is_open_shard(int fd)
{
    static const char mark[] = "{\"_open\":";
    char start[8 + sizeof mark - 1];
    return pread(fd, start, sizeof start, 0) == (ssize_t)sizeof start &&
           memcmp(start + 8, mark, sizeof mark - 1) == 0;
}

/* A process that has the capture mapped is still writing to it: cutting a file would kill it. */
static bool still_written(const struct tt_capture *capture, uint64_t pid)
{
    char *path = tt_format("/proc/%" PRIu64 "/maps", pid), *line = NULL, *directory = realpath(capture->path, NULL);
    char *inside = tt_format("%s/", directory ? directory : capture->path);
    size_t room = 0;
    bool found = false;
    FILE *maps = pid == (uint64_t)getpid() ? NULL : fopen(path, "re");
    while (maps && !found && getline(&line, &room, maps) > 0)
        found = strstr(line, inside) != NULL;
    if (maps)
        fclose(maps);
    free(line);
    free(path);
    free(inside);
    free(directory);
    return found;
}

static uint64_t writer_pid(const struct tt_capture *capture)
{
    struct tt_block_header header;
    memcpy(&header, capture->log, sizeof header); /* capture_scan saw that it is all there */
    return header.pid;
}

/* ---- blobs ---- */

static bool whole(const struct tt_shard_entry *entry)
{
    const struct tt_dtype_info *type = tt_dtype_info(entry->dtype);
    uint64_t units = 1;
    for (int i = 0; i < entry->rank; i++) {
        uint64_t extent = (uint64_t)entry->shape[i];
        if (i == entry->rank - 1) {
            if (extent % type->block)
                return false;
            extent /= type->block;
        }
        if (entry->shape[i] < 0 || __builtin_mul_overflow(units, extent, &units))
            return false;
    }
    uint64_t nbytes;
    return type->bytes && !__builtin_mul_overflow(units, (uint64_t)type->bytes, &nbytes) &&
           nbytes == entry->nbytes && nbytes > 0 && entry->offset % TT_SHARD_ALIGN == 0 &&
           entry->offset >= TT_SHARD_PAGE && entry->offset + nbytes > entry->offset;
}

static bool decode_blob(struct tt_capture *capture, const struct record *record, struct blob *blob)
{
    struct field field;
    *blob = (struct blob){.shard = UINT32_MAX};
    for (uint32_t at = 0; next_field(record, &at, &field);) {
        uint32_t rank = field.length / 8;
        if (field.tag == TT_TAG_NAME) {
            blob->entry.name = (char *)capture_string(capture, field.value, field.length);
        } else if (field.tag == TT_TAG_KIND && field.length >= 4) {
            uint16_t dtype;
            memcpy(&dtype, field.value + 2, sizeof dtype);
            blob->entry.dtype = dtype < TT_DTYPE_COUNT ? (enum tt_dtype)dtype : TT_NONE;
        } else if (field.tag == TT_TAG_SHAPE && rank <= TT_MAX_RANK) {
            blob->entry.rank = (int)rank;
            for (uint32_t i = 0; i < rank; i++)
                blob->entry.shape[i] = (int64_t)field_u64(&field, i);
        } else if (field.tag == TT_TAG_PLACE) {
            blob->shard = field_u64(&field, 0) < MOST_SHARDS ? (uint32_t)field_u64(&field, 0) : UINT32_MAX;
            blob->entry.offset = field_u64(&field, 1);
            blob->entry.nbytes = field_u64(&field, 2);
        }
    }
    return blob->shard != UINT32_MAX && blob->entry.name && whole(&blob->entry);
}

static int by_place(const void *a, const void *b)
{
    const struct blob *left = a, *right = b;
    if (left->shard != right->shard)
        return left->shard < right->shard ? -1 : 1;
    return (left->entry.offset > right->entry.offset) - (left->entry.offset < right->entry.offset);
}

static struct blob *collect(struct tt_capture *capture, size_t *count)
{
    struct blob *blobs = NULL;
    size_t room = 0;
    *count = 0;
    for (size_t i = 0; i < capture->nrecords; i++) {
        if (capture->records[i].type != TT_RECORD_BLOB)
            continue;
        if (*count == room) {
            room = room ? room * 2 : 256;
            blobs = tt_grow(blobs, room, sizeof *blobs);
        }
        *count += decode_blob(capture, &capture->records[i], &blobs[*count]);
    }
    if (*count)
        qsort(blobs, *count, sizeof *blobs, by_place);
    return blobs;
}

static int by_name(const void *a, const void *b)
{
    const struct tt_shard_entry *left = a, *right = b;
    return strcmp(left->name, right->name);
}

/* JSON keys must differ; only a damaged or foreign log makes two the same. */
static uint32_t drop_same_names(struct tt_shard_entry *entries, uint32_t count)
{
    uint32_t kept = 0;
    if (count)
        qsort(entries, count, sizeof *entries, by_name);
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || strcmp(entries[kept - 1].name, entries[i].name) != 0)
            entries[kept++] = entries[i];
    return kept;
}

/* ---- one shard ---- */

static int repair_shard(const char *path, uint32_t number, const struct blob *blobs, size_t nblobs,
                        struct tt_error *error)
{
    struct stat status;
    struct tt_shard_entry *entries = tt_alloc_array(nblobs, sizeof *entries);
    uint32_t count = 0;
    uint64_t end = 0;
    int result = 0, fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        result = tt_fail(error, TT_ESYSTEM, "%s: %s", path, strerror(errno));
        goto out;
    }
    if (!S_ISREG(status.st_mode))
        goto out;
    for (size_t i = 0; i < nblobs; i++) {
        const struct tt_shard_entry *entry = &blobs[i].entry;
        if (entry->offset < end || entry->offset + entry->nbytes > (uint64_t)status.st_size)
            continue;
        entries[count++] = *entry;
        end = entry->offset + entry->nbytes;
    }
    bool uncut = (uint64_t)status.st_size > end + TT_SHARD_ALIGN; /* killed between header and cut */
    if (!is_open_shard(fd) && !uncut)
        goto out;
    if (count && entries[0].offset <= MOST_HEADER) { /* an open shard that holds nothing is fine as it is */
        uint64_t start = entries[0].offset;
        count = drop_same_names(entries, count);
        int sealed = tt_shard_seal(fd, number, entries, count, start, end);
        result = sealed ? tt_fail(error, TT_ESYSTEM, "%s: cannot write its header: %s", path, strerror(-sealed)) : 1;
    }
out:
    if (fd >= 0)
        close(fd);
    free(entries);
    return result;
}

/* Files that were being made when the process died. */
static void remove_unfinished(const char *directory)
{
    DIR *list = opendir(directory);
    const struct dirent *entry;
    while (list && (entry = readdir(list))) {
        size_t length = strlen(entry->d_name);
        if (length < 4 || strcmp(entry->d_name + length - 4, ".new") != 0)
            continue;
        char *path = tt_format("%s/%s", directory, entry->d_name);
        unlink(path);
        free(path);
    }
    if (list)
        closedir(list);
}

static int repair_all(struct tt_capture *capture, struct tt_error *error)
{
    size_t count;
    struct blob *blobs = collect(capture, &count);
    int repaired = 0;
    for (size_t first = 0, run; first < count && repaired >= 0; first += run) {
        char name[64];
        for (run = 1; first + run < count && blobs[first + run].shard == blobs[first].shard;)
            run++;
        snprintf(name, sizeof name, TT_SHARD_PATTERN, blobs[first].shard);
        char *path = tt_format("%s/%s", capture->path, name);
        int result = repair_shard(path, blobs[first].shard, blobs + first, run, error);
        repaired = result < 0 ? -1 : repaired + result;
        free(path);
    }
    free(blobs);
    return repaired;
}

int tt_capture_repair(const char *path, struct tt_error *error)
{
    struct tt_capture *capture = tt_capture_open(path, error);
    int repaired = -1;
    if (!capture)
        return -1;
    uint64_t pid = writer_pid(capture);
    if (!capture->finished && still_written(capture, pid)) {
        tt_fail(error, TT_EINPUT, "%s: process %" PRIu64 " is still writing it; repair it when that has ended",
                capture->path, pid);
    } else {
        repaired = repair_all(capture, error);
        if (repaired >= 0)
            remove_unfinished(capture->path);
    }
    tt_capture_close(capture);
    return repaired;
}
