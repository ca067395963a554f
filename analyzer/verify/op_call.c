/* SPDX-License-Identifier: Apache-2.0
 *
 * An op call made ready: inputs as they were read, attributes as overridden, weights whole or as streams.
 */
#include "verify/private.h"

#include <math.h>
#include <string.h>

#define STREAMED_FROM (16u << 20)  /* elements from which on a weight is not held as f64 */
#define HELD_AT_MOST  (256u << 20) /* the same under hypotheses, which read it in other orders */

/* Input `port` of `node`: as the node itself read it when that was seen, else its source's value. *lent: the arrays belong
 * to the trace or to a slot; otherwise the caller frees them. */
static int input_value(struct tt_evaluator *e, struct overlay *overlay, int node, int port, int source,
                       bool rewired, const uint8_t *rows, struct tt_value *out, bool *lent, struct tt_error *error)
{
    const struct tt_observation *o = rewired ? NULL : tt_port_observation(e, source, node, port);
    const struct tt_value *value;
    *lent = true;
    if (o && tt_observation_complete(o)) {
        *out = o->value;
        return 0;
    }
    if (tt_value_in(e, overlay, source, rows, &value, error))
        return -1;
    *out = *value;
    if (!rewired && tt_changes_shape(e, value, source, node, port)) {
        *out = tt_in_shape(e, overlay, value, source, node, port);
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

void tt_prepared_release(struct prepared *p)
{
    for (int i = 0; i < p->call.nin; i++)
        if (!p->lent[i])
            tt_value_free(&p->inputs[i]);
}

static double unit_of_target(const struct tt_evaluator *e, int node)
{
    const struct tt_observation *o = tt_trace_find_any(e->pass, node);
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

static int read_stream(const void *user, uint64_t first, uint64_t count, double *out, struct tt_error *error)
{
    const struct streamed_weight *from = user;
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
    p->streamed[role] = (struct streamed_weight){e->graph, tensor};
    return 0;
}

static int bind_weights(struct tt_evaluator *e, const struct tt_override *override, const struct tt_node *form,
                        struct prepared *p, struct tt_error *error)
{
    for (int i = 0; i < TT_OP_MAX_WEIGHTS; i++) {
        const struct tt_model_tensor *tensor =
            override && override->weight && i == 0 ? override->weight : form->weight[i];
        if (override && override->weight_value && i == 0)
            p->call.weight[i] = override->weight_value;
        else if (tensor && bind_weight(e, p, i, tensor, error))
            return -1;
    }
    return 0;
}

int tt_prepared_fill(struct tt_evaluator *e, struct overlay *overlay, int index, const uint8_t *rows,
                   struct prepared *p, struct tt_error *error)
{
    const struct tt_node *node = tt_graph_node(e->graph, index);
    const struct tt_override *override = tt_override_of(e, overlay, index);
    const struct tt_node *form = override && override->as >= 0 ? tt_graph_node(e->graph, override->as) : node;
    bool rewired = override && override->nin >= 0;
    *p = (struct prepared){.attributes = form->attributes, .pass = e->pass->inputs, .op = form->op,
                           .held = override || e->holds_weights};
    p->call = (struct tt_op_call){.nin = rewired ? override->nin : node->nin,
                                  .value_only = e->values_only,
                                  .single = e->unit > 0};
    if (node->rank == 3 && node->axes[2] > 0) {
        p->call.split_rank = 2;
        p->call.split[0] = node->axes[1];
        p->call.split[1] = node->axes[2];
    }
    tt_override_apply(&p->attributes, override);
    p->row_inputs = tt_node_by_token(node) ? row_inputs(p->op, &p->attributes) : 0;
    double acc = e->trace->unit < 0x1p-24 ? e->trace->unit : 0x1p-24;
    p->call.numerics = (struct tt_numerics){.u_store = fmax(unit_of_target(e, index), e->least_unit),
                                            .u_acc = fmax(acc, e->least_unit)};
    for (int i = 0; i < p->call.nin; i++) {
        int source = rewired ? override->in[i] : node->in[i];
        bool by_token = p->row_inputs >> i & 1 && tt_node_by_token(tt_graph_node(e->graph, source));
        if (input_value(e, overlay, index, i, source, rewired && source != node->in[i],
                        by_token ? rows : NULL, &p->inputs[i], &p->lent[i], error))
            return -1;
        p->call.in[i] = &p->inputs[i];
    }
    return bind_weights(e, override, form, p, error);
}

void tt_prepared_bind(struct prepared *p)
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

int tt_evaluator_call(struct tt_evaluator *e, int node, struct tt_op_call *call, struct tt_attributes *attributes,
                      struct tt_error *error)
{
    if (!e->asked)
        e->asked = tt_alloc(sizeof *e->asked);
    struct prepared *p = e->asked;
    tt_prepared_release(p);
    p->call.nin = 0;
    e->holds_weights = true;
    int failed = tt_prepared_fill(e, NULL, node, NULL, p, error);
    e->holds_weights = false;
    for (int i = 0; i < TT_OP_MAX_WEIGHTS && !failed; i++)
        failed = p->streamed[i].tensor ? tt_fail(error, TT_EINPUT, "%s is too large", p->streamed[i].tensor->name) : 0;
    if (failed)
        return -1;
    tt_prepared_bind(p);
    *attributes = p->attributes;
    *call = p->call;
    call->attributes = attributes;
    return 0;
}
