/* SPDX-License-Identifier: Apache-2.0
 *
 * Which row of the weight each output was computed from, and the rule behind it.
 */
#ifndef TT_OPS_LINEAR_PERMUTATION_H
#define TT_OPS_LINEAR_PERMUTATION_H

#include "ops/linear.h"

struct tt_permutation {
    int64_t outputs;
    int64_t *source; /* [outputs] row of the weight that fits output n best, -1: none fits */
};

/* `expected`: the plain product; `observed` [rows, outputs]. */
void tt_permutation_match(const struct tt_linear *linear, const struct tt_value *expected,
                          const double *observed, struct tt_permutation *permutation);

/* Attributes of linear.h that describe the permutation, and words for them. False for the identity and for
 * permutations without a rule. */
bool tt_permutation_explain(const struct tt_permutation *permutation, struct tt_attributes *set, char *text,
                            size_t size);

#endif
