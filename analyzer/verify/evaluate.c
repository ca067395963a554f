/* SPDX-License-Identifier: Apache-2.0
 *
 * Lazy evaluation with memory. Invariants: a slot, once filled, is what later nodes read; evaluations under overrides
 * fill an overlay of their own and leave the slots alone.
 */
#include "verify/private.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An evaluation under hypotheses: values that differ from the slots. */
struct overlay {
    const struct tt_overrides *overrides; /* NULL: none */
    int8_t *affected;                     /* [nodes] 0 unknown, 1 yes, -1 no */
    struct tt_value *values;              /* [nodes], rank 0: not computed */
    struct tt_value *some;                /* [nodes], the same in the rows asked for only */
};

static int value_in(struct tt_evaluator *e, struct overlay *overlay, int node, const uint8_t *rows,
                    const struct tt_value **out, struct tt_error *error);

/* ---- life ---- */

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
        else if (node->state && !node->once)
            tt_remember(e, memory, i);
    }
    clear_slots(e);
}

/* ---- one node ---- */

#define STREAMED_FROM (16u << 20)  /* elements from which on a weight is not held as f64 */
#define HELD_AT_MOST  (256u << 20) /* the same under hypotheses, which read it in other orders */

static void round_value(struct tt_value *value, double unit)
{
    for (int64_t i = 0, n = tt_value_count(value); unit > 0 && i < n; i++)
        value->v[i] = tt_round_to_unit(value->v[i], unit);
}

static const struct tt_override *override_of(const struct tt_evaluator *e, const struct overlay *overlay, int node)
{
    const struct tt_override *found = overlay ? tt_overrides_find(overlay->overrides, node) : NULL;
    for (int i = e->nkept - 1; i >= 0 && !found && !e->as_defined; i--)
        found = tt_overrides_find(e->kept[i], node);
    return found;
}

static const struct tt_observation *port_observation(const struct tt_evaluator *e, int source, int consumer, int port)
{
    const struct tt_observation *o = tt_trace_find(e->pass, source, consumer, port);
    return o && o->nseen > 0 ? o : NULL;
}

static const char *head_map_of(const struct tt_evaluator *e, const struct overlay *overlay, int reader)
{
    const struct tt_override *override = override_of(e, overlay, reader);
    const char *own = tt_attributes_string(&tt_graph_node(e->graph, reader)->attributes, "head_map", "group");
    return override ? tt_attributes_string(&override->set, "head_map", own) : own;
}

static bool changes_shape(const struct tt_evaluator *e, const struct tt_value *value, int node, int consumer, int port)
{
    int64_t shape[TT_VALUE_RANK];
    int rank = tt_trace_shape(e->graph, e->pass, node, consumer, port, shape);
    return consumer >= 0 && rank == 3 && value->rank == 3 && shape[1] != value->shape[1] && value->shape[1] > 0;
}

static struct tt_value in_shape(struct tt_evaluator *e, const struct overlay *overlay, const struct tt_value *value,
                                int node, int consumer, int port)
{
    int64_t shape[TT_VALUE_RANK];
    if (!changes_shape(e, value, node, consumer, port))
        return tt_value_copy(value);
    tt_trace_shape(e->graph, e->pass, node, consumer, port, shape);
    return tt_repeat_heads(value, shape, head_map_of(e, overlay, consumer));
}

/* Input `port` of `node`: as the node itself read it when that was seen, else its source's value. *lent: the arrays belong
 * to the trace or to a slot; otherwise the caller frees them. */
static int input_value(struct tt_evaluator *e, struct overlay *overlay, int node, int port, int source,
                       bool rewired, const uint8_t *rows, struct tt_value *out, bool *lent, struct tt_error *error)
{
    const struct tt_observation *o = rewired ? NULL : port_observation(e, source, node, port);
    const struct tt_value *value;
    *lent = true;
    if (o && tt_observation_complete(o)) {
        *out = o->value;
        return 0;
    }
    if (value_in(e, overlay, source, rows, &value, error))
        return -1;
    *out = *value;
    if (!rewired && changes_shape(e, value, source, node, port)) {
        *out = in_shape(e, overlay, value, source, node, port);
        *lent = false;
    }
    if (o) {
        struct tt_value merged = tt_merge_seen(o, out);
        if (!*lent)
            tt_value_free(out);
        *out = merged;
        *lent = false;
    }
    return 0;
}

