/* SPDX-License-Identifier: Apache-2.0
 *
 * mix: streams mixed by coefficients that each token brings along. In: c [T, n, m], x [T, m, d];
 * out[t, i, :] = Σ_j (c[t, i, j] + offset)·x[t, j, :]. With c [T, n] and x [T, d] the one vector is spread over n streams.
 *   offset      added to every coefficient, 0
 *   transpose   1: c[t, j, i] (a fault; n = m only)
 */
#include "ops/streams.h"
#include "ops/support.h"

struct mix {
    struct tt_streams x;
    int64_t outputs;
    double offset;
    bool transpose;
};

static int read_shapes(const struct tt_op_call *call, struct mix *m, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "mix", 2, error) || tt_streams_read(call->in[1], "mix", &m->x, error))
        return -1;
    const struct tt_value *c = call->in[0];
    int64_t per_token = m->x.tokens ? tt_value_count(c) / m->x.tokens : 0;
    if (c->shape[0] != m->x.tokens || per_token % m->x.count || (c->rank == 3 && c->shape[2] != m->x.count))
        return tt_fail(error, TT_EINPUT, "mix: %lld coefficients a token for %lld streams", (long long)per_token,
                       (long long)m->x.count);
    m->outputs = per_token / m->x.count;
    m->offset = tt_op_number(call, "offset", 0);
    m->transpose = tt_op_number(call, "transpose", 0) != 0;
    if (m->transpose && m->outputs != m->x.count)
        return tt_fail(error, TT_EINPUT, "mix: %lld x %lld coefficients cannot be transposed", (long long)m->outputs,
                       (long long)m->x.count);
    return 0;
}

/* One product of the sum, with what a rounded coefficient, stream and sum do to it. */
static void add_product(const struct tt_op_call *call, const struct mix *m, int64_t coefficient, int64_t from, int64_t at,
                        struct tt_value *out)
{
    const struct tt_value *c = call->in[0], *x = call->in[1];
    double factor = c->v[coefficient] + m->offset;
    double factor_variance = call->value_only ? 0 : tt_input_variance(c, coefficient) +
                             (m->offset != 0 ? tt_store_variance(&call->numerics, factor) : 0);
    for (int64_t i = 0; i < m->x.width; i++) {
        double v = x->v[from + i], term = factor * v;
        out->v[at + i] += term;
        if (!call->value_only)
            out->var[at + i] += factor * factor * tt_input_variance(x, from + i) + v * v * factor_variance +
                                2 * tt_inner_variance(&call->numerics, term);
    }
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    struct mix m;
    if (read_shapes(call, &m, error))
        return -1;
    *out = tt_value_new(3, (int64_t[]){m.x.tokens, m.outputs, m.x.width});
    if (!call->value_only)
        tt_value_need_var(out);
    for (int64_t row = 0; row < m.x.tokens * m.outputs; row++) {
        int64_t t = row / m.outputs, i = row % m.outputs, base = t * m.outputs * m.x.count;
        for (int64_t j = 0; j < m.x.count; j++)
            add_product(call, &m, base + (m.transpose ? j * m.outputs + i : i * m.x.count + j),
                        (t * m.x.count + j) * m.x.width, row * m.x.width, out);
    }
    if (!call->value_only)
        tt_add_store_variance(call, out);
    tt_clear_nonfinite(out);
    return 0;
}

static const struct tt_variant variants[] = {
    {"linear.transposed", "transpose=1", NULL},
    {"residual.scale", "offset=0", "offset!=0"},
    {"residual.scale", "offset=1", "offset==0"},
    {0},
};

const struct tt_op tt_op_mix = {
    .name = "mix",
    .defaults = "offset=0, transpose=0",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
};
