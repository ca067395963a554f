/* SPDX-License-Identifier: Apache-2.0
 *
 * From named products to a trace. For each pass: how many sequences, which tokens and positions, and then every operand
 * as an observation of the value it holds: the result of a linear layer is that layer's output, what it read is the
 * output of the component before it.
 */
#include "naming/naming.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "naming/attention.h"
#include "naming/tokens.h"
#include "verify/evaluate.h"
#include "verify/judge.h"

struct builder {
    const struct tt_capture *capture;
    struct tt_graph *graph;
    const struct tt_naming_options *options;
    struct tt_products products;
    struct tt_groups groups;
    struct tt_naming *naming;
    struct tt_attention *attention; /* [layers] of the current pass */
    int64_t rows;                   /* of the current pass, all sequences */
    int sequences;
    int64_t *pads;                  /* [sequences] leading rows of the prompt that are padding */
    int npads;
    bool continues;                 /* the current pass reads an older cache, as far as can be told without keys */
    int64_t past_keys;              /* cached rows after the pass before, 0: none */
    int64_t tokens_used;            /* of options->tokens */
    struct pending *pending;        /* passes whose tokens are still to be recovered */
    int npending, first_node;
};

#define MAX_BATCH 256
#define OWN_VALUE 0.01 /* relative squared distance within which a context row is the token's own v (a bias may be missing) */

struct pending {
    int pass;        /* index in the trace */
    double *rows;    /* [ntokens, width] what its first layer read */
    int64_t width;
};

/* ---- sequences, tokens, positions ---- */

static bool is_causal(const struct tt_graph *graph)
{
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *n = tt_graph_node(graph, i);
        if (n->op && strcmp(n->op->name, "softmax") == 0)
            return strcmp(tt_attributes_string(&n->attributes, "mask", "causal"), "causal") == 0;
    }
    return false;
}

static const struct tt_product *first_product(const struct builder *b, int pass)
{
    const struct tt_group *g = &b->groups.items[pass];
    for (size_t i = g->first; i <= g->last; i++)
        if (b->products.items[i].pass == pass && b->products.items[i].node >= 0)
            return &b->products.items[i];
    return NULL;
}

static void find_attention(struct builder *b, int pass)
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

static const struct tt_attention *any_attention(const struct builder *b)
{
    for (int layer = 0; layer < tt_graph_nlayers(b->graph); layer++)
        if (b->attention[layer].sequences)
            return &b->attention[layer];
    return NULL;
}

/* Leading keys that no query of this sequence gives any weight, in a batch: padding on the left. */
static int64_t padding_of(const struct builder *b, const struct tt_attention *a, int sequence)
{
    int64_t pad = a->keys;
    for (int h = 0; h < a->heads; h++) {
        const struct tt_product *p = a->pv_of[sequence * a->heads + h];
        double *probs = tt_side_read(b->capture, &p->x, p->rows, p->in);
        int64_t zero = 0;
        const double *last = probs ? probs + (p->rows - 1) * p->in : NULL;
        while (last && zero < p->in && last[zero] == 0)
            zero++;
        pad = zero < pad ? zero : pad;
        free(probs);
    }
    return pad < a->keys ? pad : 0;
}

static void find_padding(struct builder *b, const struct tt_attention *a)
{
    free(b->pads);
    b->npads = b->sequences;
    b->pads = tt_alloc_array((size_t)b->sequences, sizeof *b->pads);
    for (int s = 0; s < b->sequences && a && b->sequences > 1; s++)
        b->pads[s] = padding_of(b, a, s);
}

/* What the first layer reads, [rows, width]; NULL when it was not kept. */
static double *first_rows(const struct builder *b, int pass, int *node, int64_t *width)
{
    const struct tt_product *p = first_product(b, pass);
    if (!p || tt_graph_node(b->graph, p->node)->layer != 0)
        return NULL;
    *node = tt_graph_node(b->graph, p->node)->in[0];
    *width = p->in;
    return p->rows == b->rows ? tt_side_read(b->capture, &p->x, p->rows, p->in) : NULL;
}

