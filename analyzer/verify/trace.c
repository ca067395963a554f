/* SPDX-License-Identifier: Apache-2.0
 *
 * Bookkeeping of traces: allocation in canonical shape, look-up, and the precision that values reveal by themselves.
 */
#include "verify/trace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *tt_evidence_name(enum tt_evidence evidence)
{
    static const char *const names[] = {"none", "file", "hash", "flow", "shape", "name", "value"};
    return names[evidence];
}

const char *tt_phase_name(enum tt_phase phase)
{
    static const char *const names[] = {"prefill", "decode", "warmup"};
    return names[phase];
}

struct tt_trace *tt_trace_new(const struct tt_graph *graph)
{
    struct tt_trace *trace = tt_alloc(sizeof *trace);
    trace->graph = graph;
    trace->unit = 0x1p-24;
    return trace;
}

static void *copy_of(const void *from, int64_t count, size_t size)
{
    if (!from)
        return NULL;
    void *to = tt_alloc_array((size_t)(count > 0 ? count : 1), size);
    memcpy(to, from, (size_t)count * size);
    return to;
}

static void free_observations(struct tt_trace_pass *pass)
{
    for (int i = 0; i < pass->nobservations; i++) {
        tt_value_free(&pass->observations[i].value);
        free(pass->observations[i].seen);
    }
    free(pass->observations);
    pass->observations = NULL;
    pass->nobservations = pass->capacity = 0;
}

void tt_trace_load(struct tt_trace *trace, int index)
{
    struct tt_trace_pass *pass = &trace->passes[index];
    if (trace->load && !pass->loaded)
        trace->load(trace->user, trace, index);
    pass->loaded = true;
}

void tt_trace_unload(struct tt_trace *trace, int index)
{
    if (!trace->load)
        return;
    free_observations(&trace->passes[index]);
    trace->passes[index].loaded = false;
}

static void free_pass(struct tt_trace_pass *pass)
{
    free_observations(pass);
    free((void *)pass->inputs.tokens);
    free((void *)pass->inputs.positions);
    free((void *)pass->inputs.types);
    free((void *)pass->inputs.key_positions);
}

void tt_trace_free(struct tt_trace *trace)
{
    if (!trace)
        return;
    for (int i = 0; i < trace->npasses; i++)
        free_pass(&trace->passes[i]);
    free(trace->passes);
    free(trace);
}

struct tt_trace_pass *tt_trace_add_pass(struct tt_trace *trace, const struct tt_pass_inputs *inputs)
{
    if (trace->npasses == trace->capacity) {
        trace->capacity = trace->capacity ? 2 * trace->capacity : 16;
        trace->passes = tt_grow(trace->passes, (size_t)trace->capacity, sizeof *trace->passes);
    }
    struct tt_trace_pass *pass = &trace->passes[trace->npasses++];
    *pass = (struct tt_trace_pass){.pass = trace->npasses - 1, .inputs = *inputs, .tokens_by = TT_BY_NAME, .greedy = -1};
    pass->inputs.tokens = copy_of(inputs->tokens, inputs->ntokens, sizeof *inputs->tokens);
    pass->inputs.positions = copy_of(inputs->positions, inputs->ntokens, sizeof *inputs->positions);
    pass->inputs.types = copy_of(inputs->types, inputs->ntokens, sizeof *inputs->types);
    pass->inputs.key_positions = copy_of(inputs->key_positions, inputs->nkeys, sizeof *inputs->key_positions);
    return pass;
}

struct tt_trace *tt_trace_bare(const struct tt_graph *graph, const struct tt_trace *run)
{
    struct tt_trace *trace = tt_trace_new(graph);
    for (int i = 0; i < run->npasses; i++) {
        const struct tt_trace_pass *from = &run->passes[i];
        struct tt_trace_pass *to = tt_trace_add_pass(trace, &from->inputs);
        to->pass = from->pass;
        to->sequence = from->sequence;
        to->continues = from->continues;
        to->phase = from->phase;
    }
    return trace;
}

