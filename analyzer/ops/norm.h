/* SPDX-License-Identifier: Apache-2.0
 *
 * The normalisations: one definition, of which rmsnorm and layernorm are two settings.
 *
 *   y = (x - centre) / sqrt(moment + eps) · (weight + offset) + bias       over each group of a row
 *
 *   form        "rmsnorm" (centre 0, moment mean x²) | "layernorm" (mean, variance) | "sum" (centre 0, moment Σ x²) |
 *               "skip" (y = x)
 *   eps         1e-6 rmsnorm, 1e-5 layernorm
 *   offset      added to the weight (0; 1 in families that store w - 1)
 *   use_weight, use_bias   1
 *   groups      groups of a row that are normalised apart (1)
 *   join        1: all axes but the first are one row, [heads, n] together; the weight has their product
 *   cast_order  "after": one rounding at the end | "before": the normalised row is rounded to storage, then multiplied
 */
#ifndef TT_OPS_NORM_H
#define TT_OPS_NORM_H

#include "ops/op.h"

int tt_norm_forward(const struct tt_op_call *call, const char *form, double eps, struct tt_value *out,
                    struct tt_error *error);
/* Fits eps. */
int tt_norm_recover(const struct tt_op_call *call, const struct tt_value *observed, const char *form,
                    double eps, struct tt_recovery *found, int most);

#endif
