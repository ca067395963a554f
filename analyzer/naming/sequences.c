/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is in a pass: how many sequences, how much padding, which positions, which tokens. From the attention products where
 * they were seen, else from what causality leaves visible.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "naming/private.h"
#include "naming/tokens.h"
#include "verify/evaluate.h"
#include "verify/judge.h"

static bool is_causal(const struct tt_graph *graph)
{
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *n = tt_graph_node(graph, i);
        if (n->op && strcmp(n->op->name, "softmax") == 0 && tt_node_by_token(n))
            return strcmp(tt_attributes_string(&n->attributes, "mask", "causal"), "causal") == 0;
    }
    return false;
}

/* The first whose rows are the pass's tokens: an encoder in front has rows of its own. */
const struct tt_product *tt_first_product(const struct tt_namer *b, int pass)
{
    const struct tt_group *g = &b->groups.items[pass];
    const struct tt_product *any = NULL;
    for (size_t i = g->first; i <= g->last; i++) {
        const struct tt_product *p = &b->products.items[i];
        if (p->pass != pass || p->node < 0)
            continue;
        if (tt_node_by_token(tt_graph_node(b->graph, p->node)))
            return p;
        any = any ? any : p;
    }
    return any;
}

static void find_attention(struct tt_namer *b, int pass)
{
    b->sequences = 0;
    for (int layer = 0; layer < tt_graph_nlayers(b->graph); layer++) {
        struct tt_attention *a = &b->attention[layer];
        tt_attention_free(a);
        if (tt_attention_nodes(b->graph, layer, a))
            tt_attention_find(b->capture, b->graph, &b->products, &b->groups, pass, b->rows, a);
        if (a->sequences && !b->sequences)
            b->sequences = a->sequences;
    }
}

static const struct tt_attention *any_attention(const struct tt_namer *b)
{
    for (int layer = 0; layer < tt_graph_nlayers(b->graph); layer++)
        if (b->attention[layer].sequences)
            return &b->attention[layer];
    return NULL;
}

static int64_t leading_zeros(const double *row, int64_t count)
{
    int64_t zeros = 0;
    while (zeros < count && row[zeros] == 0)
        zeros++;
    return zeros;
}

/* Leading keys to which no query that stands behind them gives any weight. Queries of the padding itself may look at
 * anything; late queries do not see the first keys where attention has a window. */
static int64_t unseen_keys(const double *probs, int64_t rows, int64_t keys)
{
    int64_t unseen = keys;
    for (int64_t r = rows - 1; r >= 0 && (r == rows - 1 || keys - rows + r >= unseen); r--) {
        int64_t zeros = leading_zeros(probs + r * keys, keys);
        unseen = zeros < unseen ? zeros : unseen;
    }
    return unseen;
}

/* Leading keys that no query of this sequence gives any weight, in a batch: padding on the left. */
static int64_t padding_of(const struct tt_namer *b, const struct tt_attention *a, int sequence)
{
    int64_t pad = a->keys;
    for (int h = 0; h < a->heads; h++) {
        const struct tt_product *p = a->pv_of[sequence * a->heads + h];
        double *probs = tt_side_read(b->capture, &p->x, p->rows, p->in);
        int64_t unseen = probs ? unseen_keys(probs, p->rows, p->in) : 0;
        pad = unseen < pad ? unseen : pad;
        free(probs);
    }
    return pad < a->keys ? pad : 0;
}

static void find_padding(struct tt_namer *b, const struct tt_attention *a)
{
    free(b->pads);
    b->npads = b->sequences;
    b->pads = tt_alloc_array((size_t)b->sequences, sizeof *b->pads);
    for (int s = 0; s < b->sequences && a && b->sequences > 1; s++)
        b->pads[s] = padding_of(b, a, s);
}

/* Does it stand in the first layer, or before all layers? */
static bool is_early(const struct tt_graph *graph, int node)
{
    while (node >= 0 && tt_graph_node(graph, node)->layer < 0)
        node--;
    return node < 0 || tt_graph_node(graph, node)->layer == 0;
}

