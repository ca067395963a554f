/* SPDX-License-Identifier: Apache-2.0
 *
 * Lazy evaluation with memory. Invariants: a slot, once filled, is what later nodes read; evaluations under overrides
 * fill an overlay of their own and leave the slots alone.
 */
#include "verify/private.h"

#include <stdlib.h>
#include <string.h>

const struct tt_override *tt_override_of(const struct tt_evaluator *e, const struct overlay *overlay, int node)
{
    const struct tt_override *found = overlay ? tt_overrides_find(overlay->overrides, node) : NULL;
    for (int i = e->nkept - 1; i >= 0 && !found && !e->as_defined; i--)
        found = tt_overrides_find(e->kept[i], node);
    return found;
}

const struct tt_observation *tt_port_observation(const struct tt_evaluator *e, int source, int consumer, int port)
{
    const struct tt_observation *o = tt_trace_find(e->pass, source, consumer, port);
    return o && o->nseen > 0 ? o : NULL;
}

static const char *head_map_of(const struct tt_evaluator *e, const struct overlay *overlay, int reader)
{
    const struct tt_override *override = tt_override_of(e, overlay, reader);
    const char *own = tt_attributes_string(&tt_graph_node(e->graph, reader)->attributes, "head_map", "group");
    return override ? tt_attributes_string(&override->set, "head_map", own) : own;
}

bool tt_changes_shape(const struct tt_evaluator *e, const struct tt_value *value, int node, int consumer, int port)
{
    int64_t shape[TT_VALUE_RANK];
    int rank = tt_trace_shape(e->graph, e->pass, node, consumer, port, shape);
    return consumer >= 0 && rank == 3 && value->rank == 3 && shape[1] != value->shape[1] && value->shape[1] > 0;
}

struct tt_value tt_in_shape(struct tt_evaluator *e, const struct overlay *overlay, const struct tt_value *value,
                            int node, int consumer, int port)
{
    int64_t shape[TT_VALUE_RANK];
    if (!tt_changes_shape(e, value, node, consumer, port))
        return tt_value_copy(value);
    tt_trace_shape(e->graph, e->pass, node, consumer, port, shape);
    return tt_repeat_heads(value, shape, head_map_of(e, overlay, consumer));
}

static bool by_token(const struct tt_evaluator *e, int node)
{
    return tt_node_by_token(tt_graph_node(e->graph, node));
}

const struct tt_value *tt_evaluator_value(struct tt_evaluator *e, int node, struct tt_error *error)
{
    struct slot *slot = &e->slots[node];
    if (!slot->filled) {
        struct tt_value value;
        if (tt_evaluate_node(e, NULL, node, NULL, &value, error))
            return NULL;
        slot->value = value;
        slot->filled = true;
    }
    return &slot->value;
}

static bool is_affected(struct tt_evaluator *e, struct overlay *overlay, int node)
{
    if (overlay->affected[node])
        return overlay->affected[node] > 0;
    const struct tt_node *n = tt_graph_node(e->graph, node);
    bool yes = false;
    if (!(e->slots[node].filled && e->slots[node].observed)) {
        yes = tt_overrides_find(overlay->overrides, node) != NULL;
        for (int i = 0; i < n->nin && !yes; i++) {
            const struct tt_observation *o = tt_port_observation(e, n->in[i], node, i);
            yes = !(o && tt_observation_complete(o)) && is_affected(e, overlay, n->in[i]);
        }
    }
    overlay->affected[node] = yes ? 1 : -1;
    return yes;
}

int tt_value_in(struct tt_evaluator *e, struct overlay *overlay, int node, const uint8_t *rows,
                    const struct tt_value **out, struct tt_error *error)
{
    if (!overlay || !overlay->overrides || !is_affected(e, overlay, node)) {
        *out = tt_evaluator_value(e, node, error);
        return *out ? 0 : -1;
    }
    struct tt_value *value = overlay->values[node].rank || !rows ? &overlay->values[node] : &overlay->some[node];
    if (!value->rank && tt_evaluate_node(e, overlay, node, rows, value, error))
        return -1;
    *out = value;
    return 0;
}

