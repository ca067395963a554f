/* SPDX-License-Identifier: Apache-2.0
 *
 * From a capture to a trace, in order: products, the weights they use, passes, sequences. Values are read when a pass is
 * looked at, not before.
 */
#include "naming/naming.h"

#include <stdio.h>
#include <stdlib.h>

#include "naming/fused.h"
#include "naming/groups.h"
#include "naming/private.h"

/* ---- passes ---- */

static bool kept_anything(const struct tt_namer *b, int group)
{
    const struct tt_group *g = &b->groups.items[group];
    for (size_t i = g->first; i <= g->last; i++) {
        const struct tt_product *p = &b->products.items[i];
        if (p->pass == group && (tt_operand_readable(p->x.operand) || tt_operand_readable(p->y.operand)))
            return true;
    }
    return false;
}

/* From the first layer to the last. What is cut up otherwise (a layer computed row by row, say) is no pass of the graph;
 * the last one may have been ended by a crash. */
static bool is_whole(const struct tt_namer *b, int group)
{
    const struct tt_group *g = &b->groups.items[group];
    bool first = false, last = group == b->groups.count - 1;
    for (size_t i = g->first; i <= g->last; i++) {
        const struct tt_product *p = &b->products.items[i];
        if (p->pass != group || p->node < 0)
            continue;
        int layer = tt_graph_node(b->graph, p->node)->layer;
        first = first || layer == 0;
        last = last || layer == tt_graph_nlayers(b->graph) - 1;
    }
    return first && last;
}

static void list_attention(struct tt_namer *b, int pass)
{
    for (int layer = 0; layer < tt_graph_nlayers(b->graph); layer++) {
        const struct tt_attention *a = &b->attention[layer];
        for (int i = 0; i < a->sequences * a->heads; i++) { /* taken: they are no linear layers */
            a->qk_of[i]->node = a->qk;
            a->pv_of[i]->node = a->pv;
            a->qk_of[i]->pass = a->pv_of[i]->pass = pass;
            a->qk_of[i]->evidence = a->pv_of[i]->evidence = TT_BY_FLOW;
        }
    }
}

static void add_view(struct tt_namer *b, int group, int stream, const struct tt_sequence_rows *rows, bool owner)
{
    b->views = tt_grow(b->views, (size_t)b->nviews + 1, sizeof *b->views);
    b->views[b->nviews++] = (struct tt_view){.group = group, .stream = stream, .rows = b->rows, .sequences = b->sequences, .of = *rows,
                                             .attention = b->attention, .owner = owner};
}

static void build_pass(struct tt_namer *b, int group)
{
    int node = -1;
    int64_t width = 0;
    b->attention = tt_alloc_array((size_t)tt_graph_nlayers(b->graph), sizeof *b->attention);
    int64_t keys = tt_find_sequences(b, group);
    if (!keys) {
        free(b->attention);
        return;
    }
    int stream = tt_find_stream(b, keys);
    bool whole = is_whole(b, group);
    double *first = whole ? tt_first_rows(b, group, &node, &width) : NULL;
    b->naming->nbroken += !whole;
    for (int sequence = 0; sequence < b->sequences; sequence++) {
        struct tt_sequence_rows rows = tt_sequence_rows(b, sequence, keys);
        add_view(b, group, stream, &rows, sequence == 0);
        struct tt_trace_pass *pass = tt_add_named_pass(b, group, sequence, &rows, first, node, width);
        pass->blind = !whole || !kept_anything(b, group);
        tt_place_positions(b, b->nviews - 1, rows.pad);
    }
    b->past_keys = keys;
    list_attention(b, group);
    free(first);
}

/* The coarsest precision that most of what linear layers read has: that of the engine's activations. */
static void find_unit(struct tt_trace *trace)
{
    int wanted = 2; /* passes looked at */
    static const double units[] = {0x1p-53, 0x1p-24, 0x1p-11, 0x1p-8};
    int counts[4] = {0}, total = 0;
    for (int i = 0; i < trace->npasses && wanted; i++) {
        if (trace->passes[i].blind)
            continue;
        wanted--;
        tt_trace_load(trace, i);
        for (int j = 0; j < trace->passes[i].nobservations; j++) {
            const struct tt_observation *o = &trace->passes[i].observations[j];
            for (int u = 0; u < 4 && o->consumer >= 0 && tt_value_count(&o->value) >= 32; u++)
                counts[u] += o->unit == units[u], total += o->unit == units[u];
        }
        tt_trace_unload(trace, i);
    }
    trace->unit = 0x1p-24;
    for (int u = 0; u < 4; u++)
        if (2 * counts[u] > total)
            trace->unit = units[u];
}

