/* SPDX-License-Identifier: Apache-2.0
 *
 * pv: attention context, out[t, h, d] = Σ_s probs[t, h, s]·v[s, g(h), d]. A probability of exactly 0 is a
 * masked key: it contributes nothing, whatever (even NaN) its value row holds. head_map  as in qk
 */
#include <math.h>
#include <stdlib.h>

#include "ops/product.h"
#include "ops/support.h"

struct context {
    const struct tt_value *probs, *v; /* [T, H, S], [S, G, D] */
    double *v_clean;                  /* v with NaN and Inf replaced by 0 */
    double *v_square, *v_error;       /* [S, G, D] */
    bool nonfinite;                   /* v holds NaN or Inf somewhere */
    int64_t tokens, heads, keys, kv_heads, depth;
    double *p_square, *p_error; /* [T, S] of one head */
};

static int read_shapes(const struct tt_op_call *call, struct context *c, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "pv", 2, error))
        return -1;
    c->probs = call->in[0], c->v = call->in[1];
    if (c->probs->rank != 3 || c->v->rank != 3 || c->probs->shape[2] != c->v->shape[0])
        return tt_fail(error, TT_EINPUT,
                       "pv: needs probabilities [tokens, heads, keys] and v [keys, kv_heads, dim]");
    c->tokens = c->probs->shape[0], c->heads = c->probs->shape[1], c->keys = c->probs->shape[2];
    c->kv_heads = c->v->shape[1], c->depth = c->v->shape[2];
    return 0;
}

static void prepare_values(const struct tt_op_call *call, struct context *c)
{
    int64_t count = tt_value_count(c->v);
    double per_term = tt_sum_term_variance(call, c->keys);
    c->v_clean = tt_alloc_array((size_t)count, sizeof *c->v_clean);
    c->v_square = tt_alloc_array((size_t)count, sizeof *c->v_square);
    c->v_error = tt_alloc_array((size_t)count, sizeof *c->v_error);
    for (int64_t i = 0; i < count; i++) {
        bool finite = isfinite(c->v->v[i]);
        c->nonfinite |= !finite;
        c->v_clean[i] = finite ? c->v->v[i] : 0;
        c->v_square[i] = c->v_clean[i] * c->v_clean[i];
        c->v_error[i] = finite ? tt_input_variance(c->v, i) + per_term * c->v_square[i] : 0;
    }
}

static void prepare_head(struct context *c, int64_t head)
{
    for (int64_t t = 0; t < c->tokens; t++) {
        int64_t from = (t * c->heads + head) * c->keys, to = t * c->keys;
        for (int64_t s = 0; s < c->keys; s++) {
            c->p_square[to + s] = c->probs->v[from + s] * c->probs->v[from + s];
            c->p_error[to + s] = c->probs->var ? c->probs->var[from + s] : 0;
        }
    }
}

/* out[:, head, :] = a·b[:, group, :], rows of a `a_row` apart */
static struct tt_matrices matrices(const struct context *c, const double *a, int64_t a_row, const double *b, int64_t head,
                                   int64_t group, double *out)
{
    return (struct tt_matrices){.m = c->tokens, .n = c->depth, .k = c->keys, .a = a, .lda = a_row,
                                .b = b + group * c->depth, .ldb = c->kv_heads * c->depth, .c = out + head * c->depth,
                                .ldc = c->heads * c->depth};
}

/* Adds what multiply left out: NaN and Inf rows of v under a nonzero probability. */
static void add_nonfinite(const struct context *c, int64_t head, int64_t group, double *out)
{
    for (int64_t s = 0; s < c->keys; s++) {
        const double *row = c->v->v + (s * c->kv_heads + group) * c->depth;
        for (int64_t d = 0; d < c->depth; d++) {
            for (int64_t t = 0; !isfinite(row[d]) && t < c->tokens; t++) {
                double p = c->probs->v[(t * c->heads + head) * c->keys + s];
                if (p != 0)
                    out[(t * c->heads + head) * c->depth + d] += p * row[d];
            }
        }
    }
}

static void multiply_heads(const struct tt_op_call *call, struct context *c, const int64_t *map, struct tt_value *out)
{
    size_t plane = (size_t)(c->tokens * c->keys);
    c->p_square = tt_alloc_array(plane, sizeof *c->p_square);
    c->p_error = tt_alloc_array(plane, sizeof *c->p_error);
    for (int64_t h = 0; plane && h < c->heads; h++) {
        struct tt_matrices p = matrices(c, c->probs->v + h * c->keys, c->heads * c->keys, c->v_clean, h, map[h], out->v);
        tt_op_product(call, &p);
        if (c->nonfinite)
            add_nonfinite(c, h, map[h], out->v);
        if (call->value_only)
            continue;
        prepare_head(c, h);
        p = matrices(c, c->p_square, c->keys, c->v_error, h, map[h], out->var);
        tt_op_product_f64(&p, false);
        if (!c->probs->var)
            continue;
        p = matrices(c, c->p_error, c->keys, c->v_square, h, map[h], out->var);
        tt_op_product_f64(&p, true);
    }
    free(c->p_square);
    free(c->p_error);
}

static void finish(const struct tt_op_call *call, const struct context *c, struct tt_value *out)
{
    double drift = tt_sum_drift_variance(call, c->keys);
    int64_t count = tt_value_count(out), rows = tt_value_rows(out);
    for (int64_t i = 0; i < count; i++)
        out->var[i] += drift * out->v[i] * out->v[i];
    for (int64_t r = 0; c->probs->row_var && r < rows; r++)
        tt_value_need_row_var(out)[r] = c->probs->row_var[r];
    tt_finish_sums(call, out);
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    struct context c = {0};
    if (read_shapes(call, &c, error))
        return -1;
    int64_t *map = tt_alloc_array((size_t)c.heads, sizeof *map);
    int status = tt_head_map(call, "pv", c.heads, c.kv_heads, map, error);
    if (!status) {
        *out = tt_value_new(3, (int64_t[]){c.tokens, c.heads, c.depth});
        if (!call->value_only)
            tt_value_need_var(out);
        prepare_values(call, &c);
        multiply_heads(call, &c, map, out);
        if (!call->value_only)
            finish(call, &c, out);
    }
    free(c.v_clean);
    free(c.v_square);
    free(c.v_error);
    free(map);
    return status;
}

static const struct tt_variant variants[] = {
    {"attn.head_map", "head_map='tile'", "heads>kv_heads && kv_heads>1"},
    {"attn.head_map", "head_map='first'", "kv_heads>1"},
    {0},
};

const struct tt_op tt_op_pv = {
    .name = "pv",
    .repeats_heads = true,
    .row_inputs = 1,
    .defaults = "head_map='group'",
    .forward = forward,
    .variants = variants,
};
