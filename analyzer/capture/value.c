/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of an operand: packed bytes in memory order are gathered from shards or a model file, then
 * put into logical row-major order.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "capture/capture.h"
#include "model/model.h"
#include "tensortap/layout.h"

/* ---- gathering packed bytes ---- */

static const struct source *shard(const struct tt_capture *capture, uint32_t number, struct tt_error *error)
{
    char name[64];
    snprintf(name, sizeof name, TT_SHARD_PATTERN, number);
    char *path = tt_format("%s/%s", capture->path, name);
    const struct source *source = capture_source(capture, path);
    if (!source)
        tt_fail(error, TT_EINPUT, "%s: cannot be read, though the log refers to it; the capture is incomplete", path);
    free(path);
    return source;
}

/* Copies one segment into its place; false when it lies outside the file or the operand. */
static bool copy_segment(const struct source *source, const struct tt_segment *segment,
                         const struct tt_layout *layout, uint8_t *packed)
{
    uint64_t line = layout->line_bytes, reach, end;
    if (segment->rows == 0 || segment->first_row >= layout->lines ||
        segment->rows > layout->lines - segment->first_row || segment->row_stride < line)
        return false;
    if (__builtin_mul_overflow(segment->rows - 1, segment->row_stride, &reach) ||
        __builtin_add_overflow(reach, line, &reach) || __builtin_add_overflow(reach, segment->offset, &end) ||
        end > source->size)
        return false;
    uint8_t *out = packed + segment->first_row * line;
    const uint8_t *in = source->bytes + segment->offset;
    if (segment->row_stride == line) {
        memcpy(out, in, segment->rows * line);
        return true;
    }
    for (uint64_t row = 0; row < segment->rows; row++)
        memcpy(out + row * line, in + row * segment->row_stride, line);
    return true;
}

/* `present`: [lines] set to 1 for lines that were found; may be NULL. */
static int gather_data(const struct tt_operand *operand, const struct tt_layout *layout, uint8_t *packed,
                       uint8_t *present, struct tt_error *error)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < operand->nsegments; i++) {
        const struct tt_segment *segment = &operand->segments[i];
        const struct source *source = shard(operand->capture, segment->source, error);
        if (!source)
            return -1;
        if (!copy_segment(source, segment, layout, packed))
            return tt_fail(error, TT_EINPUT, "call %" PRIu64 " %s: its data lies outside shard %u; the capture is damaged",
                           operand->call, operand->role, segment->source);
        rows += segment->rows;
        if (present)
            memset(present + segment->first_row, 1, segment->rows);
    }
    if (!present && rows != layout->lines)
        return tt_fail(error, TT_EINPUT, "call %" PRIu64 " %s: %" PRIu64 " of %" PRIu64 " rows are stored",
                       operand->call, operand->role, rows, layout->lines);
    return 0;
}

static int check_unchanged(const struct tt_operand *operand, struct tt_error *error)
{
    struct stat status;
    if (stat(operand->file, &status) != 0)
        return tt_fail(error, TT_EINPUT, "%s: %s; the capture refers to weights in this file", operand->file,
                       strerror(errno));
    uint64_t mtime = (uint64_t)status.st_mtim.tv_sec * 1000000000u + (uint64_t)status.st_mtim.tv_nsec;
    if ((uint64_t)status.st_size != operand->file_size || mtime != operand->file_mtime)
        return tt_fail(error, TT_EINPUT,
                       "%s: changed since the capture was made; restore the file or capture again", operand->file);
    return 0;
}

static int gather_file(const struct tt_operand *operand, const struct tt_layout *layout, uint8_t *packed,
                       struct tt_error *error)
{
    if (check_unchanged(operand, error) != 0)
        return -1;
    const struct source *source = capture_source(operand->capture, operand->file);
    if (!source || operand->file_offset > source->size || layout->span > source->size - operand->file_offset)
        return tt_fail(error, TT_EINPUT, "%s: cannot be read where the capture refers to it", operand->file);
    tt_layout_pack(layout, source->bytes + operand->file_offset, 0, layout->lines, packed);
    return 0;
}