static bool given_tokens(struct builder *b, int64_t count, int32_t *tokens)
{
    const struct tt_naming_options *o = b->options;
    if (!o || !o->tokens || b->sequences > 1 || b->tokens_used + count > o->ntokens)
        return false;
    memcpy(tokens, o->tokens + b->tokens_used, (size_t)count * sizeof *tokens);
    b->tokens_used += count;
    return true;
}

struct sequence_rows {
    int64_t first, count; /* rows of the pass that are this sequence's, padding left out */
    int64_t pad, keys;    /* keys: padding left out */
};

static struct sequence_rows rows_of(const struct builder *b, int sequence, int64_t keys)
{
    int64_t each = b->rows / b->sequences, pad = sequence < b->npads ? b->pads[sequence] : 0;
    int64_t before = keys - each, skipped = before > 0 ? 0 : pad;
    return (struct sequence_rows){sequence * each + skipped, each - skipped, pad, keys - pad};
}

static void postpone(struct builder *b, int pass, int node, const double *rows, int64_t count, int64_t width)
{
    b->pending = tt_grow(b->pending, (size_t)b->npending + 1, sizeof *b->pending);
    double *kept = tt_alloc_array((size_t)(count * width) + 1, sizeof *kept);
    memcpy(kept, rows, (size_t)(count * width) * sizeof *kept);
    b->pending[b->npending++] = (struct pending){pass, kept, width};
    b->first_node = node;
}

/* All passes at once: the vocabulary is evaluated once. */
static void recover_tokens(struct builder *b)
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

static struct tt_trace_pass *add_pass(struct builder *b, int pass, int sequence, const struct sequence_rows *s,
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
    const struct tt_product *p = first_product(b, pass);
    made->epoch = p ? p->call->epoch : 0;
    free(tokens);
    free(positions);
    return made;
}

