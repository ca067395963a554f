/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of saved tensors: an optional pass "p<n>/", then a canonical address or a module path of the family's other
 * naming scheme. Shapes [batch, tokens, …] are split into sequences; padding is dropped by "attention_mask".
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/compare.h"

static const char *strip_pass(const char *name, int *pass)
{
    char *end;
    *pass = 0;
    if (name[0] != 'p' || !isdigit((unsigned char)name[1]))
        return name;
    long n = strtol(name + 1, &end, 10);
    if (*end != '/')
        return name;
    *pass = (int)n;
    return end + 1;
}

/* "model.layers.0.self_attn.q_proj" ends in the family's path, behind a dot or at the start. */
static bool path_matches(const char *name, const char *path)
{
    size_t n = strlen(name), m = strlen(path);
    return m <= n && strcmp(name + n - m, path) == 0 && (n == m || name[n - m - 1] == '.');
}

static int node_named(const struct tt_graph *graph, const char *name)
{
    size_t longest = 0;
    int found = -1;
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *node = tt_graph_node(graph, i);
        if (strcmp(tt_node_address(node).text, name) == 0)
            return i;
        if (node->hf && path_matches(name, node->hf) && strlen(node->hf) > longest) {
            longest = strlen(node->hf);
            found = i;
        }
    }
    return found;
}

struct batch { /* of one pass */
    int64_t sequences, tokens;
    const double *ids, *mask, *positions; /* [sequences, tokens], NULL: absent */
};

static double *read_named(const struct tt_arrays *arrays, int pass, const char *name, const struct tt_array **array)
{
    for (size_t i = 0; i < tt_arrays_count(arrays); i++) {
        int of;
        const struct tt_array *a = tt_arrays_at(arrays, i);
        if (strcmp(strip_pass(a->name, &of), name) != 0 || of != pass)
            continue;
        uint64_t count = 1;
        for (int j = 0; j < a->rank; j++)
            count *= (uint64_t)a->shape[j];
        double *values = tt_alloc_array(count + 1, sizeof *values);
        *array = a;
        if (tt_array_read_f64(a, 0, count, values, NULL) == 0)
            return values;
        free(values);
    }
    return NULL;
}

static int last_pass(const struct tt_arrays *arrays)
{
    int last = -1, pass;
    for (size_t i = 0; i < tt_arrays_count(arrays); i++) {
        strip_pass(tt_arrays_at(arrays, i)->name, &pass);
        last = pass > last ? pass : last;
    }
    return last;
}

struct rows { /* of one sequence in a batch, padding left out */
    int64_t *index; /* [count] token index in the batch */
    int64_t count, before;
};

static struct rows rows_of(const struct batch *b, int64_t sequence, int64_t nmask)
{
    struct rows r = {.index = tt_alloc_array((size_t)b->tokens + 1, sizeof *r.index)};
    int64_t past = nmask - b->tokens;
    for (int64_t t = 0; t < nmask; t++) {
        bool real = !b->mask || b->mask[sequence * nmask + t] != 0;
        if (t < past)
            r.before += real;
        else if (real)
            r.index[r.count++] = t - past;
    }
    return r;
}

static struct tt_trace_pass *add_pass(struct tt_trace *trace, const struct batch *b, int pass, int64_t sequence,
                                      const struct rows *r)
{
    int64_t keys = r->before + r->count;
    int32_t *tokens = tt_alloc_array((size_t)r->count + 1, sizeof *tokens);
    int64_t *positions = tt_alloc_array((size_t)keys + 1, sizeof *positions);
    for (int64_t i = 0; i < keys; i++)
        positions[i] = i;
    for (int64_t i = 0; i < r->count; i++)
        tokens[i] = b->ids ? (int32_t)b->ids[sequence * b->tokens + r->index[i]] : 0;
    struct tt_trace_pass *made =
        tt_trace_add_pass(trace, &(struct tt_pass_inputs){.ntokens = r->count, .tokens = tokens,
                                                          .positions = positions + r->before, .nkeys = keys,
                                                          .key_positions = positions});
    made->pass = pass;
    made->sequence = (int)sequence;
    made->continues = r->before > 0;
    made->phase = made->continues && r->count == 1 ? TT_DECODE : TT_PREFILL;
    made->tokens_by = b->ids ? TT_BY_NAME : TT_BY_NONE;
    free(tokens);
    free(positions);
    return made;
}

