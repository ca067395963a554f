/* SPDX-License-Identifier: Apache-2.0
 *
 * similarity: cosine of the angle between two rows, [n, d] and [n, d] -> [n, 1]: a·b / (max(|a|, eps)·max(|b|, eps)).
 *   eps         1e-8
 *   normalise   1; 0: the product alone (a fault)
 */
#include <math.h>

#include "ops/support.h"

struct sums {
    double aa, ab, bb, size; /* size: Σ |a·b| */
};

static struct sums add_up(const struct tt_value *a, const struct tt_value *b, int64_t first, int64_t width)
{
    struct sums s = {0};
    for (int64_t i = first; i < first + width; i++) {
        s.aa += a->v[i] * a->v[i], s.bb += b->v[i] * b->v[i];
        s.ab += a->v[i] * b->v[i], s.size += fabs(a->v[i] * b->v[i]);
    }
    return s;
}

/* dy/da = (b/|b| - y·a/|a|)/|a|, and the same for b; sums and roots rounded. */
static double variance_of(const struct tt_op_call *call, const struct sums *s, int64_t first, int64_t width, double y,
                          bool normalise)
{
    const struct tt_value *a = call->in[0], *b = call->in[1];
    double u = call->numerics.u_acc, la = normalise ? sqrt(s->aa) : 1, lb = normalise ? sqrt(s->bb) : 1, variance = 0;
    for (int64_t i = first; i < first + width && la > 0 && lb > 0; i++) {
        double to_a = b->v[i] / (la * lb) - (normalise ? y * a->v[i] / s->aa : 0);
        double to_b = a->v[i] / (la * lb) - (normalise ? y * b->v[i] / s->bb : 0);
        variance += to_a * to_a * tt_input_variance(a, i) + to_b * to_b * tt_input_variance(b, i);
    }
    double sum = la > 0 && lb > 0 ? s->size / (la * lb) : 0;
    return variance + u * u * (double)width * 0.09 * sum * sum + u * u * (1 + 0.25 * (double)width) * y * y;
}

static int check(const struct tt_op_call *call, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "similarity", 2, error))
        return -1;
    if (tt_value_count(call->in[0]) != tt_value_count(call->in[1]) ||
        tt_value_width(call->in[0]) != tt_value_width(call->in[1]))
        return tt_fail(error, TT_EINPUT, "similarity: inputs have %lld and %lld elements",
                       (long long)tt_value_count(call->in[0]), (long long)tt_value_count(call->in[1]));
    return 0;
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    if (check(call, error))
        return -1;
    double eps = tt_op_number(call, "eps", 1e-8);
    bool normalise = tt_op_number(call, "normalise", 1) != 0;
    int64_t width = tt_value_width(call->in[0]), rows = tt_value_rows(call->in[0]);
    *out = tt_value_new(2, (int64_t[]){rows, 1});
    if (!call->value_only)
        tt_value_need_var(out);
    for (int64_t r = 0; r < rows; r++) {
        struct sums s = add_up(call->in[0], call->in[1], r * width, width);
        double lengths = normalise ? fmax(sqrt(s.aa), eps) * fmax(sqrt(s.bb), eps) : 1;
        out->v[r] = s.ab / lengths;
        if (!call->value_only)
            out->var[r] = variance_of(call, &s, r * width, width, out->v[r], normalise) +
                          tt_store_variance(&call->numerics, out->v[r]);
    }
    tt_clear_nonfinite(out);
    return 0;
}

static const struct tt_variant variants[] = {
    {"attn.not_normalised", "normalise=0", NULL},
    {0},
};

const struct tt_op tt_op_similarity = {
    .name = "similarity",
    .defaults = "eps=1e-8, normalise=1",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
};
