/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers are random, of three sizes: small ones show an eps, large ones a softcap. Positions lie close together at
 * first, then around every whole number that a setting has, so that windows and contexts show at their borders.
 */
#include "inspect/behaviour.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define MOST_POSITIONS 96
#define LARGEST        (1 << 20) /* elements of a weight that is worth running */
#define AGREE          1e-9      /* NMSE of a row; angles of ropes from f32 tables grow with the position */

bool tt_accounted_for(const struct tt_node *node, const char *attribute)
{
    static const struct {
        const char *op, *attribute;
    } folded[] = {{"rope", "pairing"},     {"rmsnorm", "offset"}, {"layernorm", "offset"},
                  {"embedding", "scale"}, {NULL, "layer"},       {NULL, "iteration"}};
    for (size_t i = 0; i < sizeof folded / sizeof *folded; i++)
        if (strcmp(attribute, folded[i].attribute) == 0 &&
            (!folded[i].op || (node->op && strcmp(node->op->name, folded[i].op) == 0)))
            return true;
    return false;
}

/* ---- the pass ---- */

struct pass {
    int64_t positions[MOST_POSITIONS];
    int32_t tokens[MOST_POSITIONS];
    int64_t count;
    struct tt_pass_inputs inputs;
};

static void add_position(struct pass *pass, int64_t position)
{
    int64_t at = 0;
    while (at < pass->count && pass->positions[at] < position)
        at++;
    if (position < 0 || pass->count == MOST_POSITIONS || (at < pass->count && pass->positions[at] == position))
        return;
    memmove(pass->positions + at + 1, pass->positions + at, (size_t)(pass->count - at) * sizeof *pass->positions);
    pass->positions[at] = position;
    pass->count++;
}

static void add_borders(struct pass *pass, const struct tt_attributes *attributes)
{
    for (int i = 0; i < attributes->count; i++) {
        double number = attributes->items[i].string ? 0 : attributes->items[i].number;
        for (int off = -1; off <= 1 && number >= 2 && number <= 1e7 && number == floor(number); off++)
            add_position(pass, (int64_t)number + off);
    }
}

static void open_pass(struct pass *pass, const struct tt_node *a, const struct tt_node *b)
{
    static const int64_t always[] = {0, 1, 2, 3, 5, 9, 17, 33, 63, 700, 9000};
    *pass = (struct pass){0};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        add_position(pass, always[i]);
    add_borders(pass, &a->attributes);
    add_borders(pass, &b->attributes);
    for (int64_t i = 0; i < pass->count; i++)
        pass->tokens[i] = (int32_t)i;
    pass->inputs = (struct tt_pass_inputs){.ntokens = pass->count, .tokens = pass->tokens, .positions = pass->positions,
                                           .nkeys = pass->count, .key_positions = pass->positions};
}

/* ---- a node on made-up numbers ---- */

static double number_at(int64_t i)
{
    uint64_t x = ((uint64_t)i + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9u;
    return ((double)(x >> 11) * 0x1p-53 - 0.5) * 3.4; /* variance near 1 */
}

static struct tt_value made_up(const struct tt_node *node, const struct pass *pass, double size)
{
    int64_t shape[TT_VALUE_RANK];
    for (int i = 0; i < node->rank; i++)
        shape[i] = tt_axis_length(node->axes[i], pass->count, pass->count);
    struct tt_value value = tt_value_new(node->rank, shape);
    for (int64_t i = 0, n = tt_value_count(&value); i < n; i++)
        value.v[i] = size * number_at(i);
    return value;
}

/* B's node with what the weights account for as A has it. */
static void take_over(struct tt_attributes *attributes, const struct tt_node *in_b, const struct tt_node *in_a)
{
    *attributes = in_b->attributes;
    for (int i = 0; i < in_a->attributes.count; i++) {
        const struct tt_attribute_value *item = &in_a->attributes.items[i];
        if (!tt_accounted_for(in_a, item->name))
            continue;
        if (item->string)
            tt_attributes_set_string(attributes, item->name, item->string);
        else
            tt_attributes_set_number(attributes, item->name, item->number);
    }
}

/* Ops rely on the shapes of their weights. */
static bool set_weights(struct tt_graph *graph, const struct tt_node *node, struct tt_op_call *call)
{
    for (int role = 0; role < TT_OP_MAX_WEIGHTS; role++) {
        const struct tt_model_tensor *tensor = node->weight[role];
        int64_t count = 1;
        if (!tensor)
            continue;
        for (int i = 0; i < tensor->rank; i++)
            count *= tensor->shape[i];
        if (count > LARGEST || !tt_tensor_has_values(tensor) ||
            tt_graph_check_weight(graph, node->weight_name[role], node->layer, tensor, NULL))
            return false;
        call->weight[role] = tt_graph_weight(graph, tensor, NULL);
        if (!call->weight[role])
            return false;
    }
    return true;
}

static bool run(struct tt_graph *graph, const struct tt_node *node, const struct tt_attributes *attributes,
                const struct pass *pass, double size, struct tt_value *out)
{
    struct tt_value in[TT_OP_MAX_INPUTS] = {0};
    struct tt_op_call call = {.nin = node->nin, .value_only = true, .attributes = attributes, .pass = &pass->inputs,
                              .numerics = {.u_store = 0x1p-53, .u_acc = 0x1p-53}};
    for (int i = 0; i < node->nin; i++) {
        in[i] = made_up(tt_graph_node(graph, node->in[i]), pass, size);
        call.in[i] = &in[i];
    }
    *out = (struct tt_value){0};
    bool done = set_weights(graph, node, &call) && node->op->forward(&call, out, NULL) == 0 && out->v;
    for (int i = 0; i < node->nin; i++)
        tt_value_free(&in[i]);
    return done;
}

static bool agree(const struct tt_value *a, const struct tt_value *b, const struct pass *pass)
{
    int64_t count = tt_value_count(a), rows = a->rank ? a->shape[0] : 1;
    if (count != tt_value_count(b) || rows != pass->count)
        return false;
    for (int64_t r = 0; r < rows; r++) {
        double error = 0, size = 0, far = fmax(1, (double)pass->positions[r] / 64);
        for (int64_t i = r * (count / rows); i < (r + 1) * (count / rows); i++) {
            error += (a->v[i] - b->v[i]) * (a->v[i] - b->v[i]);
            size += a->v[i] * a->v[i];
        }
        if (!(error <= AGREE * far * far * size))
            return false;
    }
    return true;
}

bool tt_same_behaviour(struct tt_graph *a, const struct tt_node *in_a, struct tt_graph *b, const struct tt_node *in_b)
{
    static const double sizes[] = {1, 0.01, 30};
    struct tt_attributes attributes;
    struct pass pass;
    bool same = in_a->op && in_a->op == in_b->op && in_a->nin == in_b->nin && in_a->rank == in_b->rank;
    if (!same || in_a->nin < 1)
        return false;
    open_pass(&pass, in_a, in_b);
    take_over(&attributes, in_b, in_a);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && same; i++) {
        struct tt_value left = {0}, right = {0};
        same = run(a, in_a, &in_a->attributes, &pass, sizes[i], &left) &&
               run(b, in_b, &attributes, &pass, sizes[i], &right) && agree(&left, &right, &pass);
        tt_value_free(&left);
        tt_value_free(&right);
    }
    return same;
}