/* What most weights went through on loading. */
static void find_weight_unit(const struct tt_namer *b)
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

/* Did the pass go on to what follows the layers? */
static bool reaches_end(const struct tt_namer *b, int pass)
{
    for (size_t i = 0; i < b->products.count; i++) {
        const struct tt_product *p = &b->products.items[i];
        if (p->pass == pass && p->node > 0 && tt_graph_node(b->graph, p->node)->layer < 0 &&
            tt_graph_node(b->graph, p->node - 1)->layer < 0)
            return true;
    }
    return false;
}

/* One token at a time looks like decoding. Up to the first pass that makes logits it is a prompt that is fed so. */
static void mark_prompts(const struct tt_namer *b)
{
    struct tt_trace *trace = b->naming->trace;
    int end = 0; /* of the first sequence's prompt */
    while (end < trace->npasses && (trace->passes[end].sequence || !reaches_end(b, trace->passes[end].pass)))
        end++;
    for (int i = 0; i <= end && end < trace->npasses; i++)
        if (trace->passes[i].sequence == 0)
            trace->passes[i].phase = TT_PREFILL;
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

static void list_calls(struct tt_namer *b)
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

static void free_namer(struct tt_namer *b)
{
    for (int i = 0; i < b->nviews; i++) {
        for (int layer = 0; b->views[i].owner && layer < tt_graph_nlayers(b->graph); layer++)
            tt_attention_free(&b->views[i].attention[layer]);
        if (b->views[i].owner)
            free(b->views[i].attention);
    }
    free(b->views);
    free(b->streams);
    free(b->pads);
    tt_groups_free(&b->groups);
    tt_products_free(&b->products);
    free(b);
}

static void find_products(struct tt_namer *b)
{
    double heads = 0, kv_heads = 0;
    tt_graph_config(b->graph, "heads", &heads);
    tt_graph_config(b->graph, "kv_heads", &kv_heads);
    int counts[2] = {(int)heads, (int)kv_heads};
    struct tt_identity *identity = tt_identity_new(tt_graph_model(b->graph), counts, 2);
    b->products = tt_products_of(b->capture, b->graph, identity);
    tt_products_split(b->capture, b->graph, &b->products);
    b->groups = tt_group_products(b->graph, &b->products);
    tt_identity_free(identity);
}

struct tt_naming *tt_naming_new(const struct tt_capture *capture, struct tt_graph *graph,
                                const struct tt_naming_options *options, struct tt_error *error)
{
    struct tt_namer *b = tt_alloc(sizeof *b);
    struct tt_naming *naming = tt_alloc(sizeof *naming);
    *b = (struct tt_namer){.capture = capture, .graph = graph, .options = options, .naming = naming};
    naming->namer = b;
    naming->trace = tt_trace_new(graph);
    naming->trace->load = tt_observe_pass;
    naming->trace->user = b;
    find_products(b);
    find_weight_unit(b);
    for (int group = 0; group < b->groups.count; group++)
        build_pass(b, group);
    tt_number_sequences(b);
    tt_recover_pending(b);
    if (naming->nbroken)
        snprintf(naming->trace->note, sizeof naming->trace->note,
                 "%d of %d passes do not go from the first layer to the last (a layer computed row by row?) and were left out",
                 naming->nbroken, b->groups.count);
    find_unit(naming->trace);
    mark_prompts(b);
    mark_chunks(naming->trace);
    list_calls(b);
    size_t products = b->products.count;
    if (!products)
        snprintf(naming->trace->note, sizeof naming->trace->note,
                 "no matrix products were captured, so nothing of the model was measured; 'tensortap info' tells what was");
    if (naming->trace->npasses || !products)
        return naming;
    tt_naming_free(naming);
    tt_fail(error, TT_EINPUT,
            "%s: none of its %zu matrix products uses a weight of %s; give the model that was run with --model",
            tt_capture_path(capture), products, tt_model_path(tt_graph_model(graph)));
    return NULL;
}

void tt_naming_free(struct tt_naming *naming)
{
    if (!naming)
        return;
    tt_trace_free(naming->trace);
    free_namer(naming->namer);
    free(naming->calls);
    free(naming);
}
