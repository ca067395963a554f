/* SPDX-License-Identifier: Apache-2.0
 *
 * Operands as values of the graph: the result of a linear layer is that layer's output, what it read is the output of the
 * component before it; attention products show queries, keys, scores, probabilities, values and context a head at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "naming/private.h"

struct source { /* where an observation's numbers come from */
    const struct tt_product *product;
    const struct tt_side *side;
    int64_t rows, columns; /* of the side */
    int64_t first;         /* row of the side that is row 0 of the observation */
};

static void describe(struct tt_observation *o, const struct source *from, enum tt_evidence evidence)
{
    o->dtype = from->side->operand->dtype;
    o->evidence = evidence;
    o->call = from->product->call->id;
    o->transform = from->product->transform;
}

/* A whole value: `count` rows of the side are rows `at`… of the observation. */
static void observe_rows(struct tt_namer *b, struct tt_trace_pass *pass, int node, int consumer, int port,
                         const struct source *from, int64_t at, int64_t count, enum tt_evidence evidence)
{
    double *values = tt_side_read(b->capture, from->side, from->rows, from->columns);
    if (!values)
        return;
    struct tt_observation *o = tt_trace_observe(b->naming->trace, pass, node, consumer, port);
    int64_t rows = o->value.rank ? o->value.shape[0] : 1, width = rows ? tt_value_count(&o->value) / rows : 0;
    int64_t inner = rows ? tt_value_rows(&o->value) / rows : 0;
    if (width == from->columns && at >= 0 && at + count <= rows && from->first + count <= from->rows) {
        memcpy(o->value.v + at * width, values + from->first * width, (size_t)(count * width) * sizeof *values);
        memset(o->seen + at * inner, 1, (size_t)(count * inner));
        describe(o, from, evidence);
        tt_observation_finish(o);
    }
    free(values);
}

/* Keys of a layer as captured against those of the pass. */
struct keys {
    int64_t skip; /* captured ones to leave out: padding */
    int64_t gone; /* of the pass, which the cache has dropped already: a sliding window */
};

/* One head of [rows, heads, columns], rows or columns being keys or neither; dropped keys have no weight in a row, and as
 * rows they are not seen. */
static void observe_head(struct tt_namer *b, struct tt_trace_pass *pass, int node, int consumer, int port,
                         const struct source *from, int head, struct keys rows_cut, struct keys columns_cut)
{
    double *values = tt_side_read(b->capture, from->side, from->rows, from->columns);
    if (!values)
        return;
    struct tt_observation *o = tt_trace_observe(b->naming->trace, pass, node, consumer, port);
    int64_t heads = o->value.shape[1], width = o->value.shape[2], gone = columns_cut.gone;
    int64_t rows = o->value.shape[0] - rows_cut.gone, first = from->first + rows_cut.skip;
    if (head < heads && width - gone == from->columns - columns_cut.skip && rows > 0 && first + rows <= from->rows) {
        for (int64_t r = 0; r < rows; r++) {
            int64_t at = (rows_cut.gone + r) * heads + head;
            memcpy(o->value.v + at * width + gone, values + (first + r) * from->columns + columns_cut.skip,
                   (size_t)(width - gone) * sizeof *values);
            o->seen[at] = 1;
        }
        describe(o, from, TT_BY_FLOW);
        tt_observation_finish(o);
    }
    free(values);
}

/* Where the result of a product belongs: behind the bias when the call had it in C, nowhere when C held something else. */
static int result_node(const struct tt_namer *b, const struct tt_product *p)
{
    const struct tt_node *next = p->node + 1 < tt_graph_nnodes(b->graph) ? tt_graph_node(b->graph, p->node + 1) : NULL;
    bool biased = next && next->op && strcmp(next->op->name, "bias") == 0 && next->in[0] == p->node;
    if (p->beta == 0)
        return p->node;
    return biased ? p->node + 1 : -1;
}

/* Rows a layer computed for this sequence: all of them, or the last ones (an lm_head of the last token). */
static bool placed(const struct tt_namer *b, const struct tt_product *p, const struct tt_sequence_rows *s, int sequence,
                   int64_t ntarget, int64_t *first, int64_t *at, int64_t *count)
{
    if (p->rows == b->rows && ntarget == s->count) {
        *first = s->first;
        *at = 0;
        *count = s->count;
        return true;
    }
    int64_t each = p->rows / b->sequences;
    *first = sequence * each;
    *count = each;
    *at = ntarget - each;
    return p->rows % b->sequences == 0 && each <= ntarget;
}

static int64_t rows_of_node(const struct tt_namer *b, const struct tt_trace_pass *pass, int node, int consumer, int port)
{
    int64_t shape[TT_VALUE_RANK];
    return tt_trace_shape(b->graph, pass, node, consumer, port, shape) ? shape[0] : 1;
}

