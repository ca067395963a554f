/* SPDX-License-Identifier: Apache-2.0
 *
 * add: y = scale_first·in[0] + scale·(in[1] + …), 2 to 6 inputs; in[0] is the skip path of a residual. An
 * input whose elements are a divisor of in[0]'s count is repeated over the leading axes.
 *   scale, scale_first   multipliers (1)
 *   position_input       index of the input that holds position embeddings, -1: none
 *   shared_input         index of the input that holds the shared experts' result, -1: none
 *   drop, double         index of an input left out or counted twice (faults), -1: none
 * With neither position_input nor shared_input the sum is a residual.
 */
#include <math.h>
#include <stdio.h>

#include "ops/fit.h"
#include "ops/support.h"

static int check_shapes(const struct tt_op_call *call, struct tt_error *error)
{
    if (call->nin < 2 || tt_op_expect_inputs(call, "add", call->nin, error))
        return tt_fail(error, TT_EINPUT, "add: needs 2 to %d inputs with values, got %d", TT_OP_MAX_INPUTS,
                       call->nin);
    int64_t count = tt_value_count(call->in[0]);
    for (int i = 1; i < call->nin; i++) {
        int64_t other = tt_value_count(call->in[i]);
        if (!other || count % other)
            return tt_fail(error, TT_EINPUT, "add: input %d has %lld elements, input 0 has %lld", i,
                           (long long)other, (long long)count);
    }
    return 0;
}

static void weigh_inputs(const struct tt_op_call *call, double *weight)
{
    int drop = (int)tt_op_number(call, "drop", -1), doubled = (int)tt_op_number(call, "double", -1);
    for (int i = 0; i < call->nin; i++) {
        weight[i] = tt_op_number(call, i ? "scale" : "scale_first", 1);
        weight[i] *= i == drop ? 0 : i == doubled ? 2 : 1;
    }
}

static void accumulate(const struct tt_op_call *call, const struct tt_value *x, double weight,
                       struct tt_value *out)
{
    int64_t count = tt_value_count(out), repeat = tt_value_count(x);
    if (weight == 0)
        return; /* an absent term brings no NaN either */
    for (int64_t i = 0; i < count; i++) {
        int64_t j = i % repeat;
        double term = weight * x->v[j];
        out->v[i] += term;
        /* partial sums are no larger than a few terms: one inner rounding per term covers any order */
        out->var[i] += weight * weight * tt_input_variance(x, j) + tt_inner_variance(&call->numerics, term);
    }
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    double weight[TT_OP_MAX_INPUTS];
    if (check_shapes(call, error))
        return -1;
    weigh_inputs(call, weight);
    *out = tt_value_like(call->in[0]);
    tt_value_need_var(out);
    for (int i = 0; i < call->nin; i++)
        accumulate(call, call->in[i], weight[i], out);
    tt_add_store_variance(call, out);
    tt_clear_nonfinite(out);
    return 0;
}

/* The two sides of a residual: in[0], and the sum of the others. */
static double other_side(const struct tt_op_call *call, int64_t i)
{
    double sum = 0;
    for (int k = 1; k < call->nin; k++)
        sum += call->in[k]->v[i % tt_value_count(call->in[k])];
    return sum;
}

struct normal_equations {
    double aa, ab, bb, ay, by; /* weighted products of the sides a, b and the observation y */
};

static struct normal_equations weigh_sides(const struct tt_op_call *call, const struct tt_value *expected,
                                           const struct tt_value *observed)
{
    struct normal_equations n = {0};
    int64_t count = tt_value_count(observed);
    for (int64_t i = 0; i < count; i++) {
        double a = call->in[0]->v[i], b = other_side(call, i), y = observed->v[i], w = expected->var[i];
        w = 1 / (w + tt_store_variance(&call->numerics, y));
        if (!isfinite(a) || !isfinite(b) || !isfinite(y) || !isfinite(w))
            continue;
        n.aa += w * a * a, n.ab += w * a * b, n.bb += w * b * b;
        n.ay += w * a * y, n.by += w * b * y;
    }
    return n;
}

/* observed = a·in[0] + b·(in[1] + …) */
static int recover(const struct tt_op_call *call, const struct tt_value *observed, struct tt_recovery *found,
                   int most)
{
    struct tt_recoveries list = {"add", call, observed, found, most, 0, 0};
    struct tt_value expected = {0};
    struct tt_attributes set = {0};
    if (forward(call, &expected, NULL) || tt_value_count(observed) != tt_value_count(&expected))
        return 0;
    struct normal_equations n = weigh_sides(call, &expected, observed);
    tt_value_free(&expected);
    double determinant = n.aa * n.bb - n.ab * n.ab;
    if (!(determinant > 0))
        return 0;
    double a = (n.ay * n.bb - n.by * n.ab) / determinant, b = (n.by * n.aa - n.ay * n.ab) / determinant;
    double size = fmax(1, fmax(fabs(a), fabs(b)));
    a = tt_fit_snap(a, 6 * size * sqrt(n.bb / determinant));
    b = tt_fit_snap(b, 6 * size * sqrt(n.aa / determinant));
    double first = tt_op_number(call, "scale_first", 1), others = tt_op_number(call, "scale", 1);
    if (a == first && b == others)
        return 0;
    char before[48], after[48];
    snprintf(before, sizeof before, "%.6g x + %.6g f", first, others);
    snprintf(after, sizeof after, "%.6g x + %.6g f", a, b);
    tt_attributes_set_number(&set, "scale_first", a);
    tt_attributes_set_number(&set, "scale", b);
    bool shared = tt_op_number(call, "shared_input", -1) >= 0;
    tt_recovery_offer(&list, shared ? "moe.scale" : "residual.scale", &set, before, after);
    return list.count;
}

static const struct tt_variant variants[] = {
    {"residual.missing", "drop=0", "position_input<0 && shared_input<0"},
    {"residual.missing", "drop=1", "position_input<0 && shared_input<0"},
    {"residual.doubled", "double=0", "position_input<0 && shared_input<0"},
    {"residual.doubled", "double=1", "position_input<0 && shared_input<0"},
    {"embed.position_missing", "drop=position_input", "position_input>=0"},
    {"moe.shared_missing", "drop=shared_input", "shared_input>=0"},
    {0},
};

const struct tt_op tt_op_add = {
    .name = "add",
    .defaults = "scale=1, scale_first=1, drop=-1, double=-1, position_input=-1, shared_input=-1",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
    .recover = recover,
};
