/* SPDX-License-Identifier: Apache-2.0
 *
 * magnitude: streams brought to the root mean square of another vector. In: x [T, n, d] or [T, d], like [T, d];
 * y = x·rms(like) / max(rms(x), √floor).
 *   floor   of the mean square, 1e-5
 *   skip    1: y = x (a fault)
 */
#include <math.h>

#include "ops/streams.h"
#include "ops/support.h"

/* Mean of squares; *variance: relative, of computing it from what the engine had. */
static double mean_square(const struct tt_op_call *call, const struct tt_value *x, int64_t first, int64_t width,
                          double *variance)
{
    double sum = 0, spread = 0, u = call->numerics.u_acc;
    for (int64_t i = first; i < first + width; i++) {
        sum += x->v[i] * x->v[i];
        spread += x->var ? 4 * x->v[i] * x->v[i] * x->var[i] : 0;
    }
    *variance = u * u * (0.5 + 0.25 * (double)width) + (sum > 0 ? spread / (sum * sum) : 0);
    if (x->row_var)
        *variance += 4 * x->row_var[first / width];
    return width ? sum / (double)width : 0;
}

static void scale_row(const struct tt_op_call *call, int64_t row, const struct tt_streams *s, struct tt_value *out)
{
    const struct tt_value *x = call->in[0];
    int64_t first = row * s->width;
    double own_variance, like_variance, floor = tt_op_number(call, "floor", 1e-5);
    double own = mean_square(call, x, first, s->width, &own_variance);
    double like = mean_square(call, call->in[1], row / s->count * s->width, s->width, &like_variance);
    double factor = tt_op_number(call, "skip", 0) != 0 ? 1 : sqrt(like / fmax(own, floor));
    for (int64_t i = first; i < first + s->width; i++)
        out->v[i] = factor * x->v[i];
    if (call->value_only)
        return;
    for (int64_t i = first; i < first + s->width; i++)
        out->var[i] = factor * factor * (x->var ? x->var[i] : 0) + 3 * tt_inner_variance(&call->numerics, out->v[i]);
    /* engines store both means, both roots and one product on the way in the activations' format */
    double inner = fmax(call->numerics.u_store, call->numerics.u_acc), stored = TT_ROUNDING_VARIANCE * inner * inner;
    for (int64_t i = first; i < first + s->width; i++)
        out->var[i] += stored * out->v[i] * out->v[i];
    own_variance += 5 * stored, like_variance += 5 * stored;
    /* roots halve relative errors; the row's own common factor cancels against its mean square unless the floor holds */
    out->row_var[row] = (like_variance + (own > floor ? own_variance - (x->row_var ? 4 * x->row_var[row] : 0) : 0)) / 4;
    if (own <= floor && x->row_var)
        out->row_var[row] += x->row_var[row];
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    struct tt_streams s;
    if (tt_op_expect_inputs(call, "magnitude", 2, error) || tt_streams_read(call->in[0], "magnitude", &s, error))
        return -1;
    if (tt_value_count(call->in[1]) != s.tokens * s.width)
        return tt_fail(error, TT_EINPUT, "magnitude: %lld values for %lld tokens of %lld",
                       (long long)tt_value_count(call->in[1]), (long long)s.tokens, (long long)s.width);
    *out = tt_value_like(call->in[0]);
    if (!call->value_only) {
        tt_value_need_var(out);
        tt_value_need_row_var(out);
    }
    for (int64_t row = 0; row < s.tokens * s.count; row++)
        scale_row(call, row, &s, out);
    if (!call->value_only)
        tt_add_store_variance(call, out);
    tt_clear_nonfinite(out);
    return 0;
}

static const struct tt_variant variants[] = {
    {"norm.skipped", "skip=1", NULL},
    {0},
};

const struct tt_op tt_op_magnitude = {
    .name = "magnitude",
    .defaults = "floor=1e-5, skip=0",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
};
