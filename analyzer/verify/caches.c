/* SPDX-License-Identifier: Apache-2.0
 *
 * Key and value caches: rows that earlier passes of a sequence wrote, then this pass's; and the ways in which engines
 * spoil them.
 */
#include <stdlib.h>
#include <string.h>

#include "verify/private.h"

struct memory *tt_memory_of(struct tt_evaluator *e, int sequence)
{
    if (sequence >= e->nmemories) {
        e->memories = tt_grow(e->memories, (size_t)sequence + 1, sizeof *e->memories);
        for (int s = e->nmemories; s <= sequence; s++) {
            e->memories[s].rows = tt_alloc_array((size_t)e->nnodes, sizeof *e->memories[s].rows);
            e->memories[s].written = tt_alloc_array((size_t)e->nnodes, sizeof *e->memories[s].written);
        }
        e->nmemories = sequence + 1;
    }
    return &e->memories[sequence];
}

/* Rows of earlier passes, then this pass's. Rows nobody saw being written are unknown. */
static int cache_rows(struct tt_evaluator *e, int node, const struct tt_value *old, const struct tt_value *fresh,
                      struct tt_value *out, struct tt_error *error)
{
    int64_t shape[TT_VALUE_RANK];
    int rank = tt_trace_shape(e->graph, e->pass, node, -1, -1, shape);
    *out = tt_value_new(rank, shape);
    int64_t stride = tt_value_count(out) / (shape[0] ? shape[0] : 1);
    int64_t before = shape[0] - fresh->shape[0];
    if (before < 0 || tt_value_count(fresh) != fresh->shape[0] * stride)
        return tt_fail(error, TT_EINPUT, "%s: %lld rows written into a cache of %lld",
                       tt_node_address(tt_graph_node(e->graph, node)).text, (long long)fresh->shape[0],
                       (long long)shape[0]);
    int64_t known = old->rank ? old->shape[0] : 0;
    if (known > before)
        known = before;
    if (known > 0)
        tt_copy_rows(out, 0, old, 0, known);
    tt_fill_unknown(out, known * stride, (before - known) * stride);
    tt_copy_rows(out, before, fresh, 0, fresh->shape[0]);
    return 0;
}

static void zero_row(struct tt_value *value, int64_t row)
{
    int64_t stride = value->shape[0] ? tt_value_count(value) / value->shape[0] : 0;
    memset(value->v + row * stride, 0, (size_t)stride * sizeof *value->v);
    if (value->var)
        memset(value->var + row * stride, 0, (size_t)stride * sizeof *value->var);
}

/* Everything lands `shift` rows away from where it belongs; what nothing lands on is zero. */
static void shift_rows(struct tt_value *value, const struct tt_value *right, int64_t shift)
{
    for (int64_t r = 0, rows = value->shape[0]; r < rows; r++) {
        if (r - shift >= 0 && r - shift < rows)
            tt_copy_rows(value, r, right, r - shift, 1);
        else
            zero_row(value, r);
    }
}

/* A cache, and the ways of spoiling one:
 *   shift                   rows land that many rows late
 *   stale                   1: rows of this pass are copies of the last one before
 *   overwritten_row, stale_row   this row holds row `copied_row` (-1: the last one)
 *   hole_row                this row was never written */
int tt_evaluate_cache(struct tt_evaluator *e, int node, const struct tt_attributes *attributes,
                          const struct tt_value *fresh, struct tt_value *out, struct tt_error *error)
{
    struct memory *memory = tt_memory_of(e, e->pass->sequence);
    if (cache_rows(e, node, &memory->rows[node], fresh, out, error))
        return -1;
    int64_t rows = out->shape[0], before = rows - fresh->shape[0];
    int64_t shift = (int64_t)tt_attributes_number(attributes, "shift", 0);
    int64_t to = (int64_t)tt_attributes_number(attributes, "overwritten_row", tt_attributes_number(attributes, "stale_row", -1));
    int64_t from = (int64_t)tt_attributes_number(attributes, "copied_row", -1);
    int64_t hole = (int64_t)tt_attributes_number(attributes, "hole_row", -1);
    struct tt_value right;
    if (shift && cache_rows(e, node, &memory->written[node], fresh, &right, error) == 0) {
        shift_rows(out, &right, shift);
        tt_value_free(&right);
    }
    for (int64_t r = before; tt_attributes_number(attributes, "stale", 0) && before > 0 && r < rows; r++)
        tt_copy_rows(out, r, out, before - 1, 1);
    if (to >= 0 && to < rows && from < rows)
        tt_copy_rows(out, to, out, from < 0 ? rows - 1 : from, 1);
    if (hole >= 0 && hole < rows)
        zero_row(out, hole);
    return 0;
}

void tt_remember(struct tt_evaluator *e, struct memory *memory, int node)
{
    const struct tt_value *value = tt_evaluator_value(e, node, NULL);
    const struct tt_value *fresh = value ? tt_evaluator_value(e, tt_graph_node(e->graph, node)->in[0], NULL) : NULL;
    struct tt_value written = {0};
    if (!value || !fresh)
        return;
    if (cache_rows(e, node, &memory->written[node], fresh, &written, NULL) == 0) {
        tt_value_free(&memory->written[node]);
        memory->written[node] = written;
    }
    tt_value_free(&memory->rows[node]);
    memory->rows[node] = tt_value_copy(value);
}

void tt_keep(struct tt_evaluator *e, struct memory *memory, int node)
{
    const struct tt_value *value = tt_evaluator_value(e, node, NULL);
    if (!value)
        return;
    tt_value_free(&memory->rows[node]);
    memory->rows[node] = tt_value_copy(value);
}

void tt_recall(struct tt_evaluator *e, int node, struct tt_value *out)
{
    const struct memory *memory = tt_memory_of(e, e->pass->sequence);
    int64_t shape[TT_VALUE_RANK];
    if (memory->rows[node].rank) {
        *out = tt_value_copy(&memory->rows[node]);
        return;
    }
    int rank = tt_trace_shape(e->graph, e->pass, node, -1, -1, shape);
    *out = tt_value_new(rank, shape);
    tt_fill_unknown(out, 0, tt_value_count(out));
}

/* A pass of which nothing is known but its length. */
void tt_forget(struct tt_evaluator *e, struct memory *memory, int node)
{
    int64_t shape[TT_VALUE_RANK];
    int rank = tt_trace_shape(e->graph, e->pass, node, -1, -1, shape);
    struct tt_value unknown = tt_value_new(rank, shape);
    tt_fill_unknown(&unknown, 0, tt_value_count(&unknown));
    if (memory->rows[node].rank)
        tt_copy_rows(&unknown, 0, &memory->rows[node], 0, memory->rows[node].shape[0] < shape[0] ? memory->rows[node].shape[0] : shape[0]);
    tt_value_free(&memory->rows[node]);
    tt_value_free(&memory->written[node]);
    memory->rows[node] = unknown;
}