double *tt_first_rows(const struct tt_namer *b, int pass, int *node, int64_t *width)
{
    const struct tt_product *p = tt_first_product(b, pass);
    if (!p || !is_early(b->graph, p->node))
        return NULL;
    *node = tt_graph_node(b->graph, p->node)->in[0];
    *width = p->in;
    return p->rows == b->rows ? tt_side_read(b->capture, &p->x, p->rows, p->in) : NULL;
}

static bool given_tokens(struct tt_namer *b, int64_t count, int32_t *tokens)
{
    const struct tt_naming_options *o = b->options;
    if (!o || !o->tokens || b->sequences > 1 || b->tokens_used + count > o->ntokens)
        return false;
    memcpy(tokens, o->tokens + b->tokens_used, (size_t)count * sizeof *tokens);
    b->tokens_used += count;
    return true;
}

struct tt_sequence_rows tt_sequence_rows(const struct tt_namer *b, int sequence, int64_t keys)
{
    int64_t each = b->rows / b->sequences, pad = sequence < b->npads ? b->pads[sequence] : 0;
    int64_t before = keys - each, skipped = before > 0 ? 0 : pad;
    return (struct tt_sequence_rows){sequence * each + skipped, each - skipped, pad, keys - pad};
}

static void postpone(struct tt_namer *b, int pass, int node, const double *rows, int64_t count, int64_t width)
{
    b->pending = tt_grow(b->pending, (size_t)b->npending + 1, sizeof *b->pending);
    double *kept = tt_alloc_array((size_t)(count * width) + 1, sizeof *kept);
    memcpy(kept, rows, (size_t)(count * width) * sizeof *kept);
    b->pending[b->npending++] = (struct tt_pending){pass, kept, width};
    b->first_node = node;
}

/* All passes at once: the vocabulary is evaluated once. */
void tt_recover_pending(struct tt_namer *b)
{
    struct tt_trace *trace = b->naming->trace;
    int64_t total = 0, at = 0, width = b->npending ? b->pending[0].width : 0;
    for (int i = 0; i < b->npending; i++)
        total += trace->passes[b->pending[i].pass].inputs.ntokens;
    double *rows = tt_alloc_array((size_t)(total * width) + 1, sizeof *rows), *margins = tt_alloc_array((size_t)total + 1, sizeof *margins);
    int64_t *positions = tt_alloc_array((size_t)total + 1, sizeof *positions);
    int32_t *tokens = tt_alloc_array((size_t)total + 1, sizeof *tokens);
    for (int i = 0; i < b->npending; i++) {
        const struct tt_pass_inputs *inputs = &trace->passes[b->pending[i].pass].inputs;
        memcpy(rows + at * width, b->pending[i].rows, (size_t)(inputs->ntokens * width) * sizeof *rows);
        memcpy(positions + at, inputs->positions, (size_t)inputs->ntokens * sizeof *positions);
        at += inputs->ntokens;
    }
    bool known = total && tt_recover_tokens(b->graph, b->first_node, rows, total, positions, tokens, margins, NULL) == 0;
    at = 0;
    for (int i = 0; i < b->npending; i++) {
        struct tt_trace_pass *pass = &trace->passes[b->pending[i].pass];
        memcpy((int32_t *)pass->inputs.tokens, tokens + at, (size_t)pass->inputs.ntokens * sizeof *tokens);
        pass->tokens_by = known ? TT_BY_VALUE : TT_BY_NONE;
        pass->tokens_margin = 2;
        for (int64_t t = 0; t < pass->inputs.ntokens; t++)
            pass->tokens_margin = fmin(pass->tokens_margin, margins[at + t]);
        at += pass->inputs.ntokens;
        free(b->pending[i].rows);
    }
    free(rows);
    free(margins);
    free(positions);
    free(tokens);
    free(b->pending);
}

