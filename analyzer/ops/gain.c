/* SPDX-License-Identifier: Apache-2.0
 *
 * gain: y = x·(w + offset), w repeated over the rows of x: a learned scale of each channel.
 *   offset       0
 *   use_weight   1; 0: y = x (a fault)
 */
#include "ops/support.h"

static int check(const struct tt_op_call *call, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "gain", 1, error))
        return -1;
    int64_t n = call->weight[0] ? tt_value_count(call->weight[0]) : 0, count = tt_value_count(call->in[0]);
    if (n <= 0 || count % n)
        return tt_fail(error, TT_EINPUT, "gain: %lld factors for %lld values", (long long)n, (long long)count);
    return 0;
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    if (check(call, error))
        return -1;
    const struct tt_value *x = call->in[0], *weight = call->weight[0];
    double offset = tt_op_number(call, "offset", 0), use = tt_op_number(call, "use_weight", 1);
    int64_t n = tt_value_count(weight), count = tt_value_count(x);
    *out = tt_value_like(x);
    for (int64_t i = 0; i < count; i++)
        out->v[i] = use != 0 ? x->v[i] * (weight->v[i % n] + offset) : x->v[i];
    if (call->value_only)
        return 0;
    tt_value_need_var(out);
    for (int64_t i = 0; i < count; i++) {
        double factor = use != 0 ? weight->v[i % n] + offset : 1;
        out->var[i] = factor * factor * (x->var ? x->var[i] : 0) + tt_inner_variance(&call->numerics, out->v[i]);
    }
    for (int64_t r = 0, rows = tt_value_rows(x); x->row_var && r < rows; r++)
        tt_value_need_row_var(out)[r] = x->row_var[r];
    tt_add_store_variance(call, out);
    tt_clear_nonfinite(out);
    return 0;
}

static const struct tt_variant variants[] = {
    {"norm.weight_missing", "use_weight=0", NULL},
    {"norm.offset_extra", "offset=1", "offset==0"},
    {"norm.offset_missing", "offset=0", "offset!=0"},
    {0},
};

const struct tt_op tt_op_gain = {
    .name = "gain",
    .defaults = "offset=0, use_weight=1",
    .weight_roles = {"weight"},
    .rowwise = true,
    .forward = forward,
    .variants = variants,
};