int tt_evaluate(struct tt_evaluator *e, int node, const struct tt_overrides *overrides, const uint8_t *rows,
                struct tt_value *out, struct tt_error *error)
{
    struct overlay overlay = {.overrides = overrides};
    if (!overrides || !overrides->count)
        return tt_evaluate_node(e, NULL, node, rows, out, error);
    overlay.affected = tt_alloc((size_t)e->nnodes);
    overlay.values = tt_alloc_array((size_t)e->nnodes, sizeof *overlay.values);
    overlay.some = tt_alloc_array((size_t)e->nnodes, sizeof *overlay.some);
    int failed = tt_evaluate_node(e, &overlay, node, by_token(e, node) ? rows : NULL, out, error);
    for (int i = 0; i < e->nnodes; i++) {
        tt_value_free(&overlay.values[i]);
        tt_value_free(&overlay.some[i]);
    }
    free(overlay.values);
    free(overlay.some);
    free(overlay.affected);
    return failed;
}

int tt_evaluate_as(struct tt_evaluator *e, const struct tt_observation *o, const struct tt_overrides *overrides,
                   struct tt_value *out, struct tt_error *error)
{
    int64_t first = o->value.rank ? o->value.shape[0] : 1;
    int64_t inner = first ? tt_value_rows(&o->value) / first : 0;
    uint8_t *rows = tt_alloc((size_t)first + 1);
    for (int64_t t = 0; t < first; t++)
        rows[t] = memchr(o->seen + t * inner, 1, (size_t)inner) != NULL &&
                  !(overrides && overrides->count && e->focus && by_token(e, o->node) && !e->focus[t]);
    struct tt_value produced;
    int failed = tt_evaluate(e, o->node, overrides, rows, &produced, error);
    free(rows);
    if (failed)
        return -1;
    *out = tt_in_shape(e, &(struct overlay){.overrides = overrides}, &produced, o->node, o->consumer, o->port);
    tt_value_free(&produced);
    return 0;
}

int tt_evaluator_as_read(struct tt_evaluator *e, const struct tt_observation *o, const struct tt_value *written,
                         struct tt_value *out)
{
    *out = tt_in_shape(e, NULL, written, o->node, o->consumer, o->port);
    bool same = tt_value_count(out) == tt_value_count(&o->value);
    if (!same)
        tt_value_free(out);
    return same ? 0 : -1;
}

void tt_evaluator_adopt(struct tt_evaluator *e, const struct tt_observation *o, const struct tt_value *expected)
{
    struct slot *slot = &e->slots[o->node];
    struct tt_value value = tt_merge_seen(o, expected);
    int64_t shape[TT_VALUE_RANK];
    int rank = tt_trace_shape(e->graph, e->pass, o->node, -1, -1, shape);
    if (rank == 3 && value.shape[1] != shape[1]) {
        struct tt_value grouped = tt_group_heads(&value, shape);
        tt_value_free(&value);
        value = grouped;
    }
    if (o->consumer < 0 && o->unit < e->trace->unit) { /* the next op reads it after one more rounding */
        double *var = tt_value_need_var(&value);
        for (int64_t i = 0, n = tt_value_count(&value); i < n; i++)
            var[i] += 0.18 * e->trace->unit * e->trace->unit * value.v[i] * value.v[i];
    }
    tt_value_free(&slot->value);
    *slot = (struct slot){.filled = true, .observed = tt_observation_complete(o), .value = value};
}

bool tt_evaluator_persists(const struct tt_evaluator *e, const int *nodes, int n)
{
    for (int i = 0; i < n; i++)
        if (tt_override_of(e, NULL, nodes[i]))
            return true;
    return false;
}

void tt_evaluator_forget(struct tt_evaluator *e, const int *nodes, int n)
{
    for (int i = 0; i < n; i++) {
        struct slot *slot = &e->slots[nodes[i]];
        if (slot->observed)
            continue;
        tt_value_free(&slot->value);
        *slot = (struct slot){0};
    }
}

int tt_evaluator_span(struct tt_evaluator *e, int node, int *nodes, int most)
{
    uint8_t *seen = tt_alloc((size_t)e->nnodes);
    int n = 0;
    nodes[n++] = node;
    seen[node] = 1;
    for (int at = 0; at < n; at++) {
        const struct tt_node *here = tt_graph_node(e->graph, nodes[at]);
        for (int i = 0; i < here->nin; i++) {
            int source = here->in[i];
            const struct tt_observation *o = tt_port_observation(e, source, nodes[at], i);
            bool stops = (o && tt_observation_complete(o)) || (e->slots[source].filled && e->slots[source].observed);
            if (!stops && !seen[source] && n < most) {
                seen[source] = 1;
                nodes[n++] = source;
            }
        }
    }
    free(seen);
    return n;
}
