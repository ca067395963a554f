/* SPDX-License-Identifier: Apache-2.0
 *
 * expert_sum: what the chosen experts say together. x [T, k, hidden], weights [T, k] -> [T, hidden],
 * y[t] = scale·Σ_j weights[t, j]·x[t, j].
 *   scale        1
 *   use_weights  1; 0: every expert counts alike (fault)
 *   reversed     1: the weights are applied in reverse order (fault)
 *   best_only    1: the others are left out (fault)
 *   last_only    1: each expert overwrites the sum of those before (fault)
 */
#include "ops/support.h"

struct mixture {
    const struct tt_op_call *call;
    const struct tt_value *x, *weights;
    int64_t tokens, k, hidden;
    double scale;
    bool use_weights, reversed;
    int64_t first, last; /* places that count */
};

static int read_call(const struct tt_op_call *call, struct mixture *m, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "expert_sum", 2, error))
        return -1;
    *m = (struct mixture){.call = call, .x = call->in[0], .weights = call->in[1]};
    if (m->x->rank != 3 || m->weights->rank != 2 || m->x->shape[0] != m->weights->shape[0] ||
        m->x->shape[1] != m->weights->shape[1])
        return tt_fail(error, TT_EINPUT, "expert_sum: needs x [tokens, k, hidden] and weights [tokens, k]");
    m->tokens = m->x->shape[0], m->k = m->x->shape[1], m->hidden = m->x->shape[2];
    m->scale = tt_op_number(call, "scale", 1);
    m->use_weights = tt_op_number(call, "use_weights", 1) != 0;
    m->reversed = tt_op_number(call, "reversed", 0) != 0;
    m->first = tt_op_number(call, "last_only", 0) != 0 ? m->k - 1 : 0;
    m->last = tt_op_number(call, "best_only", 0) != 0 ? 0 : m->k - 1;
    return 0;
}

/* Weight of place j of token t, with the variance that belongs to it alone. */
static double weight_of(const struct mixture *m, int64_t t, int64_t j, double *variance)
{
    int64_t at = t * m->k + (m->reversed ? m->k - 1 - j : j);
    *variance = m->use_weights && m->weights->var ? m->scale * m->scale * m->weights->var[at] : 0;
    return m->scale * (m->use_weights ? m->weights->v[at] : 1);
}

static void add_place(const struct mixture *m, int64_t t, int64_t j, struct tt_value *out)
{
    double of_weight, weight = weight_of(m, t, j, &of_weight);
    for (int64_t i = 0; i < m->hidden; i++) {
        int64_t from = (t * m->k + j) * m->hidden + i, to = t * m->hidden + i;
        double x = m->x->v[from], term = weight * x;
        out->v[to] += term;
        if (!out->var)
            continue;
        double of_x = tt_input_variance(m->x, from);
        /* the product's rounding, and a partial sum's, which is no larger than a few terms */
        out->var[to] += weight * weight * of_x + x * x * of_weight + of_weight * of_x +
                        2 * tt_inner_variance(&m->call->numerics, term);
    }
}

static void carry_row_factor(const struct mixture *m, struct tt_value *out)
{
    if (!out->var || !m->use_weights || !m->weights->row_var)
        return;
    for (int64_t t = 0; t < m->tokens; t++)
        tt_value_need_row_var(out)[t] = m->weights->row_var[t];
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    struct mixture m;
    if (read_call(call, &m, error))
        return -1;
    *out = tt_value_new(2, (int64_t[]){m.tokens, m.hidden});
    if (!call->value_only)
        tt_value_need_var(out);
    for (int64_t t = 0; t < m.tokens; t++) {
        for (int64_t j = m.first; j <= m.last; j++)
            add_place(&m, t, j, out);
    }
    carry_row_factor(&m, out);
    if (!call->value_only)
        tt_add_store_variance(call, out);
    tt_clear_nonfinite(out);
    return 0;
}

static const struct tt_variant variants[] = {
    {"moe.gate_order", "reversed=1", NULL},
    {"moe.scale", "use_weights=0", NULL},
    {"moe.expert_order", "best_only=1", NULL},
    {"moe.expert_order", "last_only=1", NULL},
    {0},
};

const struct tt_op tt_op_expert_sum = {
    .name = "expert_sum",
    .defaults = "scale=1, use_weights=1, reversed=0, best_only=0, last_only=0",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
};
