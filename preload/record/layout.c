/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory order of strided views (include/tensortap/layout.h).
 *
 * Invariant: for a layout that tt_layout_make accepted, bytes, span and every address computed from
 * it fit 63 bits, so the loops below need no checks.
 */
#include "tensortap/layout.h"

#include <string.h>

#define GATHER_BYTES 4096

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

/* Extent and stride of one axis in units; false when a block would be cut. */
static bool axis_in_units(const struct tt_dtype_info *type, int64_t shape, int64_t stride, bool innermost,
                          uint64_t *extent, uint64_t *step)
{
    *extent = (uint64_t)shape;
    *step = magnitude(stride);
    if (type->block == 1)
        return true;
    if (!innermost) {
        bool whole = *step % type->block == 0;
        *step /= type->block;
        return whole;
    }
    bool whole = *extent % type->block == 0 && (stride == 1 || shape <= 1);
    *extent /= type->block;
    *step = 1;
    return whole;
}

static void insert_axis(struct tt_layout *layout, int axis, uint64_t extent, uint64_t stride)
{
    int at = layout->axes++;
    for (; at > 0 && layout->stride[at - 1] < stride; at--) {
        layout->axis[at] = layout->axis[at - 1];
        layout->extent[at] = layout->extent[at - 1];
        layout->stride[at] = layout->stride[at - 1];
    }
    layout->axis[at] = axis;
    layout->extent[at] = extent;
    layout->stride[at] = stride;
}

static int measure(struct tt_layout *layout)
{
    uint64_t lines = 1, inner = layout->axes ? layout->extent[layout->axes - 1] : 1;
    for (int i = 0; i + 1 < layout->axes; i++)
        if (__builtin_mul_overflow(lines, layout->extent[i], &lines))
            return -1;
    layout->lines = lines;
    if (__builtin_mul_overflow(inner, (uint64_t)layout->unit_bytes, &layout->line_bytes) ||
        __builtin_mul_overflow(lines, layout->line_bytes, &layout->bytes))
        return -1;
    layout->contiguous = layout->bytes == layout->span;
    uint64_t expected = layout->unit_bytes;
    for (int i = layout->axes - 1; i >= 0; i--) { /* overlapping views may have the right span by chance */
        layout->contiguous &= layout->stride[i] == expected;
        expected *= layout->extent[i];
    }
    return layout->bytes >> 62 ? -1 : 0;
}

int tt_layout_make(struct tt_layout *layout, enum tt_dtype dtype, int rank, const int64_t *shape,
                   const int64_t *strides)
{
    const struct tt_dtype_info *type = tt_dtype_info(dtype);
    memset(layout, 0, sizeof *layout);
    layout->unit_bytes = type->bytes;
    if (rank < 0 || rank > 8 || type->bytes == 0 || (rank == 0 && type->block > 1))
        return -1;
    bool empty = false;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0)
            return -1;
        empty |= shape[i] == 0;
    }
    if (empty)
        return 0;
    layout->span = type->bytes;
    for (int i = 0; i < rank; i++) {
        uint64_t extent, step, reach;
        if (!axis_in_units(type, shape[i], strides[i], i == rank - 1, &extent, &step) || extent == 0)
            return -1;
        if (extent == 1 || step == 0)
            continue;
        if (__builtin_mul_overflow(step, (uint64_t)type->bytes, &step) ||
            __builtin_mul_overflow(step, extent - 1, &reach) ||
            __builtin_add_overflow(layout->span, reach, &layout->span) || layout->span >> 62)
            return -1;
        if (strides[i] < 0)
            layout->low -= (int64_t)reach;
        insert_axis(layout, i, extent, step);
    }
    return measure(layout);
}

const uint8_t *tt_layout_line(const struct tt_layout *layout, const uint8_t *low, uint64_t line)
{
    for (int i = layout->axes - 2; i >= 0; i--) {
        low += line % layout->extent[i] * layout->stride[i];
        line /= layout->extent[i];
    }
    return low;
}

/* A line whose units lie apart, shown in packed pieces. */
static void visit_scattered(const struct tt_layout *layout, const uint8_t *line, tt_layout_chunk *chunk,
                            void *context)
{
    uint8_t packed[GATHER_BYTES];
    uint32_t unit = layout->unit_bytes;
    uint64_t count = layout->extent[layout->axes - 1], stride = layout->stride[layout->axes - 1];
    size_t used = 0;
    for (uint64_t i = 0; i < count; i++, line += stride) {
        if (used + unit > sizeof packed) {
            chunk(context, packed, used);
            used = 0;
        }
        switch (unit) { /* constant sizes let the compiler use plain loads */
        case 4: memcpy(packed + used, line, 4); break;
        case 2: memcpy(packed + used, line, 2); break;
        case 8: memcpy(packed + used, line, 8); break;
        default: memcpy(packed + used, line, unit);
        }
        used += unit;
    }
    chunk(context, packed, used);
}

struct odometer {
    uint64_t at[8];
    const uint8_t *line;
};

static void odometer_next(const struct tt_layout *layout, struct odometer *place)
{
    for (int i = layout->axes - 2; i >= 0; i--) {
        place->line += layout->stride[i];
        if (++place->at[i] < layout->extent[i])
            return;
        place->line -= layout->stride[i] * layout->extent[i];
        place->at[i] = 0;
    }
}

static void odometer_set(const struct tt_layout *layout, struct odometer *place, const uint8_t *low,
                         uint64_t line)
{
    place->line = tt_layout_line(layout, low, line);
    for (int i = layout->axes - 2; i >= 0; i--) {
        place->at[i] = line % layout->extent[i];
        line /= layout->extent[i];
    }
}

void tt_layout_visit(const struct tt_layout *layout, const uint8_t *low, uint64_t first, uint64_t lines,
                     tt_layout_chunk *chunk, void *context)
{
    if (lines == 0 || layout->line_bytes == 0)
        return;
    if (layout->contiguous) {
        chunk(context, low + first * layout->line_bytes, lines * layout->line_bytes);
        return;
    }
    bool scattered = layout->axes && layout->stride[layout->axes - 1] != layout->unit_bytes;
    struct odometer place;
    odometer_set(layout, &place, low, first);
    const uint8_t *start = place.line;
    size_t pending = 0;
    for (uint64_t i = 0; i < lines; i++, odometer_next(layout, &place)) {
        if (scattered) {
            visit_scattered(layout, place.line, chunk, context);
            continue;
        }
        if (pending && place.line != start + pending) {
            chunk(context, start, pending);
            pending = 0;
        }
        if (!pending)
            start = place.line;
        pending += layout->line_bytes;
    }
    if (pending)
        chunk(context, start, pending);
}

static void pack_chunk(void *context, const uint8_t *bytes, size_t nbytes)
{
    uint8_t **out = context;
    memcpy(*out, bytes, nbytes);
    *out += nbytes;
}

void tt_layout_pack(const struct tt_layout *layout, const uint8_t *low, uint64_t first, uint64_t lines,
                    uint8_t *out)
{
    tt_layout_visit(layout, low, first, lines, pack_chunk, &out);
}
