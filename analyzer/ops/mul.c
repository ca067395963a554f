/* SPDX-License-Identifier: Apache-2.0
 *
 * mul: y = a·b element by element, as in gated feed-forward blocks (a the activated gate, b the up
 * projection). drop        index of an input left out, -1: none act_first, act_second   function applied to a
 * or b before multiplying (a fault), "identity": none
 */
#include <math.h>

#include "ops/activation.h"
#include "ops/support.h"

/* One factor at element i: value and variance. */
static double factor(const struct tt_value *x, int64_t i, const struct tt_function *fn, double *variance)
{
    double slope = fn->slope(x->v[i]);
    *variance = slope * slope * tt_input_variance(x, i);
    return fn->value(x->v[i]);
}

static int check_shapes(const struct tt_op_call *call, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "mul", 2, error))
        return -1;
    if (tt_value_count(call->in[0]) != tt_value_count(call->in[1]))
        return tt_fail(error, TT_EINPUT, "mul: inputs have %lld and %lld elements",
                       (long long)tt_value_count(call->in[0]), (long long)tt_value_count(call->in[1]));
    return 0;
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    if (check_shapes(call, error))
        return -1;
    const struct tt_value *a = call->in[0], *b = call->in[1];
    const struct tt_function *first = tt_function_find(tt_op_string(call, "act_first", "identity"), error);
    const struct tt_function *second = tt_function_find(tt_op_string(call, "act_second", "identity"), error);
    if (!first || !second)
        return -1;
    int drop = (int)tt_op_number(call, "drop", -1);
    int64_t count = tt_value_count(a);
    *out = tt_value_like(a);
    double *var = tt_value_need_var(out);
    for (int64_t i = 0; i < count; i++) {
        double variance_a = 0, variance_b = 0;
        double va = drop == 0 ? 1 : factor(a, i, first, &variance_a);
        double vb = drop == 1 ? 1 : factor(b, i, second, &variance_b);
        out->v[i] = va * vb;
        var[i] = vb * vb * variance_a + va * va * variance_b + variance_a * variance_b;
    }
    tt_add_store_variance(call, out);
    tt_clear_nonfinite(out);
    return 0;
}

static const struct tt_variant variants[] = {
    {"mlp.gate_missing", "drop=0", NULL},
    {"mlp.gate_missing", "drop=1", NULL},
    {"mlp.double_activation", "act_second='silu'", NULL},
    {"mlp.double_activation", "act_second='gelu'", NULL},
    {"mlp.double_activation", "act_second='gelu_tanh'", NULL},
    {"mlp.double_activation", "act_second='relu'", NULL},
    {"mlp.double_activation", "act_first='silu'", NULL},
    {"mlp.double_activation", "act_first='gelu'", NULL},
    {"mlp.double_activation", "act_first='gelu_tanh'", NULL},
    {0},
};

const struct tt_op tt_op_mul = {
    .name = "mul",
    .defaults = "drop=-1, act_first='identity', act_second='identity'",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
};
