/* SPDX-License-Identifier: Apache-2.0
 *
 * top_probability: how sure a row of logits is, [n, classes] -> [n, 1]: the largest softmax probability,
 * 1 / Σ exp(scale·(x - max x)).
 *   scale   of the logits (1)
 */
#include <math.h>

#include "ops/support.h"

/* dy = y·(dx_top - Σ p dx): the Jacobian of softmax in the largest element's row. */
static double variance_of(const struct tt_op_call *call, int64_t first, int64_t width, double scale, double top, double y)
{
    const struct tt_value *x = call->in[0];
    double u = call->numerics.u_acc, variance = 0, rounding = 0;
    for (int64_t i = first; i < first + width; i++) {
        double away = scale * (x->v[i] - top), p = y * exp(away), slope = scale * ((x->v[i] == top ? 1 : 0) - p);
        variance += slope * slope * tt_input_variance(x, i);
        rounding += p * p * (1 + away * away);
    }
    return y * y * (variance + u * u * (0.5 + rounding + 0.25 * (double)width));
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "top_probability", 1, error))
        return -1;
    const struct tt_value *x = call->in[0];
    int64_t width = tt_value_width(x), rows = tt_value_rows(x);
    *out = tt_value_new(2, (int64_t[]){rows, 1});
    double scale = tt_op_number(call, "scale", 1);
    double *var = call->value_only ? NULL : tt_value_need_var(out);
    for (int64_t r = 0; r < rows; r++) {
        double top = -INFINITY, sum = 0;
        for (int64_t i = r * width; i < (r + 1) * width; i++)
            top = x->v[i] <= top ? top : x->v[i];
        for (int64_t i = r * width; i < (r + 1) * width; i++)
            sum += exp(scale * (x->v[i] - top));
        out->v[r] = 1 / sum;
        if (var)
            var[r] = variance_of(call, r * width, width, scale, top, out->v[r]) + tt_store_variance(&call->numerics, out->v[r]);
    }
    tt_clear_nonfinite(out);
    return 0;
}

const struct tt_op tt_op_top_probability = {
    .name = "top_probability",
    .defaults = "scale=1",
    .rowwise = true,
    .forward = forward,
};