/* ---- observations ---- */

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
static void observe_rows(struct builder *b, struct tt_trace_pass *pass, int node, int consumer, int port,
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

/* One head of [rows, heads, columns]; `first` skips padding rows, `skip` padding columns (keys). */
static void observe_head(struct builder *b, struct tt_trace_pass *pass, int node, int consumer, int port,
                         const struct source *from, int head, int64_t skip)
{
    double *values = tt_side_read(b->capture, from->side, from->rows, from->columns);
    if (!values)
        return;
    struct tt_observation *o = tt_trace_observe(b->naming->trace, pass, node, consumer, port);
    int64_t rows = o->value.shape[0], heads = o->value.shape[1], width = o->value.shape[2];
    if (head < heads && width == from->columns - skip && from->first + rows <= from->rows) {
        for (int64_t r = 0; r < rows; r++) {
            memcpy(o->value.v + (r * heads + head) * width, values + (from->first + r) * from->columns + skip,
                   (size_t)width * sizeof *values);
            o->seen[r * heads + head] = 1;
        }
        describe(o, from, TT_BY_FLOW);
        tt_observation_finish(o);
    }
    free(values);
}

/* Where the result of a product belongs: behind the bias when the call had it in C, nowhere when C held something else. */
static int result_node(const struct builder *b, const struct tt_product *p)
{
    const struct tt_node *next = p->node + 1 < tt_graph_nnodes(b->graph) ? tt_graph_node(b->graph, p->node + 1) : NULL;
    bool biased = next && next->op && strcmp(next->op->name, "bias") == 0 && next->in[0] == p->node;
    if (p->beta == 0)
        return p->node;
    return biased ? p->node + 1 : -1;
}

/* Rows a layer computed for this sequence: all of them, or the last ones (an lm_head of the last token). */
static bool placed(const struct builder *b, const struct tt_product *p, const struct sequence_rows *s, int sequence,
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

static int64_t rows_of_node(const struct builder *b, const struct tt_trace_pass *pass, int node, int consumer, int port)
{
    int64_t shape[TT_VALUE_RANK];
    return tt_trace_shape(b->graph, pass, node, consumer, port, shape) ? shape[0] : 1;
}

static void observe_linear(struct builder *b, struct tt_trace_pass *pass, const struct tt_product *p,
                           const struct sequence_rows *s)
{
    int64_t first, at, count;
    int source = tt_graph_node(b->graph, p->node)->in[0], result = result_node(b, p);
    if (placed(b, p, s, pass->sequence, rows_of_node(b, pass, source, p->node, 0), &first, &at, &count))
        observe_rows(b, pass, source, p->node, 0, &(struct source){p, &p->x, p->rows, p->in, first}, at, count,
                     p->evidence == TT_BY_NONE ? TT_BY_FLOW : p->evidence);
    if (result >= 0 && placed(b, p, s, pass->sequence, rows_of_node(b, pass, result, -1, -1), &first, &at, &count))
        observe_rows(b, pass, result, -1, -1, &(struct source){p, &p->y, p->rows, p->out, first}, at, count, p->evidence);
}

/* Scores as the product left them; with alpha ≠ 1 the scale is in them already. */
static int scores_node(const struct builder *b, const struct tt_attention *a, const struct tt_product *p)
{
    if (p->alpha == 1)
        return a->qk;
    for (int i = a->qk + 1; i < tt_graph_nnodes(b->graph); i++) {
        const struct tt_node *n = tt_graph_node(b->graph, i);
        if (n->nin == 1 && n->in[0] == a->qk)
            return i;
    }
    return -1;
}

static void observe_attention(struct builder *b, struct tt_trace_pass *pass, const struct tt_attention *a,
                              const struct sequence_rows *s)
{
    const struct tt_node *qk = tt_graph_node(b->graph, a->qk), *pv = tt_graph_node(b->graph, a->pv);
    for (int h = 0; h < a->heads; h++) {
        struct tt_product *q = a->qk_of[pass->sequence * a->heads + h], *p = a->pv_of[pass->sequence * a->heads + h];
        int64_t pad = s->pad, skip = q->rows - s->count; /* rows of padding in this pass */
        struct tt_side values = p->w;
        values.transposed = !values.transposed; /* p·v reads v as [keys, d] */
        observe_head(b, pass, qk->in[0], a->qk, 0, &(struct source){q, &q->x, q->rows, q->in, skip}, h, 0);
        observe_head(b, pass, qk->in[1], a->qk, 1, &(struct source){q, &q->w, q->out, q->in, pad}, h, 0);
        int scores = scores_node(b, a, q);
        if (scores >= 0)
            observe_head(b, pass, scores, -1, -1, &(struct source){q, &q->y, q->rows, q->out, skip}, h, pad);
        observe_head(b, pass, pv->in[0], a->pv, 0, &(struct source){p, &p->x, p->rows, p->in, skip}, h, pad);
        observe_head(b, pass, pv->in[1], a->pv, 1, &(struct source){p, &values, p->in, p->out, pad}, h, 0);
        observe_head(b, pass, a->pv, -1, -1, &(struct source){p, &p->y, p->rows, p->out, skip}, h, 0);
    }
}

static void observe_pass(struct builder *b, int group, struct tt_trace_pass *pass, const struct sequence_rows *s)
{
    const struct tt_group *g = &b->groups.items[group];
    for (size_t i = g->first; i <= g->last; i++) {
        const struct tt_product *p = &b->products.items[i];
        if (p->pass == group && p->node >= 0)
            observe_linear(b, pass, p, s);
    }
    for (int layer = 0; layer < tt_graph_nlayers(b->graph); layer++)
        if (b->attention[layer].sequences == b->sequences)
            observe_attention(b, pass, &b->attention[layer], s);
}

/* ---- positions of padded sequences ---- */

static double position_error(struct builder *b, int index, int64_t shift)
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
static void place_positions(struct builder *b, int index, int64_t pad)
{
    struct tt_trace_pass *pass = &b->naming->trace->passes[index];
    if (!pad || position_error(b, index, pad) >= position_error(b, index, 0))
        return;
    for (int64_t i = 0; i < pass->inputs.ntokens; i++)
        ((int64_t *)pass->inputs.positions)[i] += pad;
    for (int64_t i = 0; i < pass->inputs.nkeys; i++)
        ((int64_t *)pass->inputs.key_positions)[i] += pad;
}

/* ---- passes ---- */

/* In a causal model the first token of a prompt attends to itself alone, so its context is its own v: in a pass whose
 * attention was not seen, such rows are where sequences start. Fills `rows`, returns their number; -1: cannot be told. */
static int prompt_starts(const struct builder *b, int pass, int64_t *rows, int most)
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
        double error = 0, size = 0;
        for (int64_t h = 0; h < nodes.heads; h++) {
            for (int64_t i = 0; i < d; i++) {
                double own = values[r * written->out + h / (nodes.heads / groups) * d + i];
                double seen = context[r * nodes.heads * d + h * d + i];
                error += (own - seen) * (own - seen);
                size += own * own;
            }
        }
        if (error < OWN_VALUE * size && found < most)
            rows[found++] = r;
    }
    free(values);
    free(context);
    return found;
}