int tt_trace_shape(const struct tt_graph *graph, const struct tt_trace_pass *pass, int node, int consumer, int port,
                   int64_t shape[TT_VALUE_RANK])
{
    const struct tt_node *n = tt_graph_node(graph, node);
    for (int i = 0; i < n->rank; i++)
        shape[i] = tt_axis_length(n->axes[i], pass->inputs.ntokens, pass->inputs.nkeys);
    /* Key and value heads as an attention product reads them: one per query head. */
    const struct tt_node *reader = consumer >= 0 ? tt_graph_node(graph, consumer) : NULL;
    if (reader && port == 1 && reader->op && reader->op->repeats_heads && reader->rank == 3 && n->rank == 3)
        shape[1] = reader->axes[1];
    return n->rank;
}

const struct tt_observation *tt_trace_find(const struct tt_trace_pass *pass, int node, int consumer, int port)
{
    for (int i = 0; i < pass->nobservations; i++) {
        const struct tt_observation *o = &pass->observations[i];
        if (o->node == node && o->consumer == consumer && o->port == port)
            return o;
    }
    return NULL;
}

const struct tt_observation *tt_trace_find_any(const struct tt_trace_pass *pass, int node)
{
    const struct tt_observation *o = tt_trace_find(pass, node, -1, -1);
    for (int i = 0; !o && i < pass->nobservations; i++)
        if (pass->observations[i].node == node)
            o = &pass->observations[i];
    return o;
}

struct tt_observation *tt_trace_observe(struct tt_trace *trace, struct tt_trace_pass *pass, int node, int consumer,
                                        int port)
{
    struct tt_observation *found = (struct tt_observation *)tt_trace_find(pass, node, consumer, port);
    if (found)
        return found;
    if (pass->nobservations == pass->capacity) {
        pass->capacity = pass->capacity ? 2 * pass->capacity : 64;
        pass->observations = tt_grow(pass->observations, (size_t)pass->capacity, sizeof *pass->observations);
    }
    int64_t shape[TT_VALUE_RANK];
    struct tt_observation *made = &pass->observations[pass->nobservations++];
    *made = (struct tt_observation){.node = node, .consumer = consumer, .port = port, .transform = ""};
    int rank = tt_trace_shape(trace->graph, pass, node, consumer, port, shape);
    made->value = tt_value_new(rank, shape);
    made->seen = tt_alloc((size_t)tt_value_rows(&made->value) + 1);
    made->unit = 0x1p-24;
    return made;
}

/* Low bits of a float that are zero in every number of a narrower type. */
static double unit_of_values(const double *v, int64_t n)
{
    uint32_t low16 = 0, low13 = 0, low29 = 0;
    for (int64_t i = 0; i < n; i++) {
        union {
            float f;
            uint32_t u;
        } bits = {.f = (float)v[i]};
        if (!isfinite(v[i]))
            continue;
        low29 |= (double)bits.f != v[i];
        low16 |= bits.u & 0xffff;
        low13 |= bits.u & 0x1fff;
    }
    if (low29)
        return 0x1p-53;
    return !low16 ? 0x1p-8 : !low13 ? 0x1p-11 : 0x1p-24;
}

void tt_observation_finish(struct tt_observation *o)
{
    int64_t rows = tt_value_rows(&o->value);
    o->nseen = 0;
    for (int64_t i = 0; i < rows; i++)
        o->nseen += o->seen[i] != 0;
    double unit = unit_of_values(o->value.v, tt_value_count(&o->value));
    static const struct {
        enum tt_dtype dtype;
        double unit;
    } units[] = {{TT_BF16, 0x1p-8}, {TT_F16, 0x1p-11}, {TT_F32, 0x1p-24}, {TT_F64, 0x1p-53}};
    double declared = 0x1p-53;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (units[i].dtype == o->dtype)
            declared = units[i].unit;
    o->unit = fmax(unit, declared); /* a few numbers may look narrower than they are: harmless, they are exact */
}

double tt_trace_usual_unit(const struct tt_trace *trace)
{
    static const double units[] = {0x1p-53, 0x1p-24, 0x1p-11, 0x1p-8};
    int count[4] = {0}, best = 0;
    for (int i = 0; i < trace->npasses; i++)
        for (int j = 0; j < trace->passes[i].nobservations; j++)
            for (int k = 0; k < 4; k++)
                count[k] += trace->passes[i].observations[j].unit == units[k];
    for (int k = 1; k < 4; k++)
        best = count[k] > count[best] ? k : best;
    return units[best];
}

bool tt_observation_complete(const struct tt_observation *o)
{
    return o->nseen == tt_value_rows(&o->value);
}
