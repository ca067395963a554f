/* SPDX-License-Identifier: Apache-2.0
 *
 * Statistics and digest of a view in one visit of its memory, in whatever vector width the machine has.
 */
#ifndef TT_RECORD_STATS_H
#define TT_RECORD_STATS_H

#include <stdint.h>

#include "tensortap/layout.h"
#include "tensortap/reader.h" /* struct tt_stats, struct tt_digest */

struct tt_sums { /* running values over chunks */
    double sum, squares, min, max; /* over finite elements */
    uint64_t count, nan, inf, zero;
};

/* Adds `count` elements of one plain dtype; `bytes` need not be aligned. */
typedef void tt_sums_add(struct tt_sums *sums, const uint8_t *bytes, uint64_t count);

/* One row of function pointers per instruction set; NULL where a dtype has no statistics. */
struct tt_kernels {
    tt_sums_add *add[TT_DTYPE_COUNT];
    struct tt_digest (*digest)(const struct tt_layout *layout, const uint8_t *low, uint64_t first,
                               uint64_t lines);
    uint64_t (*hash)(const void *bytes, size_t nbytes); /* XXH3-64, for fingerprints that stay in memory */
};
extern const struct tt_kernels tt_kernels_plain, tt_kernels_avx2;
const struct tt_kernels *tt_kernels(void); /* the best that this machine runs */

/* stats->valid is false for dtypes without statistics. The floating-point environment is untouched. */
void tt_stats_of(const struct tt_layout *layout, enum tt_dtype dtype, const uint8_t *low,
                 struct tt_stats *stats);

/* XXH3-128 over `lines` lines in memory order. */
static inline struct tt_digest tt_digest_lines(const struct tt_layout *layout, const uint8_t *low,
                                               uint64_t first, uint64_t lines)
{
    return tt_kernels()->digest(layout, low, first, lines);
}

#endif
