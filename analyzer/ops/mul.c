/* SPDX-License-Identifier: Apache-2.0
 *
 * mul: y = a·(b + offset) element by element, as in gated feed-forward blocks (a the activated gate, b the up
 * projection). A factor with one element a row is repeated over the row (a gate of a whole expert).
 *   offset                  0
 *   drop                    index of an input left out (a fault), -1: none
 *   act_first, act_second   function applied to a or b before multiplying (a fault), "identity": none
 */
#include <math.h>

#include "ops/activation.h"
#include "ops/support.h"

struct factor {
    const struct tt_value *x;
    const struct tt_function *fn;
    int64_t repeat; /* elements of the result for each of x */
    double offset;
    bool dropped;
};

/* Value and variance of the factor for element i of the result. */
static double factor_at(const struct tt_op_call *call, const struct factor *f, int64_t i, double *variance)
{
    double x = f->x->v[i / f->repeat], slope = f->fn->slope(x), y = f->fn->value(x) + f->offset;
    *variance = f->dropped ? 0 : slope * slope * tt_input_variance(f->x, i / f->repeat);
    if (f->offset != 0 && !f->dropped)
        *variance += tt_inner_variance(&call->numerics, y);
    return f->dropped ? 1 : y;
}

static bool whole_row(const struct tt_value *x, const struct tt_value *other)
{
    return tt_value_width(x) == 1 && tt_value_count(x) == tt_value_rows(other);
}

static int check_shapes(const struct tt_op_call *call, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "mul", 2, error))
        return -1;
    const struct tt_value *a = call->in[0], *b = call->in[1];
    if (tt_value_count(a) != tt_value_count(b) && !whole_row(a, b) && !whole_row(b, a))
        return tt_fail(error, TT_EINPUT, "mul: inputs have %lld and %lld elements", (long long)tt_value_count(a),
                       (long long)tt_value_count(b));
    return 0;
}

static int read_factor(const struct tt_op_call *call, int index, const char *act, int64_t count, struct factor *f,
                       struct tt_error *error)
{
    int64_t own = tt_value_count(call->in[index]);
    *f = (struct factor){.x = call->in[index], .repeat = own ? count / own : 1};
    f->dropped = (int)tt_op_number(call, "drop", -1) == index;
    f->offset = index == 1 ? tt_op_number(call, "offset", 0) : 0;
    f->fn = tt_function_find(tt_op_string(call, act, "identity"), error);
    return f->fn ? 0 : -1;
}

static void multiply(const struct tt_op_call *call, const struct factor *first, const struct factor *second,
                     struct tt_value *out)
{
    int64_t count = tt_value_count(out);
    for (int64_t i = 0; i < count; i++) {
        double variance_a, variance_b;
        double a = factor_at(call, first, i, &variance_a), b = factor_at(call, second, i, &variance_b);
        out->v[i] = a * b;
        if (out->var)
            out->var[i] = b * b * variance_a + a * a * variance_b + variance_a * variance_b;
    }
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    if (check_shapes(call, error))
        return -1;
    bool second_longer = tt_value_count(call->in[1]) > tt_value_count(call->in[0]);
    const struct tt_value *like = call->in[second_longer];
    struct factor first, second;
    if (read_factor(call, 0, "act_first", tt_value_count(like), &first, error) ||
        read_factor(call, 1, "act_second", tt_value_count(like), &second, error))
        return -1;
    *out = tt_value_like(like);
    if (!call->value_only)
        tt_value_need_var(out);
    multiply(call, &first, &second, out);
    if (!call->value_only)
        tt_add_store_variance(call, out);
    tt_clear_nonfinite(out);
    return 0;
}

static const struct tt_variant variants[] = {
    {"mlp.gate_missing", "drop=0", NULL},
    {"mlp.gate_missing", "drop=1", NULL},
    {"mlp.offset_missing", "offset=0", "offset!=0"},
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
    .defaults = "offset=0, drop=-1, act_first='identity', act_second='identity'",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
};