struct prepared { /* an op call with everything it borrows */
    struct tt_op_call call;
    struct tt_attributes attributes;
    struct tt_value inputs[TT_OP_MAX_INPUTS];
    bool lent[TT_OP_MAX_INPUTS]; /* arrays are somebody else's */
    struct tt_pass_inputs pass;
    struct tt_value shapes[TT_OP_MAX_WEIGHTS]; /* of weights that come as streams */
    struct tt_weight_stream streams[TT_OP_MAX_WEIGHTS];
    struct streamed {
        const struct tt_graph *graph;
        const struct tt_model_tensor *tensor;
    } streamed[TT_OP_MAX_WEIGHTS];
    const struct tt_op *op;
    bool held; /* weights as a whole wherever memory allows */
    unsigned row_inputs;
};

static void release(struct prepared *p)
{
    for (int i = 0; i < p->call.nin; i++)
        if (!p->lent[i])
            tt_value_free(&p->inputs[i]);
}

static double unit_of_target(const struct tt_evaluator *e, int node)
{
    const struct tt_observation *o = tt_trace_find(e->pass, node, -1, -1);
    for (int i = 0; !o && i < e->pass->nobservations; i++)
        if (e->pass->observations[i].node == node)
            o = &e->pass->observations[i];
    return o && o->nseen ? o->unit : e->trace->unit;
}

/* Inputs of which the output's rows need the same rows only. */
static unsigned row_inputs(const struct tt_op *op, const struct tt_attributes *attributes)
{
    if (!op)
        return 0;
    if (op->rowwise)
        return ~0u;
    return strcmp(tt_attributes_string(attributes, "axis", "key"), "key") == 0 ? op->row_inputs : 0;
}

static bool by_token(const struct tt_evaluator *e, int node)
{
    const struct tt_node *n = tt_graph_node(e->graph, node);
    return n->rank > 0 && n->axes[0] == TT_AXIS_TOKEN;
}

static int read_stream(const void *user, uint64_t first, uint64_t count, double *out, struct tt_error *error)
{
    const struct streamed *from = user;
    return tt_graph_read_weight(from->graph, from->tensor, first, count, out, error);
}

/* Large weights come in parts where the op can take them so. */
static bool is_streamed(const struct prepared *p, int role, const struct tt_model_tensor *tensor)
{
    uint64_t count = 1;
    for (int i = 0; i < tensor->rank; i++)
        count *= (uint64_t)tensor->shape[i];
    uint64_t most = p->held ? HELD_AT_MOST : STREAMED_FROM;
    return p->op && p->op->streams >> role & 1 && count > most && tensor->rank <= TT_VALUE_RANK;
}

static int bind_weight(struct tt_evaluator *e, struct prepared *p, int role, const struct tt_model_tensor *tensor,
                       struct tt_error *error)
{
    if (!is_streamed(p, role, tensor)) {
        p->call.weight[role] = tt_graph_weight(e->graph, tensor, error);
        return p->call.weight[role] ? 0 : -1;
    }
    p->shapes[role].rank = tensor->rank;
    memcpy(p->shapes[role].shape, tensor->shape, sizeof p->shapes[role].shape);
    p->streamed[role] = (struct streamed){e->graph, tensor};
    return 0;
}

static int bind_weights(struct tt_evaluator *e, const struct tt_override *override, const struct tt_node *form,
                        struct prepared *p, struct tt_error *error)
{
    for (int i = 0; i < TT_OP_MAX_WEIGHTS; i++) {
        const struct tt_model_tensor *tensor = override && override->weight && i == 0 ? override->weight : form->weight[i];
        if (override && override->weight_value && i == 0)
            p->call.weight[i] = override->weight_value;
        else if (tensor && bind_weight(e, p, i, tensor, error))
            return -1;
    }
    return 0;
}

static int prepare(struct tt_evaluator *e, struct overlay *overlay, int index, const uint8_t *rows,
                   struct prepared *p, struct tt_error *error)
{
    const struct tt_node *node = tt_graph_node(e->graph, index);
    const struct tt_override *override = override_of(e, overlay, index);
    const struct tt_node *form = override && override->as >= 0 ? tt_graph_node(e->graph, override->as) : node;
    bool rewired = override && override->nin >= 0;
    *p = (struct prepared){.attributes = form->attributes, .pass = e->pass->inputs, .op = form->op,
                           .held = override || e->holds_weights};
    p->call = (struct tt_op_call){.nin = rewired ? override->nin : node->nin, .value_only = e->values_only, .single = e->unit > 0};
    if (node->rank == 3 && node->axes[2] > 0) {
        p->call.split_rank = 2;
        p->call.split[0] = node->axes[1];
        p->call.split[1] = node->axes[2];
    }
    tt_override_apply(&p->attributes, override);
    p->row_inputs = by_token(e, index) ? row_inputs(p->op, &p->attributes) : 0;
    double acc = e->trace->unit < 0x1p-24 ? e->trace->unit : 0x1p-24;
    p->call.numerics = (struct tt_numerics){.u_store = fmax(unit_of_target(e, index), e->least_unit),
                                            .u_acc = fmax(acc, e->least_unit)};
    for (int i = 0; i < p->call.nin; i++) {
        int source = rewired ? override->in[i] : node->in[i];
        const uint8_t *wanted = p->row_inputs >> i & 1 && by_token(e, source) ? rows : NULL;
        if (input_value(e, overlay, index, i, source, rewired && source != node->in[i], wanted, &p->inputs[i],
                        &p->lent[i], error))
            return -1;
        p->call.in[i] = &p->inputs[i];
    }
    return bind_weights(e, override, form, p, error);
}

