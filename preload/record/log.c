/* SPDX-License-Identifier: Apache-2.0
 *
 * Event log blocks and records (log.h, include/tensortap/format.h).
 */
#include "record/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "record/files.h"

#define GROW_FIRST (256u << 10)
#define GROW_MOST  (32u << 20)

void tt_record_start(struct tt_record *record, enum tt_record_type type)
{
    record->length = sizeof(struct tt_record_header);
    record->type = (uint16_t)type;
    record->overflow = false;
}

void *tt_record_room(struct tt_record *record, enum tt_tag tag, uint32_t nbytes)
{
    uint32_t padded = (nbytes + 7) & ~7u;
    if (padded + sizeof(struct tt_field_header) > TT_RECORD_BYTES - record->length) {
        record->overflow = true;
        return NULL;
    }
    struct tt_field_header field = {.tag = (uint16_t)tag, .length = nbytes};
    uint8_t *at = record->bytes + record->length;
    memcpy(at, &field, sizeof field);
    at += sizeof field;
    if (padded != nbytes)
        memset(at + padded - 8, 0, 8);
    record->length += sizeof field + padded;
    return at;
}

void tt_record_bytes(struct tt_record *record, enum tt_tag tag, const void *value, uint32_t nbytes)
{
    void *at = tt_record_room(record, tag, nbytes);
    if (at && nbytes)
        memcpy(at, value, nbytes);
}

void tt_record_u64(struct tt_record *record, enum tt_tag tag, uint64_t value)
{
    tt_record_bytes(record, tag, &value, sizeof value);
}

void tt_record_f64(struct tt_record *record, enum tt_tag tag, double value)
{
    tt_record_bytes(record, tag, &value, sizeof value);
}

void tt_record_text(struct tt_record *record, enum tt_tag tag, const char *text)
{
    if (text)
        tt_record_bytes(record, tag, text, (uint32_t)strnlen(text, TT_TEXT_BYTES));
}

static uint64_t wall_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int tt_log_create(struct tt_log *log, const char *directory, uint64_t limit)
{
    memset(log, 0, sizeof *log);
    pthread_mutex_init(&log->lock, NULL);
    log->limit = limit;
    log->path = tt_path_join(directory, TT_LOG_FILE);
    if (!log->path)
        return -ENOMEM;
    int fd = tt_file_create(log->path, &log->identity);
    int status = fd < 0 ? fd : tt_file_allocate(fd, 0, GROW_FIRST);
    if (status == 0)
        log->allocated = GROW_FIRST;
    if (fd >= 0)
        close(fd);
    return status;
}

void tt_log_close(struct tt_log *log)
{
    int fd = log->path ? tt_file_reopen(log->path, &log->identity) : -1;
    if (fd >= 0) {
        if (ftruncate(fd, (off_t)(log->next_block * TT_LOG_BLOCK)) != 0)
            errno = 0; /* a longer file reads the same */
        close(fd);
    }
    pthread_mutex_destroy(&log->lock);
    free(log->path);
    log->path = NULL;
}

/* Called with the lock held. */
static int grow(struct tt_log *log, int fd)
{
    uint64_t end = (log->next_block + 1) * TT_LOG_BLOCK;
    if (end <= log->allocated)
        return 0;
    if (end > log->limit)
        return -EDQUOT;
    uint64_t step = log->allocated < GROW_FIRST ? GROW_FIRST : log->allocated;
    step = step > GROW_MOST ? GROW_MOST : step;
    int status = tt_file_allocate(fd, log->allocated, step);
    if (status == -ENOSPC) { /* take what is left */
        step = TT_LOG_BLOCK;
        status = tt_file_allocate(fd, log->allocated, step);
    }
    if (status == 0)
        log->allocated += step;
    return status;
}

static void write_block_header(uint8_t *block, uint64_t index)
{
    struct tt_block_header header = {
        .version = TT_LOG_VERSION,
        .block_bytes = TT_LOG_BLOCK,
        .index = index,
        .created = wall_clock(),
        .pid = (uint64_t)getpid(),
    };
    memcpy(header.magic, index ? TT_BLOCK_MAGIC : TT_LOG_MAGIC, sizeof header.magic);
    memcpy(block, &header, sizeof header);
}

int tt_log_claim(struct tt_log *log, struct tt_stream *stream)
{
    int failed = __atomic_load_n(&log->failed, __ATOMIC_RELAXED);
    int fd = failed ? failed : tt_file_reopen(log->path, &log->identity);
    tt_log_leave(stream);
    if (fd < 0)
        return fd;
    pthread_mutex_lock(&log->lock);
    int status = grow(log, fd);
    uint64_t index = log->next_block;
    void *block = MAP_FAILED;
    if (status == 0) {
        block = mmap(NULL, TT_LOG_BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(index * TT_LOG_BLOCK));
        status = block == MAP_FAILED ? -errno : 0;
    }
    if (status)
        __atomic_store_n(&log->failed, status, __ATOMIC_RELAXED);
    if (status == 0) {
        log->next_block++;
        write_block_header(block, index);
        stream->block = block;
        stream->used = sizeof(struct tt_block_header);
    }
    pthread_mutex_unlock(&log->lock);
    close(fd);
    return status;
}

void tt_log_leave(struct tt_stream *stream)
{
    uint8_t *block = stream->block;
    stream->block = NULL; /* first: a fork in between must not unmap it twice */
    if (block)
        munmap(block, TT_LOG_BLOCK);
}

bool tt_log_room(const struct tt_stream *stream, uint32_t nbytes)
{
    return stream->block && TT_LOG_BLOCK - stream->used >= nbytes;
}

int tt_log_append(struct tt_log *log, struct tt_stream *stream, struct tt_record *record, uint64_t sequence)
{
    if (!tt_log_room(stream, record->length)) {
        int status = tt_log_claim(log, stream);
        if (status)
            return status;
    }
    struct tt_record_header header = {
        .type = record->type,
        .thread = stream->thread,
        .sequence = sequence,
    };
    const size_t checked_from = offsetof(struct tt_record_header, thread);
    memcpy(record->bytes, &header, sizeof header);
    header.check = XXH32(record->bytes + checked_from, record->length - checked_from,
                         record->length ^ (uint32_t)record->type << 16);
    memcpy(record->bytes, &header, sizeof header);
    uint8_t *at = stream->block + stream->used;
    memcpy(at + sizeof header.length, record->bytes + sizeof header.length,
           record->length - sizeof header.length);
    __atomic_store_n((uint32_t *)(void *)at, record->length, __ATOMIC_RELEASE);
    stream->used += record->length;
    return 0;
}