static int gather(const struct tt_operand *operand, const struct tt_layout *layout, uint8_t *packed,
                  uint8_t *present, struct tt_error *error)
{
    static const char *const kept[] = {
        [TT_KEPT_HASH] = "only its digest was kept", [TT_KEPT_STATS] = "only its statistics were kept",
        [TT_KEPT_FILTERED] = "it was deselected", [TT_KEPT_TRUNCATED] = "only some of its rows were kept",
        [TT_KEPT_UNREADABLE] = "its memory could not be read", [TT_KEPT_BUDGET] = "the limit on data was reached",
    };
    if (layout->bytes == 0)
        return 0;
    if (operand->kept == TT_KEPT_FILE)
        return gather_file(operand, layout, packed, error);
    if (operand->kept == TT_KEPT_DATA || (operand->kept == TT_KEPT_TRUNCATED && present))
        return gather_data(operand, layout, packed, present, error);
    bool known = operand->kept < sizeof kept / sizeof kept[0] && kept[operand->kept];
    return tt_fail(error, TT_EINPUT, "call %" PRIu64 " %s: no values, %s", operand->call, operand->role,
                   known ? kept[operand->kept] : "for a reason this program does not know");
}

/* ---- logical order ---- */

struct order { /* logical row-major walk over packed elements */
    int rank;
    uint64_t shape[TT_MAX_RANK];
    int64_t step[TT_MAX_RANK]; /* packed elements per step along a logical axis */
    int64_t start;             /* packed index of [0,…,0] */
    uint64_t count;
    bool identity;
};

static void make_order(const struct tt_operand *operand, const struct tt_layout *layout, struct order *order)
{
    uint32_t block = tt_dtype_info(operand->dtype)->block;
    int64_t step = 1, expected = 1;
    *order = (struct order){.rank = operand->rank, .count = tt_operand_count(operand), .identity = true};
    for (int i = layout->axes - 1; i >= 0; i--) { /* packed strides, innermost first */
        int axis = layout->axis[i];
        int64_t extent = operand->shape[axis];
        bool backward = operand->strides[axis] < 0;
        order->step[axis] = backward ? -step : step;
        order->start += backward ? step * (extent - 1) : 0;
        step *= extent;
    }
    if (block > 1 && operand->rank) /* one block is an axis of extent 1 to the layout */
        order->step[operand->rank - 1] = 1;
    if (block > 1 && operand->rank && (uint64_t)operand->shape[operand->rank - 1] == block) {
        /* the layout left that axis out, so the steps above counted blocks */
        for (int axis = 0; axis + 1 < operand->rank; axis++)
            order->step[axis] *= block;
        order->start *= block;
    }
    for (int i = operand->rank - 1; i >= 0; i--) {
        order->shape[i] = (uint64_t)operand->shape[i];
        if (operand->shape[i] > 1)
            order->identity &= order->step[i] == expected;
        expected *= operand->shape[i];
    }
}

/* Copies elements of `size` bytes from packed to logical order. */
static void reorder(const struct order *order, const uint8_t *packed, size_t size, uint8_t *out)
{
    if (order->identity) {
        memcpy(out, packed, order->count * size);
        return;
    }
    uint64_t at[TT_MAX_RANK] = {0};
    int64_t from = order->start;
    for (uint64_t i = 0; i < order->count; i++, out += size) {
        memcpy(out, packed + (uint64_t)from * size, size);
        for (int axis = order->rank - 1; axis >= 0; axis--) {
            from += order->step[axis];
            if (++at[axis] < order->shape[axis])
                break;
            from -= order->step[axis] * (int64_t)order->shape[axis];
            at[axis] = 0;
        }
    }
}

/* ---- the public functions ---- */

bool tt_operand_readable(const struct tt_operand *operand)
{
    if (!operand->capture)
        return false;
    return operand->kept == TT_KEPT_DATA ||
           (operand->kept == TT_KEPT_FILE && operand->file && check_unchanged(operand, NULL) == 0);
}

static int prepare(const struct tt_operand *operand, struct tt_layout *layout, struct tt_error *error)
{
    if (!operand->capture ||
        tt_layout_make(layout, operand->dtype, operand->rank, operand->shape, operand->strides) != 0)
        return tt_fail(error, TT_EINPUT, "call %" PRIu64 " %s: damaged description", operand->call, operand->role);
    return 0;
}

