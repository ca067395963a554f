/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory order of a strided view: the one order in which operands are digested, stored and read back.
 *
 * Axes of extent 1 or stride 0 are left out; the others are sorted by decreasing |stride| (ties: lower
 * axis first) and walked from the lowest address upward. So a matrix and its transposed view over the
 * same memory have the same packed bytes, and padding between lines is skipped. A *line* is the run
 * along the innermost of these axes, a *unit* one element, or one block of a block dtype.
 */
#ifndef TENSORTAP_LAYOUT_H
#define TENSORTAP_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensortap/dtype.h"

struct tt_layout {
    int axes;            /* left after dropping extent 1 and stride 0; 0: one unit or nothing */
    int axis[8];         /* logical axis of each, outermost first */
    uint64_t extent[8];  /* units */
    uint64_t stride[8];  /* bytes, absolute */
    uint32_t unit_bytes;
    uint64_t lines;      /* product of all extents but the innermost; 0 for an empty view */
    uint64_t line_bytes; /* packed */
    uint64_t bytes;      /* packed: lines × line_bytes */
    uint64_t span;       /* from the lowest address to one past the highest */
    int64_t low;         /* bytes from element [0,…,0] to the lowest address, ≤ 0 */
    bool contiguous;     /* packed bytes equal the span */
};

/* 0, or -1 when extents are negative or overflow, or a block dtype's strides cut blocks. */
int tt_layout_make(struct tt_layout *layout, enum tt_dtype dtype, int rank, const int64_t *shape,
                   const int64_t *strides);

/* Address of a line, from the lowest address. */
const uint8_t *tt_layout_line(const struct tt_layout *layout, const uint8_t *low, uint64_t line);

/* Shows `lines` lines from `first` as a sequence of contiguous chunks, in order. */
typedef void tt_layout_chunk(void *context, const uint8_t *bytes, size_t nbytes);
void tt_layout_visit(const struct tt_layout *layout, const uint8_t *low, uint64_t first, uint64_t lines,
                     tt_layout_chunk *chunk, void *context);

/* Copies lines packed. `out`: [lines, line_bytes] */
void tt_layout_pack(const struct tt_layout *layout, const uint8_t *low, uint64_t first, uint64_t lines,
                    uint8_t *out);

#endif
