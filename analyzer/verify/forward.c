/* SPDX-License-Identifier: Apache-2.0
 *
 * One node computed from its inputs.
 */
#include "verify/private.h"

#include <stdlib.h>
#include <string.h>

static void round_value(struct tt_value *value, double unit)
{
    for (int64_t i = 0, n = tt_value_count(value); unit > 0 && i < n; i++)
        value->v[i] = tt_round_to_unit(value->v[i], unit);
}

/* Gathers the wanted rows of the inputs that go row by row, so that an lm_head seen in one row costs one row. */
static void gather(struct prepared *p, const uint8_t *rows, int64_t nrows, int32_t *tokens, int64_t *positions)
{
    int64_t kept = 0;
    for (int i = 0; i < p->call.nin; i++) {
        int64_t to = 0;
        if (!(p->row_inputs >> i & 1))
            continue;
        if (p->lent[i])
            p->inputs[i] = tt_value_copy(&p->inputs[i]);
        p->lent[i] = false;
        for (int64_t t = 0; t < nrows; t++)
            if (rows[t])
                tt_copy_rows(&p->inputs[i], to++, &p->inputs[i], t, 1);
        p->inputs[i].shape[0] = to;
    }
    for (int64_t t = 0; t < nrows; t++) {
        if (!rows[t])
            continue;
        tokens[kept] = p->pass.tokens ? p->pass.tokens[t] : 0;
        positions[kept++] = p->pass.positions ? p->pass.positions[t] : 0;
    }
    p->pass.tokens = tokens;
    p->pass.positions = positions;
    p->pass.ntokens = kept;
}

static bool all_rows(const struct prepared *p, const uint8_t *rows, int64_t nrows)
{
    if (!rows || !p->row_inputs || p->pass.types)
        return true;
    for (int i = 0; i < p->call.nin; i++)
        if (p->row_inputs >> i & 1 && (!p->inputs[i].rank || p->inputs[i].shape[0] != nrows))
            return true;
    return memchr(rows, 0, (size_t)nrows) == NULL || memchr(rows, 1, (size_t)nrows) == NULL;
}

static int forward_some(struct prepared *p, const uint8_t *rows, int64_t nrows, struct tt_value *out,
                        struct tt_error *error)
{
    if (all_rows(p, rows, nrows))
        return p->op->forward(&p->call, out, error);
    int32_t *tokens = tt_alloc_array((size_t)nrows, sizeof *tokens);
    int64_t *positions = tt_alloc_array((size_t)nrows, sizeof *positions);
    struct tt_value some = {0};
    gather(p, rows, nrows, tokens, positions);
    int failed = p->op->forward(&p->call, &some, error);
    if (!failed)
        *out = tt_scatter_rows(&some, rows, nrows);
    tt_value_free(&some);
    free(tokens);
    free(positions);
    return failed;
}

/* An embedding of tokens that nothing told: nothing downstream of it can be rebuilt. */
static bool reads_unknown_tokens(const struct tt_evaluator *e, const struct prepared *p)
{
    return e->pass->tokens_by == TT_BY_NONE && p->op && !p->call.nin &&
           strcmp(tt_attributes_string(&p->attributes, "index", "token"), "token") == 0;
}

static bool all_unknown(const struct tt_value *value)
{
    int64_t n = tt_value_count(value), i = 0;
    while (value->var && i < n && tt_unknown(value->var[i]))
        i++;
    return n > 0 && i == n;
}

/* Nothing can be said of this value: it comes from nothing that was seen. */
static bool hangs_in_the_air(const struct tt_evaluator *e, const struct prepared *p)
{
    for (int i = 0; i < p->call.nin; i++)
        if (all_unknown(&p->inputs[i]))
            return true;
    return reads_unknown_tokens(e, p);
}

static void unknown_value(struct tt_evaluator *e, int node, struct tt_value *out)
{
    int64_t shape[TT_VALUE_RANK];
    int rank = tt_trace_shape(e->graph, e->pass, node, -1, -1, shape);
    *out = tt_value_new(rank, shape);
    tt_fill_unknown(out, 0, tt_value_count(out));
}

int tt_evaluate_node(struct tt_evaluator *e, struct overlay *overlay, int index, const uint8_t *rows,
                   struct tt_value *out, struct tt_error *error)
{
    struct prepared p;
    const struct tt_node *node = tt_graph_node(e->graph, index);
    *out = (struct tt_value){0};
    if (node->once && e->pass->continues) {
        tt_recall(e, index, out);
        return 0;
    }
    int failed = tt_prepared_fill(e, overlay, index, overlay ? rows : NULL, &p, error);
    tt_prepared_bind(&p);
    if (!failed && !node->state && hangs_in_the_air(e, &p)) {
        unknown_value(e, index, out);
        tt_prepared_release(&p);
        return 0;
    }
    if (!failed && p.op)
        failed = forward_some(&p, rows, e->pass->inputs.ntokens, out, error);
    if (!failed && node->state) {
        struct tt_value fresh = p.op ? *out : tt_value_copy(&p.inputs[0]);
        failed = tt_evaluate_cache(e, index, &p.attributes, &fresh, out, error);
        tt_value_free(&fresh);
    }
    if (!failed)
        round_value(out, e->unit);
    tt_prepared_release(&p);
    if (failed)
        tt_value_free(out);
    return failed;
}
