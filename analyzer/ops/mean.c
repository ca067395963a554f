/* SPDX-License-Identifier: Apache-2.0
 *
 * mean: of each row, [n, d] -> [n, 1].
 *   divisor   0: d
 */
#include <math.h>

#include "ops/support.h"

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "mean", 1, error))
        return -1;
    const struct tt_value *x = call->in[0];
    int64_t width = tt_value_width(x), rows = tt_value_rows(x);
    double divisor = tt_op_number(call, "divisor", 0), u = call->numerics.u_acc;
    divisor = divisor != 0 ? divisor : (double)width;
    *out = tt_value_new(2, (int64_t[]){rows, 1});
    double *var = call->value_only ? NULL : tt_value_need_var(out);
    for (int64_t r = 0; r < rows; r++) {
        double size = 0, variance = 0;
        for (int64_t i = r * width; i < (r + 1) * width; i++) {
            out->v[r] += x->v[i] / divisor;
            size += fabs(x->v[i]) / divisor;
            variance += var ? tt_input_variance(x, i) / (divisor * divisor) : 0;
        }
        if (var)
            var[r] = variance + u * u * (0.5 + 0.09 * (double)width) * size * size +
                     tt_store_variance(&call->numerics, out->v[r]);
    }
    tt_clear_nonfinite(out);
    return 0;
}

const struct tt_op tt_op_mean = {
    .name = "mean",
    .defaults = "divisor=0",
    .rowwise = true,
    .forward = forward,
};
