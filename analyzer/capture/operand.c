/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding an operand record (operand.h).
 */
#include "capture/operand.h"

#include <stdlib.h>
#include <string.h>

#include "tensortap/layout.h"

#define MOST_ELEMENTS (1ull << 40) /* of an operand: more is damage, and would only exhaust memory */

static void decode_kind(const struct field *field, struct tt_operand *operand)
{
    uint16_t kind[4];
    if (field->length < sizeof kind)
        return;
    memcpy(kind, field->value, sizeof kind);
    operand->when = kind[0] == TT_AFTER ? TT_AFTER : TT_BEFORE;
    operand->dtype = kind[1] < TT_DTYPE_COUNT ? (enum tt_dtype)kind[1] : TT_NONE;
    operand->kept = (enum tt_kept)kind[2];
    operand->has_digest = kind[3] & TT_OPERAND_DIGEST;
    operand->stats.valid = kind[3] & TT_OPERAND_STATS;
    operand->repeat_sampled = kind[3] & TT_OPERAND_SAMPLED;
}

static int decode_axes(const struct field *field, int64_t axes[TT_MAX_RANK])
{
    uint32_t rank = field->length / 8 < TT_MAX_RANK ? field->length / 8 : TT_MAX_RANK;
    for (uint32_t i = 0; i < rank; i++)
        axes[i] = (int64_t)field_u64(field, i);
    return (int)rank;
}

static void decode_stats(const struct field *field, struct tt_stats *stats)
{
    stats->valid &= field->length >= 64;
    stats->min = field_f64(field, 0);
    stats->max = field_f64(field, 1);
    stats->mean = field_f64(field, 2);
    stats->rms = field_f64(field, 3);
    stats->count = field_u64(field, 4);
    stats->nan = field_u64(field, 5);
    stats->inf = field_u64(field, 6);
    stats->zero = field_u64(field, 7);
}

static void decode_segments(struct tt_capture *capture, const struct field *field, struct tt_operand *operand)
{
    uint32_t count = field->length / (uint32_t)sizeof(struct tt_segment_bytes);
    if (count == 0 || operand->segments)
        return;
    struct tt_segment *segments = capture_keep(capture, tt_alloc_array(count, sizeof *segments));
    for (uint32_t i = 0; i < count; i++) {
        struct tt_segment_bytes bytes;
        memcpy(&bytes, field->value + i * sizeof bytes, sizeof bytes);
        segments[i] = (struct tt_segment){bytes.first_row, bytes.rows, (uint32_t)bytes.source, bytes.offset,
                                          bytes.row_stride};
    }
    operand->segments = segments;
    operand->nsegments = count;
}

static void decode_file(const struct tt_capture *capture, const struct field *field, struct tt_operand *operand)
{
    uint64_t id = field_u64(field, 0);
    for (size_t i = 0; i < capture->nmappings; i++)
        if (capture->mappings[i].id == id) {
            operand->file = capture->mappings[i].path;
            operand->file_size = capture->mappings[i].size;
            operand->file_mtime = capture->mappings[i].mtime;
        }
    operand->file_offset = field_u64(field, 1);
}

static bool sound(const struct tt_operand *operand, int nstrides)
{
    struct tt_layout layout;
    uint64_t count = 1;
    if (operand->rank != nstrides ||
        tt_layout_make(&layout, operand->dtype, operand->rank, operand->shape, operand->strides) != 0)
        return false;
    for (int i = 0; i < operand->rank; i++)
        if (__builtin_mul_overflow(count, (uint64_t)operand->shape[i], &count) || count > MOST_ELEMENTS)
            return false;
    return operand->kept != TT_KEPT_FILE || operand->file;
}

void capture_operand(struct tt_capture *capture, const struct record *record, struct tt_operand *operand)
{
    struct field field;
    int nstrides = 0;
    *operand = (struct tt_operand){.role = "", .confidence = 1, .capture = capture, .sequence = record->sequence};
    for (uint32_t at = 0; next_field(record, &at, &field);) {
        switch (field.tag) {
        case TT_TAG_CALL: operand->call = field_u64(&field, 0); break;
        case TT_TAG_ROLE: operand->role = capture_string(capture, field.value, field.length); break;
        case TT_TAG_KIND: decode_kind(&field, operand); break;
        case TT_TAG_SHAPE: operand->rank = decode_axes(&field, operand->shape); break;
        case TT_TAG_STRIDES: nstrides = decode_axes(&field, operand->strides); break;
        case TT_TAG_ADDRESS: operand->address = field_u64(&field, 0); break;
        case TT_TAG_BUFFER:
            operand->buffer = field_u64(&field, 0);
            operand->generation = field_u64(&field, 1);
            break;
        case TT_TAG_DIGEST:
            if (field.length >= sizeof operand->digest)
                memcpy(&operand->digest, field.value, sizeof operand->digest);
            break;
        case TT_TAG_STATS: decode_stats(&field, &operand->stats); break;
        case TT_TAG_SEGMENTS: decode_segments(capture, &field, operand); break;
        case TT_TAG_FILE: decode_file(capture, &field, operand); break;
        case TT_TAG_CONFIDENCE: operand->confidence = field_f64(&field, 0); break;
        default: break;
        }
    }
    if (!sound(operand, nstrides)) {
        operand->kept = TT_KEPT_UNREADABLE;
        memset(operand->shape, 0, sizeof operand->shape);
        operand->nsegments = 0;
    }
}
