/* SPDX-License-Identifier: Apache-2.0
 *
 * What later records say: the form in which an epoch was kept in the end, and where the bytes of operands are
 * that were recorded with a digest only (the recorder holds epochs in memory until it knows their worth).
 */
#include <stdlib.h>
#include <string.h>

#include "capture/capture.h"
#include "tensortap/layout.h"

/* ---- epochs ---- */

static void decode_epoch(struct tt_capture *capture, const struct record *record, struct tt_epoch *epoch)
{
    struct field field;
    *epoch = (struct tt_epoch){.form = "", .reason = "", .op = ""};
    for (uint32_t at = 0; next_field(record, &at, &field);) {
        if (field.tag == TT_TAG_EPOCH)
            epoch->number = field_u64(&field, 0);
        else if (field.tag == TT_TAG_TEXT)
            epoch->form = capture_string(capture, field.value, field.length);
        else if (field.tag == TT_TAG_WHAT)
            epoch->reason = capture_string(capture, field.value, field.length);
        else if (field.tag == TT_TAG_OP)
            epoch->op = capture_string(capture, field.value, field.length);
    }
}

/* Epochs come nearly in order, and those that change are among the last. */
static void put_epoch(struct tt_capture *capture, struct tt_epoch epoch)
{
    size_t at = capture->nepochs;
    while (at > 0 && capture->epochs[at - 1].number > epoch.number)
        at--;
    if (at > 0 && capture->epochs[at - 1].number == epoch.number) {
        epoch.op = *epoch.op ? epoch.op : capture->epochs[at - 1].op;
        capture->epochs[at - 1] = epoch;
        return;
    }
    memmove(capture->epochs + at + 1, capture->epochs + at, (capture->nepochs - at) * sizeof epoch);
    capture->epochs[at] = epoch;
    capture->nepochs++;
}

/* ---- content ---- */

struct late { /* content stored after operands of its digest were recorded */
    struct tt_digest digest;
    uint32_t nsegments;
    const uint8_t *segments; /* [nsegments] struct tt_segment_bytes, in the log */
};

static int compare_late(const void *a, const void *b)
{
    const struct late *left = a, *right = b;
    return memcmp(&left->digest, &right->digest, sizeof left->digest);
}

static bool decode_content(const struct record *record, struct late *late)
{
    struct field field;
    bool has_digest = false;
    *late = (struct late){.nsegments = 0};
    for (uint32_t at = 0; next_field(record, &at, &field);) {
        if (field.tag == TT_TAG_DIGEST && field.length >= sizeof late->digest) {
            memcpy(&late->digest, field.value, sizeof late->digest);
            has_digest = true;
        } else if (field.tag == TT_TAG_SEGMENTS) {
            late->segments = field.value;
            late->nsegments = field.length / (uint32_t)sizeof(struct tt_segment_bytes);
        }
    }
    return has_digest && late->nsegments;
}

/* Segments in rows of this operand; false when they do not fall on its rows. */
static bool convert(const struct late *late, uint64_t line_bytes, struct tt_segment *segments)
{
    for (uint32_t i = 0; i < late->nsegments; i++) {
        struct tt_segment_bytes bytes;
        uint64_t begin, nbytes;
        memcpy(&bytes, late->segments + i * sizeof bytes, sizeof bytes);
        if (__builtin_mul_overflow(bytes.first_row, bytes.row_stride, &begin) ||
            __builtin_mul_overflow(bytes.rows, bytes.row_stride, &nbytes) || begin % line_bytes ||
            nbytes % line_bytes)
            return false;
        segments[i] = (struct tt_segment){begin / line_bytes, nbytes / line_bytes, (uint32_t)bytes.source,
                                          bytes.offset, line_bytes};
    }
    return true;
}

static void give_content(struct tt_capture *capture, struct tt_operand *operand, const struct late *late)
{
    struct tt_layout layout;
    if (tt_layout_make(&layout, operand->dtype, operand->rank, operand->shape, operand->strides) != 0 ||
        layout.line_bytes == 0)
        return;
    struct tt_segment *segments = tt_alloc_array(late->nsegments, sizeof *segments);
    if (!convert(late, layout.line_bytes, segments)) {
        free(segments);
        return;
    }
    operand->segments = capture_keep(capture, segments);
    operand->nsegments = late->nsegments;
    operand->kept = TT_KEPT_DATA;
}

static void give_contents(struct tt_capture *capture, struct late *contents, size_t count)
{
    if (count)
        qsort(contents, count, sizeof *contents, compare_late);
    for (size_t i = 0; i < capture->noperands && count; i++) {
        struct tt_operand *operand = &capture->operands[i];
        struct late key = {.digest = operand->digest};
        bool lacks = operand->has_digest && (operand->kept == TT_KEPT_HASH || operand->kept == TT_KEPT_BUDGET);
        const struct late *late = lacks ? bsearch(&key, contents, count, sizeof key, compare_late) : NULL;
        if (late)
            give_content(capture, operand, late);
    }
}

void capture_late(struct tt_capture *capture)
{
    size_t nepochs = 0, ncontents = 0, count = 0;
    for (size_t i = 0; i < capture->nrecords; i++) {
        nepochs += capture->records[i].type == TT_RECORD_EPOCH;
        ncontents += capture->records[i].type == TT_RECORD_CONTENT;
    }
    struct late *contents = tt_alloc_array(ncontents, sizeof *contents);
    capture->epochs = tt_alloc_array(nepochs, sizeof *capture->epochs);
    for (size_t i = 0; i < capture->nrecords; i++) {
        struct tt_epoch epoch;
        if (capture->records[i].type == TT_RECORD_EPOCH) {
            decode_epoch(capture, &capture->records[i], &epoch);
            put_epoch(capture, epoch);
        } else if (capture->records[i].type == TT_RECORD_CONTENT) {
            count += decode_content(&capture->records[i], &contents[count]);
        }
    }
    give_contents(capture, contents, count);
    free(contents);
}