static void bind_call(struct prepared *p)
{
    p->call.attributes = &p->attributes;
    p->call.pass = &p->pass;
    for (int i = 0; i < p->call.nin; i++)
        p->call.in[i] = &p->inputs[i];
    for (int i = 0; i < TT_OP_MAX_WEIGHTS; i++) {
        if (!p->streamed[i].tensor)
            continue;
        p->streams[i] = (struct tt_weight_stream){read_stream, &p->streamed[i]};
        p->call.weight[i] = &p->shapes[i];
        p->call.stream[i] = &p->streams[i];
    }
}

/* Gathers the wanted rows of the inputs that go row by row, so that an lm_head seen in one row costs one row. */
static void gather(struct prepared *p, const uint8_t *rows, int64_t nrows, int32_t *tokens, int64_t *positions)
{
    int64_t kept = 0;
    for (int i = 0; i < p->call.nin; i++) {
        int64_t to = 0;
        if (!(p->row_inputs >> i & 1))
            continue;
        if (p->lent[i])
            p->inputs[i] = tt_value_copy(&p->inputs[i]);
        p->lent[i] = false;
        for (int64_t t = 0; t < nrows; t++)
            if (rows[t])
                tt_copy_rows(&p->inputs[i], to++, &p->inputs[i], t, 1);
        p->inputs[i].shape[0] = to;
    }
    for (int64_t t = 0; t < nrows; t++) {
        if (!rows[t])
            continue;
        tokens[kept] = p->pass.tokens ? p->pass.tokens[t] : 0;
        positions[kept++] = p->pass.positions ? p->pass.positions[t] : 0;
    }
    p->pass.tokens = tokens;
    p->pass.positions = positions;
    p->pass.ntokens = kept;
}

static bool all_rows(const struct prepared *p, const uint8_t *rows, int64_t nrows)
{
    if (!rows || !p->row_inputs || p->pass.types)
        return true;
    for (int i = 0; i < p->call.nin; i++)
        if (p->row_inputs >> i & 1 && (!p->inputs[i].rank || p->inputs[i].shape[0] != nrows))
            return true;
    return memchr(rows, 0, (size_t)nrows) == NULL || memchr(rows, 1, (size_t)nrows) == NULL;
}

static int forward_some(struct prepared *p, const uint8_t *rows, int64_t nrows, struct tt_value *out,
                        struct tt_error *error)
{
    if (all_rows(p, rows, nrows))
        return p->op->forward(&p->call, out, error);
    int32_t *tokens = tt_alloc_array((size_t)nrows, sizeof *tokens);
    int64_t *positions = tt_alloc_array((size_t)nrows, sizeof *positions);
    struct tt_value some = {0};
    gather(p, rows, nrows, tokens, positions);
    int failed = p->op->forward(&p->call, &some, error);
    if (!failed)
        *out = tt_scatter_rows(&some, rows, nrows);
    tt_value_free(&some);
    free(tokens);
    free(positions);
    return failed;
}

/* An embedding of tokens that nothing told: nothing downstream of it can be rebuilt. */
static bool reads_unknown_tokens(const struct tt_evaluator *e, const struct prepared *p)
{
    return e->pass->tokens_by == TT_BY_NONE && p->op && !p->call.nin &&
           strcmp(tt_attributes_string(&p->attributes, "index", "token"), "token") == 0;
}

static bool all_unknown(const struct tt_value *value)
{
    int64_t n = tt_value_count(value), i = 0;
    while (value->var && i < n && tt_unknown(value->var[i]))
        i++;
    return n > 0 && i == n;
}

/* Nothing can be said of this value: it comes from nothing that was seen. */
static bool hangs_in_the_air(const struct tt_evaluator *e, const struct prepared *p)
{
    for (int i = 0; i < p->call.nin; i++)
        if (all_unknown(&p->inputs[i]))
            return true;
    return reads_unknown_tokens(e, p);
}

static void unknown_value(struct tt_evaluator *e, int node, struct tt_value *out)
{
    int64_t shape[TT_VALUE_RANK];
    int rank = tt_trace_shape(e->graph, e->pass, node, -1, -1, shape);
    *out = tt_value_new(rank, shape);
    tt_fill_unknown(out, 0, tt_value_count(out));
}

