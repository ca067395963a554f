/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights are found by walking the nodes; the order of rows by walking from each rope back to the layers whose outputs
 * it turns.
 */
#include "inspect/placed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

bool tt_placed_present(const struct tt_placed *placed)
{
    return tt_tensor_has_values(placed->tensor);
}

int tt_placed_find(const struct tt_placed_list *list, const char *name, int layer)
{
    for (int i = 0; i < list->count; i++)
        if (list->items[i].layer == layer && strcmp(list->items[i].name, name) == 0)
            return i;
    return -1;
}

struct tt_address tt_placed_address(const struct tt_placed *placed)
{
    struct tt_address out;
    if (placed->layer < 0)
        snprintf(out.text, sizeof out.text, "%s", placed->name);
    else
        snprintf(out.text, sizeof out.text, "L%d.%s", placed->layer, placed->name);
    return out;
}

/* ---- the list ---- */

static bool reads_same(const struct tt_model_tensor *a, const struct tt_model_tensor *b)
{
    bool bytes = a->data && a->data == b->data && a->nbytes == b->nbytes && !a->form && !b->form;
    return a == b || bytes;
}

static void set_shape(struct tt_placed *placed)
{
    const struct tt_model_tensor *tensor = placed->tensor;
    placed->columns = tensor->rank ? tensor->shape[tensor->rank - 1] : 1;
    placed->rows = 1;
    for (int i = 0; i + 1 < tensor->rank; i++)
        placed->rows *= tensor->shape[i];
}

static bool is_norm(const struct tt_node *node)
{
    return strcmp(node->op->name, "rmsnorm") == 0 || strcmp(node->op->name, "layernorm") == 0;
}

/* How the node computes with the weight of this role. */
static void set_use(struct tt_placed *placed, const struct tt_node *node, int role)
{
    const char *what = node->op->weight_roles[role];
    placed->scale = 1;
    placed->norm = is_norm(node) && strcmp(what, "weight") == 0;
    if (placed->norm)
        placed->offset = tt_attributes_number(&node->attributes, "offset", 0);
    if (strcmp(what, "table") == 0)
        placed->scale = tt_attributes_number(&node->attributes, "scale", 1);
}

static void add_weight(struct tt_placed_list *list, const struct tt_graph *graph, int index, int role, int *room)
{
    const struct tt_node *node = tt_graph_node(graph, index);
    struct tt_placed placed = {.name = node->weight_name[role], .layer = node->layer, .tensor = node->weight[role],
                               .node = index, .same_as = -1};
    if (!placed.tensor || !placed.name || tt_placed_find(list, placed.name, placed.layer) >= 0)
        return;
    for (int i = 0; i < list->count && placed.same_as < 0; i++)
        if (reads_same(list->items[i].tensor, placed.tensor))
            placed.same_as = i;
    set_shape(&placed);
    set_use(&placed, node, role);
    if (list->count == *room) {
        *room = *room ? 2 * *room : 64;
        list->items = tt_grow(list->items, (size_t)*room, sizeof *list->items);
    }
    list->items[list->count++] = placed;
}

/* ---- rows in the order of a rope ---- */

static void set_rope(const struct tt_placed_list *list, const struct tt_node *rope, const struct tt_node *node)
{
    int64_t head_dim = rope->axes[rope->rank - 1];
    int64_t rotated = (int64_t)tt_attributes_number(&rope->attributes, "dims", 0);
    for (int role = 0; role < TT_OP_MAX_WEIGHTS; role++) {
        int index = node->weight[role] ? tt_placed_find(list, node->weight_name[role], node->layer) : -1;
        if (index < 0)
            continue;
        struct tt_placed *placed = &list->items[index];
        if (placed->tensor->rank == 1 && !placed->head_dim) {
            placed->rows = placed->columns;
            placed->columns = 1;
        }
        if (head_dim < 1 || placed->rows % head_dim)
            continue;
        placed->head_dim = head_dim;
        placed->rotated = rotated > 0 && rotated <= head_dim ? rotated : head_dim;
        placed->interleaved = strcmp(tt_attributes_string(&rope->attributes, "pairing", "half"), "interleaved") == 0;
    }
}