/* [batch, tokens, width] or [tokens, width] -> this sequence's rows. */
static void observe(struct tt_trace *trace, struct tt_trace_pass *pass, int node, const struct tt_array *array,
                    const double *values, const struct batch *b, const struct rows *r)
{
    uint64_t count = 1;
    for (int i = 0; i < array->rank; i++)
        count *= (uint64_t)array->shape[i];
    struct tt_observation *o = tt_trace_observe(trace, pass, node, -1, -1);
    int64_t width = o->value.shape[0] ? tt_value_count(&o->value) / o->value.shape[0] : 0;
    int64_t inner = o->value.shape[0] ? tt_value_rows(&o->value) / o->value.shape[0] : 0;
    if (!width || count != (uint64_t)(b->sequences * b->tokens * width))
        return;
    for (int64_t i = 0; i < r->count; i++) {
        memcpy(o->value.v + i * width, values + ((int64_t)pass->sequence * b->tokens + r->index[i]) * width,
               (size_t)width * sizeof *values);
        memset(o->seen + i * inner, 1, (size_t)inner);
    }
    o->dtype = array->dtype;
    o->evidence = TT_BY_NAME;
    tt_observation_finish(o);
}

static void read_pass(struct tt_trace *trace, const struct tt_arrays *arrays, int pass, const struct tt_trace *like)
{
    struct batch b = {0};
    const struct tt_array *ids = NULL, *mask = NULL;
    b.ids = read_named(arrays, pass, "input_ids", &ids);
    b.mask = read_named(arrays, pass, "attention_mask", &mask);
    b.sequences = ids && ids->rank == 2 ? ids->shape[0] : 1;
    b.tokens = ids && ids->rank ? ids->shape[ids->rank - 1] : pass < like->npasses ? like->passes[pass].inputs.ntokens : 0;
    int64_t nmask = mask && mask->rank ? mask->shape[mask->rank - 1] : b.tokens;
    if (!b.mask && trace->npasses && trace->passes[trace->npasses - 1].sequence == 0)
        nmask = trace->passes[trace->npasses - 1].inputs.nkeys + b.tokens; /* decode without a mask: the cache grows */
    for (int64_t s = 0; s < b.sequences && b.tokens > 0 && nmask >= b.tokens; s++) {
        struct rows r = rows_of(&b, s, nmask);
        int index = trace->npasses;
        add_pass(trace, &b, pass, s, &r);
        for (size_t i = 0; i < tt_arrays_count(arrays); i++) {
            int of;
            const struct tt_array *a = tt_arrays_at(arrays, i);
            int node = node_named(trace->graph, strip_pass(a->name, &of));
            const struct tt_array *same;
            double *values = of == pass && node >= 0 ? read_named(arrays, pass, strip_pass(a->name, &of), &same) : NULL;
            if (values)
                observe(trace, &trace->passes[index], node, a, values, &b, &r);
            free(values);
        }
        free(r.index);
    }
    free((void *)b.ids);
    free((void *)b.mask);
}

struct tt_trace *tt_trace_of_arrays(const struct tt_arrays *arrays, const struct tt_graph *graph,
                                    const struct tt_trace *like, struct tt_error *error)
{
    struct tt_trace *trace = tt_trace_new(graph);
    int named = 0;
    for (int pass = 0, last = last_pass(arrays); pass <= last; pass++)
        read_pass(trace, arrays, pass, like);
    for (int i = 0; i < trace->npasses; i++)
        named += trace->passes[i].nobservations;
    if (named)
        return trace;
    tt_trace_free(trace);
    tt_fail(error, TT_EINPUT,
            "none of the reference's %zu tensors is named like a component ('p0/L0.attn.q_proj') or a module of family %s",
            tt_arrays_count(arrays), tt_graph_family(graph));
    return NULL;
}