static uint8_t *packed_bytes(const struct tt_operand *operand, struct tt_layout *layout, uint8_t *present,
                             struct tt_error *error)
{
    uint8_t *packed = malloc(layout->bytes ? layout->bytes : 1);
    if (!packed) {
        tt_fail(error, TT_ESYSTEM, "call %" PRIu64 " %s: not enough memory for %" PRIu64 " bytes", operand->call,
                operand->role, layout->bytes);
        return NULL;
    }
    if (present)
        memset(packed, 0, layout->bytes);
    if (present && operand->kept != TT_KEPT_TRUNCATED)
        memset(present, 1, layout->lines);
    if (gather(operand, layout, packed, present, error) != 0) {
        free(packed);
        return NULL;
    }
    return packed;
}

int tt_operand_read_raw(const struct tt_capture *capture, const struct tt_operand *operand, void *out,
                        struct tt_error *error)
{
    struct tt_layout layout;
    struct order order;
    if (prepare(operand, &layout, error) != 0)
        return -1;
    if (tt_dtype_info(operand->dtype)->block > 1)
        return tt_fail(error, TT_EINPUT, "call %" PRIu64 " %s: %s has no single elements", operand->call,
                       operand->role, tt_dtype_info(operand->dtype)->name);
    uint8_t *packed = packed_bytes(operand, &layout, NULL, error);
    if (!packed)
        return -1;
    make_order(operand, &layout, &order);
    reorder(&order, packed, layout.unit_bytes, out);
    free(packed);
    return 0;
}

/* Packed bytes as doubles, still in memory order. */
static double *decode(const struct tt_operand *operand, const struct tt_layout *layout, const uint8_t *packed,
                      struct tt_error *error)
{
    uint64_t count = layout->bytes / layout->unit_bytes * tt_dtype_info(operand->dtype)->block;
    double *values = malloc(count ? count * sizeof *values : 1);
    if (!values) {
        tt_fail(error, TT_ESYSTEM, "call %" PRIu64 " %s: not enough memory", operand->call, operand->role);
    } else if (count && tt_decode_f64(operand->dtype, packed, count, values) != 0) {
        tt_fail(error, TT_EINPUT, "call %" PRIu64 " %s: no decoder for %s", operand->call, operand->role,
                tt_dtype_info(operand->dtype)->name);
        free(values);
        values = NULL;
    }
    return values;
}

int tt_operand_read(const struct tt_capture *capture, const struct tt_operand *operand, double *out,
                    struct tt_error *error)
{
    struct tt_layout layout;
    struct order order;
    if (prepare(operand, &layout, error) != 0)
        return -1;
    uint8_t *packed = packed_bytes(operand, &layout, NULL, error);
    double *values = packed ? decode(operand, &layout, packed, error) : NULL;
    free(packed);
    if (!values)
        return -1;
    make_order(operand, &layout, &order);
    reorder(&order, (const uint8_t *)values, sizeof *values, (uint8_t *)out);
    free(values);
    return 0;
}

/* Marks of lines become marks of elements, in memory order. */
static void spread(const struct tt_layout *layout, uint32_t block, const uint8_t *lines, uint8_t *elements,
                   double *values)
{
    uint64_t width = layout->line_bytes / layout->unit_bytes * block;
    for (uint64_t line = 0; line < layout->lines; line++) {
        memset(elements + line * width, lines[line], width);
        for (uint64_t i = 0; i < width && !lines[line]; i++)
            values[line * width + i] = NAN;
    }
}

int tt_operand_read_some(const struct tt_capture *capture, const struct tt_operand *operand, double *out,
                         unsigned char *present, struct tt_error *error)
{
    struct tt_layout layout;
    struct order order;
    if (prepare(operand, &layout, error) != 0)
        return -1;
    uint32_t block = tt_dtype_info(operand->dtype)->block;
    uint8_t *lines = calloc(layout.lines + 1, 1);
    uint8_t *elements = calloc(layout.bytes / layout.unit_bytes * block + 1, 1);
    uint8_t *packed = NULL;
    double *values = NULL;
    if (!lines || !elements)
        tt_fail(error, TT_ESYSTEM, "call %" PRIu64 " %s: not enough memory", operand->call, operand->role);
    else
        packed = packed_bytes(operand, &layout, lines, error);
    if (packed)
        values = decode(operand, &layout, packed, error);
    if (values) {
        spread(&layout, block, lines, elements, values);
        make_order(operand, &layout, &order);
        reorder(&order, (const uint8_t *)values, sizeof *values, (uint8_t *)out);
        if (present)
            reorder(&order, elements, 1, present);
    }
    int status = values ? 0 : -1;
    free(lines);
    free(elements);
    free(packed);
    free(values);
    return status;
}
