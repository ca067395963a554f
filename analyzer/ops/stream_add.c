/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_add: one vector a token added to some of its streams. In: streams [T, n, d], x [T, d]; out [T, n, d] = streams,
 * plus scale·x in the streams from `first` on.
 *   first   index of the first stream that gets x, 0
 *   scale   of x (1); 0 leaves it out (a fault)
 */
#include "ops/streams.h"
#include "ops/support.h"

static void add_to(const struct tt_op_call *call, int64_t at, int64_t from, int64_t width, double scale,
                   struct tt_value *out)
{
    const struct tt_value *x = call->in[1];
    for (int64_t i = 0; i < width; i++) {
        out->v[at + i] += scale * x->v[from + i];
        if (!call->value_only)
            out->var[at + i] += scale * scale * tt_input_variance(x, from + i) +
                                tt_inner_variance(&call->numerics, out->v[at + i]) +
                                tt_store_variance(&call->numerics, out->v[at + i]);
    }
}

/* The common factor of a row with an addend is one no longer. */
static void fold_row_factor(struct tt_value *out, int64_t row, int64_t width)
{
    for (int64_t i = row * width; out->row_var && i < (row + 1) * width; i++)
        out->var[i] += out->row_var[row] * out->v[i] * out->v[i];
    if (out->row_var)
        out->row_var[row] = 0;
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    struct tt_streams s;
    if (tt_op_expect_inputs(call, "stream_add", 2, error) || tt_streams_read(call->in[0], "stream_add", &s, error))
        return -1;
    if (tt_value_count(call->in[1]) != s.tokens * s.width)
        return tt_fail(error, TT_EINPUT, "stream_add: %lld values for %lld tokens of %lld",
                       (long long)tt_value_count(call->in[1]), (long long)s.tokens, (long long)s.width);
    double scale = tt_op_number(call, "scale", 1);
    int64_t first = (int64_t)tt_op_number(call, "first", 0);
    *out = tt_value_copy(call->in[0]);
    if (!call->value_only)
        tt_value_need_var(out);
    for (int64_t t = 0; t < s.tokens; t++) {
        for (int64_t n = first < 0 ? 0 : first; n < s.count; n++) {
            if (!call->value_only)
                fold_row_factor(out, t * s.count + n, s.width);
            add_to(call, (t * s.count + n) * s.width, t * s.width, s.width, scale, out);
        }
    }
    tt_clear_nonfinite(out);
    return 0;
}

static const struct tt_variant variants[] = {
    {"residual.missing", "scale=0", NULL},
    {"residual.doubled", "scale=2", NULL},
    {"flow.wrong_operand", "first=0", "first>0"},
    {"flow.wrong_operand", "first=first+1", NULL},
    {0},
};

const struct tt_op tt_op_stream_add = {
    .name = "stream_add",
    .defaults = "first=0, scale=1",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
};
