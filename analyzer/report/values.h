/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of a tensor in the terminal: the corners of a matrix, exact statistics.
 */
#ifndef TT_REPORT_VALUES_H
#define TT_REPORT_VALUES_H

#include <stdint.h>

#include "report/term.h"

/* Over finite elements; places are row-major indices, UINT64_MAX where there is none. */
struct tt_moments {
    uint64_t count, nan, inf, zero;
    double min, max, mean, rms, deviation;
    uint64_t min_at, max_at, first_nonfinite;
};
struct tt_moments tt_moments_of(const double *values, uint64_t count);

/* "[5,3]" of a row-major index. */
struct tt_number tt_index_text(uint64_t index, const int64_t *shape, int rank);

/* values: [shape]. Prints every row when there are few, else the first and last; likewise columns. `all`:
 * everything. */
void tt_values_print(const struct tt_term *term, const double *values, const int64_t *shape, int rank,
                     bool all);

#endif
