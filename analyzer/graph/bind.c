/* SPDX-License-Identifier: Apache-2.0
 *
 * Binding an architecture to a model: blocks are laid out repetition by repetition. Invariants of a finished graph: nodes
 * are in execution order, every input index is smaller than its node's own, every weight's shape agrees with the
 * architecture's.
 */
#include <stdlib.h>
#include <string.h>

#include "graph/architecture.h"
#include "graph/private.h"

static int add_items(struct tt_graph *graph, const cJSON *list, const struct place *place, struct tt_error *error);

static int open_carries(struct tt_graph *graph, const cJSON *block, const struct place *outer, int repetitions,
                        struct tt_error *error)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, member(block, "carry"))
    {
        const char *init = tt_json_string_at(item, 0);
        struct carry carry = {.name = item->string, .current = init ? tt_graph_resolve_at(graph, init, outer) : -1, .nat = repetitions};
        if (carry.current < 0)
            return tt_fail(error, TT_EINPUT, "architecture %s: '%s', with which carried value '%s' begins, is not computed "
                                             "before its block", graph->family, init ? init : "", item->string);
        carry.at = tt_alloc_array((size_t)repetitions + 1, sizeof *carry.at);
        graph->carries = tt_grow(graph->carries, (size_t)graph->ncarries + 1, sizeof *graph->carries);
        graph->carries[graph->ncarries++] = carry;
    }
    return 0;
}

static void note_carries(struct tt_graph *graph, int first, int count, int repetition)
{
    for (int i = first; i < first + count; i++)
        graph->carries[i].at[repetition] = graph->carries[i].current;
}

/* What the repetition just laid out hands on. */
static int turn_carries(struct tt_graph *graph, const cJSON *block, const struct place *place, int first,
                        struct tt_error *error)
{
    const cJSON *item;
    int i = first;
    cJSON_ArrayForEach(item, member(block, "carry"))
    {
        const char *next = tt_json_string_at(item, 1);
        int index = next ? tt_graph_resolve_at(graph, next, place) : -1;
        if (index < 0)
            return tt_fail(error, TT_EINPUT, "architecture %s: carried value '%s' goes on as '%s', which its block does not "
                                             "compute", graph->family, item->string, next ? next : "");
        graph->carries[i++].current = index;
    }
    return 0;
}

/* How often, and how the repetitions are numbered: as layers, or as iterations of one layer. */
static int block_places(struct tt_graph *graph, const cJSON *block, const struct place *outer, int64_t *times,
                        struct place *place, struct tt_error *error)
{
    const char *stack = text_of(block, "stack"), *index = text_of(block, "index");
    int64_t layer = 0;
    *place = (struct place){.outer = outer, .stack = stack ? tt_graph_intern(graph, stack) : outer->stack,
                            .layer = outer->layer, .iteration = outer->iteration};
    if (tt_graph_whole(graph, member(block, "repeat"), outer->layer, 0, times, error))
        return -1;
    if (*times > MAX_LAYERS)
        return tt_fail(error, TT_EINPUT, "%s: a block is repeated %lld times; at most %d are expected",
                       tt_model_path(graph->model), (long long)*times, MAX_LAYERS);
    if (index && strcmp(index, "iteration") != 0)
        return tt_fail(error, TT_EINPUT, "architecture %s: a block's index is 'iteration' or nothing", graph->family);
    if (member(block, "layer") && tt_graph_whole(graph, member(block, "layer"), outer->layer, 0, &layer, error))
        return -1;
    if (member(block, "layer"))
        place->layer = (int)layer;
    return index ? 1 : 0;
}

static int add_block(struct tt_graph *graph, const cJSON *block, const struct place *outer, struct tt_error *error)
{
    struct place place;
    int64_t times;
    int needed = tt_graph_wanted(graph, block, outer, error);
    if (needed <= 0)
        return needed;
    int iterates = block_places(graph, block, outer, &times, &place, error), first = graph->ncarries;
    int base = member(block, "layer") ? place.layer : 0;
    if (iterates < 0 || open_carries(graph, block, outer, (int)times, error))
        return -1;
    int ncarried = graph->ncarries - first;
    for (int i = 0; i < (int)times; i++) {
        if (iterates)
            place.iteration = i;
        else
            place.layer = base + i;
        note_carries(graph, first, ncarried, i);
        if (add_items(graph, member(block, "nodes"), &place, error) || turn_carries(graph, block, &place, first, error))
            return -1;
    }
    return 0;
}

static int add_items(struct tt_graph *graph, const cJSON *list, const struct place *place, struct tt_error *error)
{
    const cJSON *json;
    cJSON_ArrayForEach(json, list)
    {
        int failed = member(json, "repeat") ? add_block(graph, json, place, error) : tt_graph_add_node(graph, json, place, error);
        if (failed)
            return -1;
        if (graph->nnodes > MAX_NODES)
            return tt_fail(error, TT_EINPUT, "%s: more than %d values a pass by the metadata; no model has so many",
                           tt_model_path(graph->model), MAX_NODES);
    }
    return 0;
}

/* Values of the first pass that later passes still read. */
static void mark_kept(struct tt_graph *graph)
{
    for (int i = 0; i < graph->nnodes; i++)
        for (int j = 0; j < graph->nodes[i].nin && !graph->nodes[i].once; j++)
            graph->nodes[graph->nodes[i].in[j]].kept = graph->nodes[graph->nodes[i].in[j]].once;
}

int tt_graph_bind(struct tt_graph *graph, struct tt_error *error)
{
    const char *arch = "";
    struct place ends = {.stack = "", .layer = -1, .iteration = -1};
    graph->scheme = tt_model_scheme(graph->model);
    tt_model_string(graph->model, "general.architecture", &arch);
    graph->arch = arch;
    graph->family = text_of(graph->json, "family");
    if (tt_graph_read_config(graph, error) || add_items(graph, member(graph->json, "graph"), &ends, error))
        return -1;
    mark_kept(graph);
    return tt_graph_add_rewrites(graph, error);
}