/* Batches whose attention was not seen: as many sequences as rows that start one, each in its own share of the rows. */
static bool find_sequences(struct builder *b, const int64_t *starts, int count)
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

/* Rows in the cache after this pass: seen in the products, else by how prompts and decoding follow each other. */
static int64_t keys_after(const struct builder *b, int pass)
{
    int64_t each = b->rows / b->sequences;
    for (int layer = 0; layer < tt_graph_nlayers(b->graph); layer++)
        if (b->attention[layer].keys)
            return b->attention[layer].keys;
    return b->continues ? b->past_keys + each : each;
}

/* Sequences and continuation of a pass whose attention products were not seen. */
static void guess_sequences(struct builder *b, int pass)
{
    int64_t starts[MAX_BATCH];
    int count = b->rows > 1 ? prompt_starts(b, pass, starts, MAX_BATCH) : 0;
    bool batch = b->npads > 0 && b->rows == b->npads; /* one more token for each sequence of the prompt */
    b->sequences = batch ? b->npads : 1;
    b->continues = b->past_keys > 0 && (b->rows == 1 || batch || count == 0);
    if (!b->continues && !batch)
        find_sequences(b, starts, count);
}

static void build_pass(struct builder *b, int pass)
{
    const struct tt_product *p = first_product(b, pass);
    int node = -1;
    int64_t width = 0;
    b->rows = p ? p->rows : 0;
    if (!b->rows)
        return;
    find_attention(b, pass);
    const struct tt_attention *a = any_attention(b);
    if (!b->sequences)
        guess_sequences(b, pass);
    int64_t keys = keys_after(b, pass);
    if (a && keys == b->rows / b->sequences)
        find_padding(b, a);
    double *first = first_rows(b, pass, &node, &width);
    for (int sequence = 0; sequence < b->sequences; sequence++) {
        struct sequence_rows s = rows_of(b, sequence, keys);
        struct tt_trace_pass *made = add_pass(b, pass, sequence, &s, first, node, width);
        observe_pass(b, pass, made, &s);
        made->blind = made->nobservations == 0;
        place_positions(b, b->naming->trace->npasses - 1, s.pad);
    }
    b->past_keys = keys;
    free(first);
}

/* The coarsest precision that most of what linear layers read has: that of the engine's activations. */
static void find_unit(struct tt_trace *trace)
{
    static const double units[] = {0x1p-53, 0x1p-24, 0x1p-11, 0x1p-8};
    int counts[4] = {0}, total = 0;
    for (int i = 0; i < trace->npasses; i++) {
        for (int j = 0; j < trace->passes[i].nobservations; j++) {
            const struct tt_observation *o = &trace->passes[i].observations[j];
            for (int u = 0; u < 4 && o->consumer >= 0 && tt_value_count(&o->value) >= 32; u++)
                counts[u] += o->unit == units[u], total += o->unit == units[u];
        }
    }
    trace->unit = 0x1p-24;
    for (int u = 0; u < 4; u++)
        if (2 * counts[u] > total)
            trace->unit = units[u];
}

/* What most weights went through on loading. */
static void find_weight_unit(const struct builder *b)
{
    size_t rounded[2] = {0}, named = 0;
    for (size_t i = 0; i < b->products.count; i++) {
        const struct tt_product *p = &b->products.items[i];
        if (p->node < 0 || p->evidence == TT_BY_FLOW || p->evidence == TT_BY_SHAPE)
            continue;
        named++;
        rounded[0] += p->weight_unit == 0x1p-8;
        rounded[1] += p->weight_unit == 0x1p-11;
    }
    b->naming->trace->weight_unit = 2 * rounded[0] > named ? 0x1p-8 : 2 * rounded[1] > named ? 0x1p-11 : 0;
    tt_graph_round_weights(b->graph, b->naming->trace->weight_unit);
}