static void observe_linear(struct tt_namer *b, struct tt_trace_pass *pass, const struct tt_product *p,
                           const struct tt_sequence_rows *s)
{
    int64_t first, at, count;
    int source = tt_graph_node(b->graph, p->node)->in[0], result = result_node(b, p);
    if (placed(b, p, s, pass->sequence - b->first_sequence, rows_of_node(b, pass, source, p->node, 0), &first, &at, &count))
        observe_rows(b, pass, source, p->node, 0, &(struct source){p, &p->x, p->rows, p->in, first}, at, count,
                     p->evidence == TT_BY_NONE ? TT_BY_FLOW : p->evidence);
    if (result >= 0 && placed(b, p, s, pass->sequence - b->first_sequence, rows_of_node(b, pass, result, -1, -1), &first, &at, &count))
        observe_rows(b, pass, result, -1, -1, &(struct source){p, &p->y, p->rows, p->out, first}, at, count, p->evidence);
}

static int only_reader(const struct tt_namer *b, int source)
{
    for (int i = source + 1; i < tt_graph_nnodes(b->graph); i++) {
        const struct tt_node *n = tt_graph_node(b->graph, i);
        if (n->nin == 1 && n->in[0] == source)
            return i;
    }
    return -1;
}

/* Scores as the call left them: with alpha ≠ 1 the scale is in them already, with beta ≠ 0 a bias of positions that lay
 * in C; -1: something else did. */
static int scores_node(const struct tt_namer *b, const struct tt_attention *a, const struct tt_product *p)
{
    int node = p->alpha == 1 ? a->qk : only_reader(b, a->qk);
    if (node < 0 || p->beta == 0)
        return node;
    node = only_reader(b, node);
    const struct tt_node *n = node < 0 ? NULL : tt_graph_node(b->graph, node);
    return n && n->op && strcmp(n->op->name, "alibi") == 0 ? node : -1;
}

static void observe_attention(struct tt_namer *b, struct tt_trace_pass *pass, const struct tt_attention *a,
                              const struct tt_sequence_rows *s)
{
    const struct tt_node *qk = tt_graph_node(b->graph, a->qk), *pv = tt_graph_node(b->graph, a->pv);
    int first = (pass->sequence - b->first_sequence) * a->heads;
    int64_t gone = s->pad + s->keys - a->keys; /* rows of the cache, padding included */
    const struct keys all = {0}, keys = {s->pad > gone ? s->pad - gone : 0, gone > s->pad ? gone - s->pad : 0};
    for (int h = 0; h < a->heads; h++) {
        struct tt_product *q = a->qk_of[first + h], *p = a->pv_of[first + h];
        int64_t skip = q->rows - s->count; /* rows of padding in this pass */
        struct tt_side values = p->w;
        values.transposed = !values.transposed; /* p·v reads v as [keys, d] */
        observe_head(b, pass, qk->in[0], a->qk, 0, &(struct source){q, &q->x, q->rows, q->in, skip}, h, all, all);
        observe_head(b, pass, qk->in[1], a->qk, 1, &(struct source){q, &q->w, q->out, q->in, 0}, h, keys, all);
        int scores = keys.gone ? -1 : scores_node(b, a, q);
        if (scores >= 0)
            observe_head(b, pass, scores, -1, -1, &(struct source){q, &q->y, q->rows, q->out, skip}, h, all, keys);
        observe_head(b, pass, pv->in[0], a->pv, 0, &(struct source){p, &p->x, p->rows, p->in, skip}, h, all, keys);
        observe_head(b, pass, pv->in[1], a->pv, 1, &(struct source){p, &values, p->in, p->out, 0}, h, keys, all);
        observe_head(b, pass, a->pv, -1, -1, &(struct source){p, &p->y, p->rows, p->out, skip}, h, all, all);
    }
}

void tt_observe_pass(void *user, struct tt_trace *trace, int index)
{
    struct tt_namer *b = user;
    const struct tt_view *view = &b->views[index];
    if (trace->passes[index].blind)
        return;
    const struct tt_group *g = &b->groups.items[view->group];
    struct tt_trace_pass *pass = &trace->passes[index];
    b->rows = view->rows;
    b->sequences = view->sequences;
    b->first_sequence = view->first;
    for (size_t i = g->first; i <= g->last; i++) {
        const struct tt_product *p = &b->products.items[i];
        if (p->pass == view->group && p->node >= 0 && !p->taken)
            observe_linear(b, pass, p, &view->of);
    }
    for (int layer = 0; layer < tt_graph_nlayers(b->graph); layer++)
        if (view->attention[layer].sequences == view->sequences)
            observe_attention(b, pass, &view->attention[layer], &view->of);
}
