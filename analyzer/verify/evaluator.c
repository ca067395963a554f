/* SPDX-License-Identifier: Apache-2.0
 *
 * The evaluator's life: its settings, and what is kept from pass to pass.
 */
#include "verify/private.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct tt_evaluator *tt_evaluator_new(struct tt_graph *graph, const struct tt_trace *trace)
{
    struct tt_evaluator *e = tt_alloc(sizeof *e);
    e->graph = graph;
    e->trace = trace;
    e->nnodes = tt_graph_nnodes(graph);
    e->slots = tt_alloc_array((size_t)e->nnodes, sizeof *e->slots);
    return e;
}

static void clear_slots(struct tt_evaluator *e)
{
    for (int i = 0; i < e->nnodes; i++)
        tt_value_free(&e->slots[i].value);
    memset(e->slots, 0, (size_t)e->nnodes * sizeof *e->slots);
}

void tt_evaluator_free(struct tt_evaluator *e)
{
    if (!e)
        return;
    clear_slots(e);
    for (int s = 0; s < e->nmemories; s++) {
        for (int i = 0; i < e->nnodes; i++) {
            tt_value_free(&e->memories[s].rows[i]);
            tt_value_free(&e->memories[s].written[i]);
        }
        free(e->memories[s].rows);
        free(e->memories[s].written);
    }
    free(e->memories);
    if (e->asked)
        tt_prepared_release(e->asked);
    free(e->asked);
    free(e->slots);
    free(e->last_reader);
    for (int i = 0; i < e->nkept; i++)
        free(e->kept[i]);
    free(e->kept);
    free(e);
}

void tt_evaluator_round(struct tt_evaluator *e, double unit)
{
    e->unit = unit;
}

void tt_evaluator_asked_only(struct tt_evaluator *e, bool asked_only)
{
    e->asked_only = asked_only;
}

void tt_evaluator_values_only(struct tt_evaluator *e, bool values_only)
{
    e->values_only = values_only;
}

/* Caches and what they are made of are needed until the pass ends, values of the first pass even longer. */
static void find_last_readers(struct tt_evaluator *e)
{
    e->last_reader = tt_alloc_array((size_t)e->nnodes, sizeof *e->last_reader);
    for (int i = 0; i < e->nnodes; i++) {
        const struct tt_node *node = tt_graph_node(e->graph, i);
        e->last_reader[i] = node->state || node->kept ? INT_MAX : i;
        for (int j = 0; j < node->nin; j++) {
            int *last = &e->last_reader[node->in[j]];
            *last = node->state ? INT_MAX : *last > i ? *last : i;
        }
    }
}

void tt_evaluator_done(struct tt_evaluator *e, int node)
{
    if (!e->last_reader)
        find_last_readers(e);
    const struct tt_node *done = tt_graph_node(e->graph, node);
    for (int j = -1; j < done->nin; j++) {
        int index = j < 0 ? node : done->in[j];
        if (e->last_reader[index] > node)
            continue;
        tt_value_free(&e->slots[index].value);
        e->slots[index] = (struct slot){0};
    }
}

void tt_evaluator_begin(struct tt_evaluator *e, int index)
{
    e->pass = &e->trace->passes[index];
    clear_slots(e);
    struct memory *memory = tt_memory_of(e, e->pass->sequence);
    for (int i = 0; i < e->nnodes && !e->pass->continues; i++) {
        tt_value_free(&memory->rows[i]);
        tt_value_free(&memory->written[i]);
    }
}

void tt_evaluator_end(struct tt_evaluator *e)
{
    struct memory *memory = tt_memory_of(e, e->pass->sequence);
    bool blind = !e->pass->nobservations && e->pass->tokens_by == TT_BY_NONE && e->pass->blind;
    for (int i = 0; i < e->nnodes && blind; i++)
        if (tt_graph_node(e->graph, i)->state)
            tt_forget(e, memory, i);
    if (blind) {
        clear_slots(e);
        return;
    }
    for (int i = 0; i < e->nnodes; i++) {
        const struct tt_node *node = tt_graph_node(e->graph, i);
        if (node->kept && !e->pass->continues)
            tt_keep(e, memory, i);
        else if (node->state && !node->once && (!e->asked_only || e->slots[i].filled))
            tt_remember(e, memory, i);
    }
    clear_slots(e);
}

void tt_evaluator_focus(struct tt_evaluator *e, const uint8_t *rows)
{
    e->focus = rows;
}

void tt_evaluator_persist(struct tt_evaluator *e, const struct tt_overrides *overrides)
{
    e->kept = tt_grow(e->kept, (size_t)e->nkept + 1, sizeof *e->kept);
    e->kept[e->nkept] = tt_alloc(sizeof **e->kept);
    tt_overrides_copy(e->kept[e->nkept++], overrides);
}

void tt_evaluator_as_defined(struct tt_evaluator *e, bool as_defined)
{
    e->as_defined = as_defined;
}

void tt_evaluator_at_least(struct tt_evaluator *e, double unit)
{
    e->least_unit = unit;
}