struct tt_trace_pass *tt_add_named_pass(struct tt_namer *b, int pass, int sequence, const struct tt_sequence_rows *s,
                                        const double *first, int node, int64_t width)
{
    struct tt_trace *trace = b->naming->trace;
    int32_t *tokens = tt_alloc_array((size_t)s->count + 1, sizeof *tokens);
    int64_t *positions = tt_alloc_array((size_t)s->keys + 1, sizeof *positions);
    for (int64_t i = 0; i < s->keys; i++)
        positions[i] = i;
    const int64_t *own = positions + (s->keys - s->count);
    bool given = given_tokens(b, s->count, tokens);
    if (!given && first)
        postpone(b, trace->npasses, node, first + s->first * width, s->count, width);
    struct tt_trace_pass *made = tt_trace_add_pass(
        trace, &(struct tt_pass_inputs){.ntokens = s->count, .tokens = tokens, .positions = own, .nkeys = s->keys,
                                        .key_positions = positions});
    made->pass = pass;
    made->sequence = sequence;
    made->continues = s->keys > s->count;
    made->phase = made->continues && s->count == 1 ? TT_DECODE : TT_PREFILL;
    made->tokens_by = given ? TT_BY_NAME : TT_BY_NONE;
    const struct tt_product *p = tt_first_product(b, pass);
    made->epoch = p ? p->call->epoch : 0;
    free(tokens);
    free(positions);
    return made;
}

static double position_error(struct tt_namer *b, int index, int64_t shift)
{
    struct tt_trace *trace = b->naming->trace;
    struct tt_trace_pass *pass = &trace->passes[index];
    double worst = 0;
    for (int64_t i = 0; i < pass->inputs.ntokens; i++)
        ((int64_t *)pass->inputs.positions)[i] += shift;
    struct tt_evaluator *evaluator = tt_evaluator_new(b->graph, trace);
    tt_evaluator_begin(evaluator, index);
    for (int i = 0; i < pass->nobservations; i++) {
        const struct tt_node *node = tt_graph_node(b->graph, pass->observations[i].node);
        struct tt_value expected;
        if (node->layer != 0 || !node->op || strcmp(node->op->name, "rope") != 0 || !pass->observations[i].nseen ||
            tt_evaluate_as(evaluator, &pass->observations[i], NULL, &expected, NULL))
            continue;
        worst = fmax(worst, tt_judge(&pass->observations[i], &expected).chi2);
        tt_value_free(&expected);
    }
    tt_evaluator_free(evaluator);
    for (int64_t i = 0; i < pass->inputs.ntokens; i++)
        ((int64_t *)pass->inputs.positions)[i] -= shift;
    return worst;
}

/* Padding on the left: some programs count positions from the first real token, others from the first row. */
void tt_place_positions(struct tt_namer *b, int index, int64_t pad)
{
    struct tt_trace_pass *pass = &b->naming->trace->passes[index];
    if (!pad)
        return;
    tt_trace_load(b->naming->trace, index);
    bool from_first_row = position_error(b, index, pad) < position_error(b, index, 0);
    tt_trace_unload(b->naming->trace, index);
    if (!from_first_row)
        return;
    for (int64_t i = 0; i < pass->inputs.ntokens; i++)
        ((int64_t *)pass->inputs.positions)[i] += pad;
    for (int64_t i = 0; i < pass->inputs.nkeys; i++)
        ((int64_t *)pass->inputs.key_positions)[i] += pad;
}

/* In a causal model the first token of a prompt attends to itself alone, so its context is its own v: in a pass whose
 * attention was not seen, such rows are where sequences start. Fills `rows`, returns their number; -1: cannot be told. */
static int prompt_starts(const struct tt_namer *b, int pass, int64_t *rows, int most)
{
    struct tt_attention nodes;
    if (!tt_attention_nodes(b->graph, 0, &nodes) || !is_causal(b->graph))
        return -1;
    int v = tt_graph_node(b->graph, nodes.pv)->in[1];
    while (v >= 0 && !tt_group_find(&b->products, &b->groups, pass, v))
        v = tt_graph_node(b->graph, v)->nin ? tt_graph_node(b->graph, v)->in[0] : -1;
    const struct tt_product *written = v >= 0 ? tt_group_find(&b->products, &b->groups, pass, v) : NULL;
    const struct tt_product *read = tt_group_find(&b->products, &b->groups, pass, nodes.out);
    double *values = written && written->rows == b->rows ? tt_side_read(b->capture, &written->y, written->rows, written->out) : NULL;
    double *context = read && read->rows == b->rows ? tt_side_read(b->capture, &read->x, read->rows, read->in) : NULL;
    int64_t d = tt_graph_node(b->graph, nodes.pv)->axes[2], groups = written ? written->out / d : 0;
    int found = values && context && groups ? 0 : -1;
    for (int64_t r = 0; found >= 0 && r < b->rows; r++) {
        /* Squared distances: of the context from this row's v, of that from the v of the row before. */
        double own = 0, before = 0, size = 0;
        for (int64_t i = 0; i < nodes.heads * d; i++) {
            int64_t at = i / d / (nodes.heads / groups) * d + i % d;
            double mine = values[r * written->out + at], seen = context[r * nodes.heads * d + i];
            double last = r ? values[(r - 1) * written->out + at] : 0;
            own += (mine - seen) * (mine - seen);
            before += (mine - last) * (mine - last);
            size += mine * mine;
        }
        bool tells = r == 0 || before > 4 * OWN_VALUE * size; /* behind the same token again any mixture is its own v */
        if (tells && own < OWN_VALUE * size && found < most)
            rows[found++] = r;
    }
    free(values);
    free(context);
    return found;
}

