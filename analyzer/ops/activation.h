/* SPDX-License-Identifier: Apache-2.0
 *
 * The pointwise functions of feed-forward blocks, with derivatives.
 */
#ifndef TT_OPS_ACTIVATION_H
#define TT_OPS_ACTIVATION_H

#include "ops/op.h"

struct tt_function {
    const char *name;
    double (*value)(double x);
    double (*slope)(double x);
    /* Variance, in (u_acc)², of evaluating it in the usual way at x. */
    double (*rounding)(double x);
};

/* NULL with *error for an unknown name. */
const struct tt_function *tt_function_find(const char *name, struct tt_error *error);

#endif