/* A prompt in several passes: all but the last are chunks, which need not compute what only logits need. */
static void mark_chunks(struct tt_trace *trace)
{
    for (int i = 0; i < trace->npasses; i++) {
        for (int j = i + 1; j < trace->npasses; j++) {
            if (trace->passes[j].sequence != trace->passes[i].sequence)
                continue;
            trace->passes[i].chunk = trace->passes[i].phase == TT_PREFILL && trace->passes[j].phase == TT_PREFILL &&
                                     trace->passes[j].continues;
            break;
        }
    }
}

static void list_calls(struct builder *b)
{
    struct tt_naming *naming = b->naming;
    naming->calls = tt_alloc_array(b->products.count + 1, sizeof *naming->calls);
    for (size_t i = 0; i < b->products.count; i++) {
        const struct tt_product *p = &b->products.items[i];
        struct tt_named_call *call = &naming->calls[naming->ncalls++];
        *call = (struct tt_named_call){.call = p->call->id, .pass = p->pass, .node = p->node, .head = -1,
                                       .evidence = p->evidence, .transform = p->transform};
        if (p->node >= 0)
            naming->trace->named_calls++;
        else if (p->taken)
            naming->trace->named_calls++;
        else
            naming->trace->unnamed_calls++;
        if (p->node < 0 && !p->taken)
            call->why = p->ncandidates ? "weight known, no place in the graph" : "neither a weight nor an attention product of the model";
    }
}

static void list_attention(struct builder *b, int pass)
{
    for (int layer = 0; layer < tt_graph_nlayers(b->graph); layer++) {
        const struct tt_attention *a = &b->attention[layer];
        for (int i = 0; i < a->sequences * a->heads; i++) {
            a->qk_of[i]->node = a->qk;
            a->pv_of[i]->node = a->pv;
            a->qk_of[i]->pass = a->pv_of[i]->pass = pass;
            a->qk_of[i]->evidence = a->pv_of[i]->evidence = TT_BY_FLOW;
        }
    }
}

struct tt_naming *tt_naming_new(const struct tt_capture *capture, struct tt_graph *graph,
                                const struct tt_naming_options *options, struct tt_error *error)
{
    struct builder b = {.capture = capture, .graph = graph, .options = options};
    double heads = 0, kv_heads = 0;
    tt_graph_config(graph, "heads", &heads);
    tt_graph_config(graph, "kv_heads", &kv_heads);
    int counts[2] = {(int)heads, (int)kv_heads};
    struct tt_identity *identity = tt_identity_new(tt_graph_model(graph), counts, 2);
    b.products = tt_products_of(capture, graph, identity);
    b.groups = tt_group_products(graph, &b.products);
    b.naming = tt_alloc(sizeof *b.naming);
    b.naming->trace = tt_trace_new(graph);
    b.attention = tt_alloc_array((size_t)tt_graph_nlayers(graph), sizeof *b.attention);
    find_weight_unit(&b);
    for (int pass = 0; pass < b.groups.count; pass++) {
        build_pass(&b, pass);
        list_attention(&b, pass);
    }
    recover_tokens(&b);
    find_unit(b.naming->trace);
    mark_chunks(b.naming->trace);
    list_calls(&b);
    for (int layer = 0; layer < tt_graph_nlayers(graph); layer++)
        tt_attention_free(&b.attention[layer]);
    free(b.attention);
    free(b.pads);
    int found = b.groups.count;
    size_t products = b.products.count;
    tt_groups_free(&b.groups);
    tt_products_free(&b.products);
    tt_identity_free(identity);
    if (found)
        return b.naming;
    tt_naming_free(b.naming);
    tt_fail(error, TT_EINPUT,
            products ? "%s: none of its %zu matrix products uses a weight of %s; give the model that was run with --model"
                     : "%s: no matrix products were captured (%zu), so there is nothing to compare with %s; see 'tensortap info'",
            tt_capture_path(capture), products, tt_model_path(tt_graph_model(graph)));
    return NULL;
}

void tt_naming_free(struct tt_naming *naming)
{
    if (!naming)
        return;
    tt_trace_free(naming->trace);
    free(naming->calls);
    free(naming);
}
