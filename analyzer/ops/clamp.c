/* SPDX-License-Identifier: Apache-2.0
 *
 * clamp: y = x within [min, max]. NaN stays NaN.
 *   min, max   limits; beyond any f32 by default
 */
#include <math.h>

#include "ops/support.h"

#define SIGMAS 8

/* Far beyond a limit the input's error does not show. */
static double variance_of(const struct tt_op_call *call, double x, double min, double max, double variance)
{
    double beyond = fmax(min - x, x - max);
    double limit = beyond > 0 ? tt_store_variance(&call->numerics, x < min ? min : max) : 0;
    bool hidden = beyond > 0 && beyond * beyond > SIGMAS * SIGMAS * variance;
    return (hidden ? 0 : variance) + limit;
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "clamp", 1, error))
        return -1;
    const struct tt_value *x = call->in[0];
    double min = tt_op_number(call, "min", -1e308), max = tt_op_number(call, "max", 1e308);
    int64_t count = tt_value_count(x);
    if (!(min <= max))
        return tt_fail(error, TT_EINPUT, "clamp: limits %g and %g", min, max);
    *out = tt_value_like(x);
    if (!call->value_only)
        tt_value_need_var(out);
    for (int64_t i = 0; i < count; i++) {
        double v = x->v[i];
        out->v[i] = v < min ? min : v > max ? max : v;
        if (out->var)
            out->var[i] = variance_of(call, v, min, max, tt_input_variance(x, i));
    }
    tt_clear_nonfinite(out);
    return 0;
}

static const struct tt_variant variants[] = {
    {"mlp.clamp_missing", "min=-1e308, max=1e308", "min>-1e308 || max<1e308"},
    {"mlp.clamp_missing", "min=-1e308", "min>-1e308 && max<1e308"},
    {"mlp.clamp_missing", "max=1e308", "min>-1e308 && max<1e308"},
    {"mlp.clamp_missing", "min=-max", "min<=-1e308 && max<1e308"},
    {0},
};

const struct tt_op tt_op_clamp = {
    .name = "clamp",
    .defaults = "min=-1e308, max=1e308",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
};
