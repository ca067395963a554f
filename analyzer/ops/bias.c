/* SPDX-License-Identifier: Apache-2.0
 *
 * bias: y = x + b, b over the row. Kept apart from the product because a BLAS call shows the product alone.
 *   use_bias   1; 0 leaves it out (fault)
 */
#include "ops/support.h"

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    const struct tt_value *bias = call->weight[0];
    if (tt_op_expect_inputs(call, "bias", 1, error))
        return -1;
    const struct tt_value *x = call->in[0];
    int64_t n = bias ? tt_value_count(bias) : 0, count = tt_value_count(x);
    if (n <= 0 || count % n)
        return tt_fail(error, TT_EINPUT, "bias: %lld biases for %lld values", (long long)n, (long long)count);
    double use = tt_op_number(call, "use_bias", 1);
    *out = tt_value_like(x);
    tt_value_need_var(out);
    for (int64_t i = 0; i < count; i++) {
        out->v[i] = x->v[i] + use * bias->v[i % n];
        out->var[i] = tt_input_variance(x, i) + tt_inner_variance(&call->numerics, out->v[i]);
    }
    tt_add_store_variance(call, out);
    tt_clear_nonfinite(out);
    return 0;
}

static const struct tt_variant variants[] = {
    {"linear.bias_missing", "use_bias=0", NULL},
    {0},
};

const struct tt_op tt_op_bias = {
    .name = "bias",
    .weight_roles = {"bias"},
    .defaults = "use_bias=1",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
};
