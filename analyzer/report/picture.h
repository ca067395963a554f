/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures of numbers in a terminal: a histogram and a heat map. Both take f64 values and say in
 * their captions what was left out or condensed.
 */
#ifndef TT_REPORT_PICTURE_H
#define TT_REPORT_PICTURE_H

#include <stddef.h>
#include <stdint.h>

#include "report/term.h"

struct tt_histogram {
    double low, high; /* edges; bins are equally wide */
    uint64_t bins[64];
    size_t nbins; /* 0: no finite value */
    uint64_t nonfinite;
};

/* `nbins` at most 64. A constant gives one bin. */
struct tt_histogram tt_histogram_of(const double *values, size_t count, size_t nbins);
void tt_histogram_print(const struct tt_term *term, const struct tt_histogram *histogram);

/* values: [rows, columns]. Condensed to what fits; a condensed cell shows its largest magnitude, so an
 * outlier never disappears. Half blocks in 256 colours (blue negative, red positive), letters without colour.
 */
void tt_heatmap_print(const struct tt_term *term, const double *values, size_t rows, size_t columns);

#endif
