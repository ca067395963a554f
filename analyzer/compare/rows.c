/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows by sequence and position.
 */
#include "compare/rows.h"

#include <stdlib.h>
#include <string.h>

static int64_t row_at(const struct tt_trace_pass *pass, int64_t position)
{
    for (int64_t t = 0; t < pass->inputs.ntokens; t++)
        if (pass->inputs.positions[t] == position)
            return t;
    return -1;
}

bool tt_find_row(const struct tt_trace *run, int node, int sequence, int64_t position, struct tt_row_match *out)
{
    for (int i = 0; i < run->npasses; i++) {
        const struct tt_trace_pass *pass = &run->passes[i];
        const struct tt_observation *o = pass->sequence == sequence ? tt_trace_find_any(pass, node) : NULL;
        int64_t row = o ? row_at(pass, position) : -1;
        if (row >= 0 && row < o->value.shape[0]) {
            *out = (struct tt_row_match){pass, o, row};
            return true;
        }
    }
    return false;
}

bool tt_row_seen(const struct tt_observation *o, int64_t row)
{
    int64_t inner = o->value.shape[0] ? tt_value_rows(&o->value) / o->value.shape[0] : 0;
    return inner && memchr(o->seen + row * inner, 0, (size_t)inner) == NULL;
}

/* Passes that have one of the positions; those of other sequences and positions stay on disk. */
static void load_needed(struct tt_trace *run, const struct tt_trace_pass *pass)
{
    for (int i = 0; i < run->npasses; i++) {
        bool needed = false;
        for (int64_t t = 0; t < pass->inputs.ntokens && run->passes[i].sequence == pass->sequence && !needed; t++)
            needed = row_at(&run->passes[i], pass->inputs.positions[t]) >= 0;
        if (needed && !run->passes[i].loaded)
            tt_trace_load(run, i);
    }
}

static bool copy_row(struct tt_observation *to, int64_t row, const struct tt_row_match *from)
{
    const struct tt_value *value = &from->seen->value;
    int64_t width = to->value.shape[0] ? tt_value_count(&to->value) / to->value.shape[0] : 0;
    int64_t inner = to->value.shape[0] ? tt_value_rows(&to->value) / to->value.shape[0] : 0;
    if (!width || tt_value_count(value) != width * value->shape[0] || !tt_row_seen(from->seen, from->row))
        return false;
    memcpy(to->value.v + row * width, value->v + from->row * width, (size_t)width * sizeof *value->v);
    memset(to->seen + row * inner, 1, (size_t)inner);
    to->dtype = from->seen->dtype;
    to->evidence = from->seen->evidence;
    to->call = from->seen->call;
    return true;
}

struct tt_observation *tt_gather_rows(struct tt_trace *run, struct tt_trace *trace, struct tt_trace_pass *pass, int node)
{
    int64_t found = 0;
    struct tt_row_match match;
    if (!tt_node_by_token(tt_graph_node(trace->graph, node)))
        return NULL;
    load_needed(run, pass);
    struct tt_observation *made = tt_trace_observe(trace, pass, node, -1, -1);
    for (int64_t t = 0; t < pass->inputs.ntokens; t++)
        if (tt_find_row(run, node, pass->sequence, pass->inputs.positions[t], &match))
            found += copy_row(made, t, &match);
    tt_observation_finish(made);
    return found ? made : NULL;
}

/* ---- one array ---- */

static struct tt_trace *rows_trace(const struct tt_graph *graph, int64_t rows)
{
    struct tt_trace *trace = tt_trace_new(graph);
    int64_t *positions = tt_alloc_array((size_t)rows + 1, sizeof *positions);
    int32_t *tokens = tt_alloc_array((size_t)rows + 1, sizeof *tokens);
    for (int64_t i = 0; i < rows; i++)
        positions[i] = i;
    struct tt_trace_pass *pass = tt_trace_add_pass(
        trace, &(struct tt_pass_inputs){.ntokens = rows, .tokens = tokens, .positions = positions, .nkeys = rows,
                                        .key_positions = positions});
    pass->tokens_by = TT_BY_NONE;
    free(positions);
    free(tokens);
    return trace;
}

/* Elements of one token's row; -1: it is not by token, or depends on the number of tokens. */
static int64_t row_width(const struct tt_node *node)
{
    int64_t width = 1;
    for (int i = 1; i < node->rank; i++)
        width = node->axes[i] > 0 ? width * node->axes[i] : -1;
    return tt_node_by_token(node) ? width : -1;
}

/* Rows of `count` elements: a row of attention scores is as long as there are keys, which are the rows. */
static int64_t rows_in(const struct tt_node *node, uint64_t count)
{
    int64_t width = row_width(node), heads = node->rank == 3 ? node->axes[1] : 1;
    if (width > 0)
        return count % (uint64_t)width ? -1 : (int64_t)(count / (uint64_t)width);
    for (int64_t n = 1; tt_node_by_token(node) && heads > 0 && (uint64_t)(n * n * heads) <= count; n++)
        if ((uint64_t)(n * n * heads) == count)
            return n;
    return -1;
}

struct tt_trace *tt_trace_of_array(const struct tt_array *array, const struct tt_graph *graph, int node,
                                   struct tt_error *error)
{
    uint64_t count = 1;
    for (int i = 0; i < array->rank; i++)
        count *= (uint64_t)array->shape[i];
    int64_t rows = rows_in(tt_graph_node(graph, node), count);
    if (rows <= 0) {
        tt_fail(error, TT_EINPUT, "array '%s' of %llu elements is no whole number of rows of %s", array->name,
                (unsigned long long)count, tt_node_address(tt_graph_node(graph, node)).text);
        return NULL;
    }
    struct tt_trace *trace = rows_trace(graph, rows);
    struct tt_observation *o = tt_trace_observe(trace, &trace->passes[0], node, -1, -1);
    if (tt_array_read_f64(array, 0, count, o->value.v, error)) {
        tt_trace_free(trace);
        return NULL;
    }
    memset(o->seen, 1, (size_t)tt_value_rows(&o->value));
    o->dtype = array->dtype;
    o->evidence = TT_BY_NAME;
    tt_observation_finish(o);
    return trace;
}