static int forward(struct tt_evaluator *e, struct overlay *overlay, int index, const uint8_t *rows,
                   struct tt_value *out, struct tt_error *error)
{
    struct prepared p;
    const struct tt_node *node = tt_graph_node(e->graph, index);
    *out = (struct tt_value){0};
    if (node->once && e->pass->continues) {
        tt_recall(e, index, out);
        return 0;
    }
    int failed = prepare(e, overlay, index, overlay ? rows : NULL, &p, error);
    bind_call(&p);
    if (!failed && !node->state && hangs_in_the_air(e, &p)) {
        unknown_value(e, index, out);
        release(&p);
        return 0;
    }
    if (!failed && p.op)
        failed = forward_some(&p, rows, e->pass->inputs.ntokens, out, error);
    if (!failed && node->state) {
        struct tt_value fresh = p.op ? *out : tt_value_copy(&p.inputs[0]);
        failed = tt_evaluate_cache(e, index, &p.attributes, &fresh, out, error);
        tt_value_free(&fresh);
    }
    if (!failed)
        round_value(out, e->unit);
    release(&p);
    if (failed)
        tt_value_free(out);
    return failed;
}

/* ---- values as later nodes see them ---- */

const struct tt_value *tt_evaluator_value(struct tt_evaluator *e, int node, struct tt_error *error)
{
    struct slot *slot = &e->slots[node];
    if (!slot->filled) {
        struct tt_value value;
        if (forward(e, NULL, node, NULL, &value, error))
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
            const struct tt_observation *o = port_observation(e, n->in[i], node, i);
            yes = !(o && tt_observation_complete(o)) && is_affected(e, overlay, n->in[i]);
        }
    }
    overlay->affected[node] = yes ? 1 : -1;
    return yes;
}

static int value_in(struct tt_evaluator *e, struct overlay *overlay, int node, const uint8_t *rows,
                    const struct tt_value **out, struct tt_error *error)
{
    if (!overlay || !overlay->overrides || !is_affected(e, overlay, node)) {
        *out = tt_evaluator_value(e, node, error);
        return *out ? 0 : -1;
    }
    struct tt_value *value = overlay->values[node].rank || !rows ? &overlay->values[node] : &overlay->some[node];
    if (!value->rank && forward(e, overlay, node, rows, value, error))
        return -1;
    *out = value;
    return 0;
}

int tt_evaluate(struct tt_evaluator *e, int node, const struct tt_overrides *overrides, const uint8_t *rows,
                struct tt_value *out, struct tt_error *error)
{
    struct overlay overlay = {.overrides = overrides};
    if (!overrides || !overrides->count)
        return forward(e, NULL, node, rows, out, error);
    overlay.affected = tt_alloc((size_t)e->nnodes);
    overlay.values = tt_alloc_array((size_t)e->nnodes, sizeof *overlay.values);
    overlay.some = tt_alloc_array((size_t)e->nnodes, sizeof *overlay.some);
    int failed = forward(e, &overlay, node, by_token(e, node) ? rows : NULL, out, error);
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
    *out = in_shape(e, &(struct overlay){.overrides = overrides}, &produced, o->node, o->consumer, o->port);
    tt_value_free(&produced);
    return 0;
}

int tt_evaluator_as_read(struct tt_evaluator *e, const struct tt_observation *o, const struct tt_value *written,
                         struct tt_value *out)
{
    *out = in_shape(e, NULL, written, o->node, o->consumer, o->port);
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

bool tt_evaluator_persists(const struct tt_evaluator *e, const int *nodes, int n)
{
    for (int i = 0; i < n; i++)
        if (override_of(e, NULL, nodes[i]))
            return true;
    return false;
}

void tt_evaluator_as_defined(struct tt_evaluator *e, bool as_defined)
{
    e->as_defined = as_defined;
}

void tt_evaluator_at_least(struct tt_evaluator *e, double unit)
{
    e->least_unit = unit;
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
            const struct tt_observation *o = port_observation(e, source, nodes[at], i);
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

int tt_evaluator_call(struct tt_evaluator *e, int node, struct tt_op_call *call, struct tt_attributes *attributes,
                      struct tt_error *error)
{
    static struct prepared p; /* the caller reads it before it evaluates again */
    release(&p);
    p.call.nin = 0;
    e->holds_weights = true;
    int failed = prepare(e, NULL, node, NULL, &p, error);
    e->holds_weights = false;
    for (int i = 0; i < TT_OP_MAX_WEIGHTS && !failed; i++)
        failed = p.streamed[i].tensor ? tt_fail(error, TT_EINPUT, "%s is too large", p.streamed[i].tensor->name) : 0;
    if (failed)
        return -1;
    bind_call(&p);
    *attributes = p.attributes;
    *call = p.call;
    call->attributes = attributes;
    return 0;
}
