/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the event log: blocks, records, fields. A block ends at its first record that is incomplete
 * or fails its check; the others are not affected.
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "capture/capture.h"

#define LEAST_BLOCK 4096u
#define MOST_BLOCK  (64u << 20)

static bool add_record(struct tt_capture *capture, const uint8_t *at, const struct tt_record_header *header,
                       size_t *room)
{
    if (capture->nrecords == *room) {
        *room = *room ? *room * 2 : 1024;
        capture->records = tt_grow(capture->records, *room, sizeof *capture->records);
    }
    capture->records[capture->nrecords++] = (struct record){
        .sequence = header->sequence,
        .fields = at + sizeof *header,
        .nbytes = header->length - (uint32_t)sizeof *header,
        .thread = header->thread,
        .type = header->type,
    };
    return true;
}

static bool sound(const uint8_t *at, const struct tt_record_header *header, size_t left)
{
    const size_t from = offsetof(struct tt_record_header, thread);
    if (header->length < sizeof *header || header->length % 8 || header->length > left)
        return false;
    return header->check == XXH32(at + from, header->length - from, header->length ^ (uint32_t)header->type << 16);
}

static void scan_block(struct tt_capture *capture, const uint8_t *block, size_t nbytes, size_t *room)
{
    size_t at = sizeof(struct tt_block_header);
    while (nbytes - at >= sizeof(struct tt_record_header)) {
        struct tt_record_header header;
        memcpy(&header, block + at, sizeof header);
        if (header.length == 0)
            return;
        if (!sound(block + at, &header, nbytes - at)) {
            capture->torn++;
            return;
        }
        add_record(capture, block + at, &header, room);
        at += header.length;
    }
}

static int by_sequence(const void *a, const void *b)
{
    const struct record *left = a, *right = b;
    return (left->sequence > right->sequence) - (left->sequence < right->sequence);
}

int capture_scan(struct tt_capture *capture, struct tt_error *error)
{
    struct tt_block_header header;
    if (capture->log_bytes < sizeof header)
        return tt_fail(error, TT_EINPUT, "%s/%s: too short to be an event log; nothing was recorded", capture->path,
                       TT_LOG_FILE);
    memcpy(&header, capture->log, sizeof header);
    if (memcmp(header.magic, TT_LOG_MAGIC, sizeof header.magic) != 0)
        return tt_fail(error, TT_EINPUT, "%s/%s: not an event log of tensortap", capture->path, TT_LOG_FILE);
    if (header.version > TT_LOG_VERSION)
        return tt_fail(error, TT_EINPUT, "%s/%s: format %u is newer than this program (%u); use a newer tensortap",
                       capture->path, TT_LOG_FILE, header.version, TT_LOG_VERSION);
    size_t block = header.block_bytes, room = 0;
    if (block < LEAST_BLOCK || block > MOST_BLOCK || block % 8)
        return tt_fail(error, TT_EINPUT, "%s/%s: damaged header", capture->path, TT_LOG_FILE);
    for (size_t at = 0; at < capture->log_bytes; at += block) {
        size_t nbytes = capture->log_bytes - at < block ? capture->log_bytes - at : block;
        bool claimed = nbytes >= sizeof header &&
                       (at == 0 || memcmp(capture->log + at, TT_BLOCK_MAGIC, sizeof header.magic) == 0);
        if (claimed)
            scan_block(capture, capture->log + at, nbytes, &room);
    }
    if (capture->nrecords)
        qsort(capture->records, capture->nrecords, sizeof *capture->records, by_sequence);
    return 0;
}

bool next_field(const struct record *record, uint32_t *at, struct field *field)
{
    struct tt_field_header header;
    if (record->nbytes - *at < sizeof header)
        return false;
    memcpy(&header, record->fields + *at, sizeof header);
    *at += sizeof header;
    if (header.length > record->nbytes - *at)
        return false;
    *field = (struct field){header.tag, header.length, record->fields + *at};
    uint32_t padded = (header.length + 7) & ~7u;
    *at = padded > record->nbytes - *at ? record->nbytes : *at + padded;
    return true;
}

uint64_t field_u64(const struct field *field, unsigned index)
{
    uint64_t value = 0;
    if (field->length >= (index + 1) * sizeof value)
        memcpy(&value, field->value + index * sizeof value, sizeof value);
    return value;
}

double field_f64(const struct field *field, unsigned index)
{
    uint64_t bits = field_u64(field, index);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