/* Batches whose attention was not seen: as many sequences as rows that start one, each in its own share of the rows. */
static bool find_sequences(struct tt_namer *b, const int64_t *starts, int count)
{
    int64_t each = count > 0 && b->rows % count == 0 ? b->rows / count : 0;
    for (int s = 0; s < count; s++)
        if (!each || starts[s] / each != s)
            return false;
    if (count < 1)
        return false;
    free(b->pads);
    b->sequences = b->npads = count;
    b->pads = tt_alloc_array((size_t)count, sizeof *b->pads);
    for (int s = 0; s < count; s++)
        b->pads[s] = starts[s] - s * each;
    return true;
}

/* Keys that a query of this layer may see, 0: all. */
static int64_t window_of(const struct tt_graph *graph, const struct tt_attention *a)
{
    for (int i = a->qk; i >= 0 && i <= a->pv; i++) {
        const struct tt_node *n = tt_graph_node(graph, i);
        if (n->op && strcmp(n->op->name, "softmax") == 0)
            return (int64_t)tt_attributes_number(&n->attributes, "window", 0);
    }
    return 0;
}

/* A cache that drops the rows no later query may see shows fewer keys than there were: as many as the window, or one less
 * when the engine counts otherwise. */
static bool is_cut(const struct tt_attention *a, int64_t window, int64_t each, int64_t all)
{
    return window > 0 && a->keys > each && a->keys < all && a->keys + 2 > window;
}

/* Rows in the cache after this pass: seen in the products, else by how prompts and decoding follow each other. */
static int64_t keys_after(const struct tt_namer *b)
{
    int64_t each = b->rows / b->sequences, all = b->past_keys + each, most = 0;
    bool cut = false;
    for (int layer = 0; layer < tt_graph_nlayers(b->graph); layer++) {
        const struct tt_attention *a = &b->attention[layer];
        most = a->keys > most ? a->keys : most;
        cut = cut || (a->keys && is_cut(a, window_of(b->graph, a), each, all));
    }
    if (most)
        return cut && most < all ? all : most;
    return b->continues ? all : each;
}

/* Sequences and continuation of a pass whose attention products were not seen. */
static void guess_sequences(struct tt_namer *b, int pass)
{
    int64_t starts[MAX_BATCH];
    int count = b->rows > 1 ? prompt_starts(b, pass, starts, MAX_BATCH) : 0;
    bool batch = b->npads > 0 && b->rows == b->npads; /* one more token for each sequence of the prompt */
    b->sequences = batch ? b->npads : 1;
    b->continues = b->past_keys > 0 && (b->rows == 1 || batch || count == 0);
    if (!b->continues && !batch)
        find_sequences(b, starts, count);
}

int64_t tt_find_sequences(struct tt_namer *b, int group)
{
    const struct tt_product *p = tt_first_product(b, group);
    b->rows = p ? p->rows : 0;
    if (!b->rows)
        return 0;
    find_attention(b, group);
    const struct tt_attention *a = any_attention(b);
    if (!b->sequences)
        guess_sequences(b, group);
    int64_t keys = keys_after(b);
    if (a && keys == b->rows / b->sequences)
        find_padding(b, a);
    return keys;
}
