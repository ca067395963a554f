/* SPDX-License-Identifier: Apache-2.0
 *
 * qk: raw attention products, out[t, h, s] = Σ_d q[t, h, d]·k[s, g(h), d]. No scale, no mask.
 *   head_map  "group" (key head h / (H/G)) | "tile" (h mod G) | "first" (faults)
 */
#include <math.h>
#include <stdlib.h>

#include "ops/product.h"
#include "ops/support.h"

struct product {
    const struct tt_value *q, *k;                    /* [T, H, D], [S, G, D] */
    double *q_square, *q_error, *k_square, *k_error; /* like q or k; k_error NULL when k is exact */
    int64_t tokens, heads, keys, kv_heads, depth;
};

static int read_shapes(const struct tt_op_call *call, struct product *p, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "qk", 2, error))
        return -1;
    p->q = call->in[0], p->k = call->in[1];
    if (p->q->rank != 3 || p->k->rank != 3 || p->q->shape[2] != p->k->shape[2])
        return tt_fail(error, TT_EINPUT,
                       "qk: needs q [tokens, heads, dim] and k [keys, kv_heads, dim] of equal dim");
    p->tokens = p->q->shape[0], p->heads = p->q->shape[1], p->depth = p->q->shape[2];
    p->keys = p->k->shape[0], p->kv_heads = p->k->shape[1];
    return 0;
}

static double *squares(const struct tt_value *x)
{
    int64_t count = tt_value_count(x);
    double *square = tt_alloc_array((size_t)count, sizeof *square);
    for (int64_t i = 0; i < count; i++)
        square[i] = x->v[i] * x->v[i];
    return square;
}

/* Σ k²·q_error: q's own variance and the accumulation over depth terms together. */
static double *query_errors(const struct tt_op_call *call, const struct product *p)
{
    int64_t count = tt_value_count(p->q);
    double per_term = tt_sum_term_variance(call, p->depth);
    double *error = tt_alloc_array((size_t)count, sizeof *error);
    for (int64_t i = 0; i < count; i++)
        error[i] = per_term * p->q_square[i] + (p->q->var ? p->q->var[i] : 0);
    return error;
}

static double *key_errors(const struct product *p)
{
    if (!p->k->var && !p->k->row_var)
        return NULL;
    int64_t count = tt_value_count(p->k);
    double *error = tt_alloc_array((size_t)count, sizeof *error);
    for (int64_t i = 0; i < count; i++)
        error[i] = tt_value_variance(p->k, i);
    return error;
}

/* out[:, h, :] = a[:, h, :]·b[:, g, :]ᵀ */
static struct tt_matrices matrices(const struct product *p, const double *a, const double *b, int64_t head,
                                   int64_t group, double *out)
{
    return (struct tt_matrices){.transposed = true, .m = p->tokens, .n = p->keys, .k = p->depth,
                                .a = a + head * p->depth, .lda = p->heads * p->depth, .b = b + group * p->depth,
                                .ldb = p->kv_heads * p->depth, .c = out + head * p->keys, .ldc = p->heads * p->keys};
}

static void finish(const struct tt_op_call *call, const struct product *p, struct tt_value *out)
{
    double drift = tt_sum_drift_variance(call, p->depth);
    int64_t count = tt_value_count(out), rows = tt_value_rows(out);
    for (int64_t i = 0; i < count; i++)
        out->var[i] += drift * out->v[i] * out->v[i];
    for (int64_t r = 0; p->q->row_var && r < rows; r++)
        tt_value_need_row_var(out)[r] = p->q->row_var[r];
    tt_finish_sums(call, out);
}

static void multiply(const struct tt_op_call *call, struct product *p, const int64_t *map,
                     struct tt_value *out)
{
    if (!call->value_only) {
        p->q_square = squares(p->q), p->k_square = squares(p->k);
        p->q_error = query_errors(call, p), p->k_error = key_errors(p);
    }
    for (int64_t h = 0; p->tokens && p->keys && h < p->heads; h++) {
        struct tt_matrices heads = matrices(p, p->q->v, p->k->v, h, map[h], out->v);
        tt_op_product(call, &heads);
        if (call->value_only)
            continue;
        heads = matrices(p, p->q_error, p->k_square, h, map[h], out->var);
        tt_op_product_f64(&heads, false);
        if (!p->k_error)
            continue;
        heads = matrices(p, p->q_square, p->k_error, h, map[h], out->var);
        tt_op_product_f64(&heads, true);
    }
    free(p->q_square);
    free(p->k_square);
    free(p->q_error);
    free(p->k_error);
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    struct product p = {0};
    if (read_shapes(call, &p, error))
        return -1;
    int64_t *map = tt_alloc_array((size_t)p.heads, sizeof *map);
    int status = tt_head_map(call, "qk", p.heads, p.kv_heads, map, error);
    if (!status) {
        *out = tt_value_new(3, (int64_t[]){p.tokens, p.heads, p.keys});
        if (!call->value_only)
            tt_value_need_var(out);
        multiply(call, &p, map, out);
        if (!call->value_only)
            finish(call, &p, out);
    }
    free(map);
    return status;
}

static const struct tt_variant variants[] = {
    {"attn.head_map", "head_map='tile'", "heads>kv_heads && kv_heads>1"},
    {"attn.head_map", "head_map='first'", "kv_heads>1"},
    {0},
};

const struct tt_op tt_op_qk = {
    .name = "qk",
    .repeats_heads = true,
    .row_inputs = 1,
    .defaults = "head_map='group'",
    .forward = forward,
    .variants = variants,
};
