/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_sum: all streams of a token added up, [T, n, d] -> [T, d].
 *   factor   of the sum (1); 1/n makes it the mean
 *   drop     index of a stream left out (a fault), -1: none
 */
#include "ops/streams.h"
#include "ops/support.h"

static void add_stream(const struct tt_op_call *call, const struct tt_streams *s, int64_t n, double factor,
                       struct tt_value *out)
{
    const struct tt_value *x = call->in[0];
    for (int64_t i = 0; i < s->tokens * s->width; i++) {
        int64_t from = (i / s->width * s->count + n) * s->width + i % s->width;
        double term = factor * x->v[from];
        out->v[i] += term;
        if (!call->value_only)
            out->var[i] += factor * factor * tt_input_variance(x, from) + tt_inner_variance(&call->numerics, term);
    }
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    struct tt_streams s;
    if (tt_op_expect_inputs(call, "stream_sum", 1, error) || tt_streams_read(call->in[0], "stream_sum", &s, error))
        return -1;
    double factor = tt_op_number(call, "factor", 1);
    int64_t drop = (int64_t)tt_op_number(call, "drop", -1);
    *out = tt_value_new(2, (int64_t[]){s.tokens, s.width});
    if (!call->value_only)
        tt_value_need_var(out);
    for (int64_t n = 0; n < s.count; n++)
        if (n != drop)
            add_stream(call, &s, n, factor, out);
    for (int64_t i = 0; !call->value_only && i < tt_value_count(out); i++)
        out->var[i] += tt_store_variance(&call->numerics, out->v[i]) + tt_inner_variance(&call->numerics, out->v[i]);
    tt_clear_nonfinite(out);
    return 0;
}

static const struct tt_variant variants[] = {
    {"residual.scale", "factor=1", "factor!=1"},
    {"residual.missing", "drop=0", NULL},
    {"residual.missing", "drop=1", NULL},
    {0},
};

const struct tt_op tt_op_stream_sum = {
    .name = "stream_sum",
    .defaults = "factor=1, drop=-1",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
};
