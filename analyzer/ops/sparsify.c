/* SPDX-License-Identifier: Apache-2.0
 *
 * sparsify: the largest part of each row by a normal distribution's measure: y = max(0, x - (mean + k·deviation)), mean
 * and deviation over the row, k such that a share `sparsity` of normal numbers lies below.
 *   sparsity     share that becomes 0, e.g. 0.95; 0: y = x
 *   multiplier   k itself, whatever sparsity says (-inf: y = x); nan: from sparsity
 *   skip         1: y = x (a fault)
 *   unbiased     1: deviation over n - 1, as some engines have it
 */
#include <math.h>

#include "ops/support.h"

/* x with Φ(x) = p, by Newton's method. */
static double normal_quantile(double p)
{
    const double inverse_sqrt2 = 0.70710678118654752440, inverse_sqrt_2pi = 0.39894228040143267794;
    double x = 0;
    for (int i = 0; i < 64; i++) {
        double step = (0.5 * erfc(-x * inverse_sqrt2) - p) / (inverse_sqrt_2pi * exp(-0.5 * x * x));
        x -= fmax(-1, fmin(1, step));
        if (fabs(step) < 1e-16)
            break;
    }
    return x;
}

struct row {
    double mean, deviation, cut, cut_variance;
};

static struct row measure(const struct tt_op_call *call, int64_t first, int64_t width, double k)
{
    const struct tt_value *x = call->in[0];
    double n = (double)width, u = call->numerics.u_acc, squares = 0, moment = 0, spread = 0;
    struct row row = {0};
    for (int64_t i = first; i < first + width; i++)
        row.mean += x->v[i] / n;
    for (int64_t i = first; i < first + width; i++)
        moment += (x->v[i] - row.mean) * (x->v[i] - row.mean);
    row.deviation = sqrt(moment / (tt_op_number(call, "unbiased", 0) != 0 ? n - 1 : n));
    row.cut = row.mean + k * row.deviation;
    for (int64_t i = first; i < first + width && !call->value_only; i++) {
        double slope = 1 / n + (row.deviation > 0 ? k * (x->v[i] - row.mean) / (n * row.deviation) : 0);
        squares += x->v[i] * x->v[i] / n;
        spread += slope * slope * tt_input_variance(x, i);
    }
    row.cut_variance = spread + u * u * (0.1 * n * (squares / n + row.mean * row.mean) +
                                         (0.5 + 0.1 * n / 4) * k * k * row.deviation * row.deviation) +
                       tt_store_variance(&call->numerics, row.mean) + 2 * tt_store_variance(&call->numerics, k * row.deviation) +
                       tt_store_variance(&call->numerics, row.cut);
    return row;
}

/* Within a few sigma of the cut a right engine may have 0 or a small number: both lie within the error bar of x - cut. */
static void cut_row(const struct tt_op_call *call, int64_t first, int64_t width, double k, struct tt_value *out)
{
    const struct tt_value *x = call->in[0];
    struct row row = measure(call, first, width, k);
    for (int64_t i = first; i < first + width; i++) {
        double above = x->v[i] - row.cut;
        out->v[i] = above > 0 || isnan(above) ? above : 0;
        if (call->value_only)
            continue;
        double variance = tt_input_variance(x, i) + row.cut_variance;
        if (above > 0 || above * above < 64 * variance)
            out->var[i] = variance + tt_inner_variance(&call->numerics, above) + tt_store_variance(&call->numerics, out->v[i]);
    }
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "sparsify", 1, error))
        return -1;
    double sparsity = tt_op_number(call, "sparsity", 0), k = tt_op_number(call, "multiplier", NAN);
    int64_t width = tt_value_width(call->in[0]), count = tt_value_count(call->in[0]);
    if (!(sparsity >= 0 && sparsity < 1))
        return tt_fail(error, TT_EINPUT, "sparsify: sparsity %g is not a share between 0 and 1", sparsity);
    if ((isnan(k) && sparsity == 0) || k == -INFINITY || tt_op_number(call, "skip", 0) != 0) {
        *out = tt_value_copy(call->in[0]);
        return 0;
    }
    *out = tt_value_like(call->in[0]);
    if (!call->value_only)
        tt_value_need_var(out);
    for (int64_t first = 0; first < count; first += width)
        cut_row(call, first, width, isnan(k) ? normal_quantile(sparsity) : k, out);
    tt_clear_nonfinite(out);
    return 0;
}

static const struct tt_variant variants[] = {
    {"mlp.activation", "skip=1", NULL},
    {"mlp.activation", "multiplier=nan, sparsity=0.9", NULL},
    {0},
};

/* Not the same numbers, but within 1/(4n) of the deviation, and what a widely used engine does on purpose. */
static const struct tt_variant benign[] = {
    {"deviation over n - 1", "unbiased=1", NULL},
    {0},
};

const struct tt_op tt_op_sparsify = {
    .name = "sparsify",
    .defaults = "sparsity=0, multiplier=nan, skip=0, unbiased=0",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
    .benign = benign,
};