/* Sums of a product and its bias, and norms over heads, keep the order of channels: from node `at` back to its weights. */
static void follow_rope(const struct tt_placed_list *list, const struct tt_graph *graph, const struct tt_node *rope, int at)
{
    for (;;) {
        const struct tt_node *node = tt_graph_node(graph, at);
        bool linear = node->op && strcmp(node->op->name, "linear") == 0;
        if (!node->op || (!linear && !is_norm(node) && strcmp(node->op->name, "bias") != 0))
            return;
        set_rope(list, rope, node);
        if (linear || node->nin < 1)
            return;
        at = node->in[0];
    }
}

static bool is_rope(const struct tt_node *node)
{
    return node->op && strcmp(node->op->name, "rope") == 0 && node->nin >= 1 && node->rank >= 2;
}

/* Layers without positions: queries and keys may be reordered alike, and files have them as in the other layers. */
static void follow_unturned(const struct tt_placed_list *list, const struct tt_graph *graph, const struct tt_node *rope,
                            const struct tt_node *qk)
{
    for (int port = 0; port < 2 && port < qk->nin; port++) {
        const struct tt_node *input = tt_graph_node(graph, qk->in[port]);
        int at = input->state && input->nin >= 1 ? input->in[0] : qk->in[port];
        if (input->axes[input->rank - 1] == rope->axes[rope->rank - 1])
            follow_rope(list, graph, rope, at);
    }
}

static void follow_ropes(const struct tt_placed_list *list, const struct tt_graph *graph)
{
    const struct tt_node *rope = NULL;
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *node = tt_graph_node(graph, i);
        if (is_rope(node)) {
            follow_rope(list, graph, node, node->in[0]);
            rope = rope ? rope : node;
        }
    }
    for (int i = 0; rope && i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *node = tt_graph_node(graph, i);
        if (node->op && strcmp(node->op->name, "qk") == 0)
            follow_unturned(list, graph, rope, node);
    }
}

struct tt_placed_list tt_placed_list(const struct tt_graph *graph)
{
    struct tt_placed_list list = {0};
    int room = 0;
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *node = tt_graph_node(graph, i);
        for (int role = 0; node->op && role < TT_OP_MAX_WEIGHTS && node->op->weight_roles[role]; role++)
            add_weight(&list, graph, i, role, &room);
    }
    follow_ropes(&list, graph);
    return list;
}

void tt_placed_list_free(struct tt_placed_list *list)
{
    free(list->items);
    *list = (struct tt_placed_list){0};
}

/* ---- reading ---- */

int64_t tt_paired_row(int64_t row, int64_t head_dim, int64_t rotated, bool to_interleaved)
{
    int64_t within = row % head_dim, half = rotated / 2;
    if (within >= rotated)
        return row;
    return row - within + (to_interleaved ? within % half * 2 + within / half : within % 2 * half + within / 2);
}

int64_t tt_placed_row(const struct tt_placed *from, const struct tt_placed *like, int64_t row)
{
    if (!from->head_dim || !like->head_dim || from->interleaved == like->interleaved || from->rotated < 2)
        return row;
    return tt_paired_row(row, from->head_dim, from->rotated, from->interleaved);
}

static int read_rows(const struct tt_placed *placed, const struct tt_placed *like, int64_t first, int64_t count, double *out,
                     struct tt_error *error)
{
    uint64_t columns = (uint64_t)placed->columns;
    bool moved = like->head_dim && placed->head_dim && placed->interleaved != like->interleaved;
    if (!moved)
        return tt_model_read(placed->tensor, (uint64_t)first * columns, (uint64_t)count * columns, out, error);
    int failed = 0;
    for (int64_t i = 0; i < count && !failed; i++)
        failed = tt_model_read(placed->tensor, (uint64_t)tt_placed_row(placed, like, first + i) * columns, columns,
                               out + i * placed->columns, error);
    return failed;
}

int tt_placed_read(const struct tt_placed *placed, const struct tt_placed *like, int64_t first, int64_t count, double *out,
                   struct tt_error *error)
{
    if (read_rows(placed, like, first, count, out, error))
        return -1;
    for (int64_t i = 0; i < count * placed->columns; i++)
        out[i] = out[i] * placed->scale + placed->offset;
    return 0;
}
