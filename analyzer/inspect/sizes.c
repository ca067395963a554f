/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything comes from shapes: of the file's tensors, or of those that the architecture declares where there are none.
 */
#include "inspect/sizes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static uint64_t count_of(const struct tt_placed *placed)
{
    return (uint64_t)placed->rows * (uint64_t)placed->columns;
}

/* ---- groups ---- */

static const struct {
    const char *part, *group; /* first one that a component's name has */
} groups[] = {
    {"norm", "norms"}, {"cross_attn.", "cross attention"}, {"attn.", "attention"},
    {"moe.", "feed-forward"}, {"ffn.", "feed-forward"},
};

static const char *group_of(const char *component)
{
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        if (strstr(component, groups[i].part))
            return groups[i].group;
    return NULL;
}

/* ---- experts ---- */

/* Parameters that one token is multiplied with. */
static uint64_t active_of(const struct tt_graph *graph, const struct tt_placed *placed)
{
    const struct tt_node *node = tt_graph_node(graph, placed->node);
    int64_t experts = placed->tensor->shape[0];
    if (!node->op || strcmp(node->op->name, "expert_linear") != 0 || node->nin < 2 || experts < 1)
        return count_of(placed);
    const struct tt_node *chosen = tt_graph_node(graph, node->in[1]);
    double k = tt_attributes_number(&chosen->attributes, "k", (double)experts);
    return k > 0 && k < (double)experts ? count_of(placed) / (uint64_t)experts * (uint64_t)k : count_of(placed);
}

/* ---- rows ---- */

static void component_of(const struct tt_placed *placed, char *text, size_t size)
{
    static const char *const roles[] = {".weight", ".bias"};
    snprintf(text, size, "%s", placed->name);
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        char *at = strstr(text, roles[i]);
        if (at && !at[strlen(roles[i])])
            *at = 0;
    }
}

static struct tt_size_row *row_of(struct tt_sizes *sizes, const struct tt_placed *placed, const char *tied)
{
    char component[64];
    component_of(placed, component, sizeof component);
    for (int i = 0; i < sizes->nrows; i++)
        if (strcmp(sizes->rows[i].component, component) == 0 && (sizes->rows[i].layer < 0) == (placed->layer < 0) &&
            strcmp(sizes->rows[i].tied, tied) == 0)
            return &sizes->rows[i];
    sizes->rows = tt_grow(sizes->rows, (size_t)sizes->nrows + 1, sizeof *sizes->rows);
    struct tt_size_row *row = &sizes->rows[sizes->nrows++];
    *row = (struct tt_size_row){.group = group_of(component), .layer = placed->layer, .least = UINT64_MAX};
    snprintf(row->component, sizeof row->component, "%s", component);
    snprintf(row->tied, sizeof row->tied, "%s", tied);
    return row;
}

static bool is_table(const struct tt_graph *graph, const struct tt_placed *placed)
{
    const struct tt_node *node = tt_graph_node(graph, placed->node);
    return (node->op && strcmp(node->op->name, "embedding") == 0) || strncmp(placed->name, "lm_head", 7) == 0;
}

static uint64_t bytes_of(enum tt_dtype dtype, uint64_t count)
{
    const struct tt_dtype_info *info = tt_dtype_info(dtype);
    return (count + info->block - 1) / info->block * info->bytes;
}

static void add_type(struct tt_sizes *sizes, const struct tt_placed *placed)
{
    int i = 0;
    while (i < sizes->ntypes && sizes->types[i].dtype != placed->tensor->dtype)
        i++;
    if (i == sizes->ntypes)
        sizes->types[sizes->ntypes++] = (struct tt_size_type){.dtype = placed->tensor->dtype};
    sizes->types[i].parameters += count_of(placed);
    sizes->types[i].bytes += bytes_of(placed->tensor->dtype, count_of(placed));
}

/* Arrays of the metadata are numbers of the configuration, no parameters. */
static bool is_parameter(const struct tt_graph *graph, const struct tt_placed *placed)
{
    return !tt_tensor_has_values(placed->tensor) || tt_model_tensor(tt_graph_model(graph), placed->tensor->name);
}

static void add_weight(struct tt_sizes *sizes, const struct tt_graph *graph, const struct tt_placed_list *list, int index)
{
    const struct tt_placed *placed = &list->items[index];
    char tied[64] = "";
    if (placed->same_as >= 0)
        component_of(&list->items[placed->same_as], tied, sizeof tied);
    struct tt_size_row *row = row_of(sizes, placed, tied);
    if (tied[0]) {
        sizes->tied += count_of(placed);
        return;
    }
    row->total += count_of(placed);
    row->active += active_of(graph, placed);
    sizes->total += count_of(placed);
    sizes->active += active_of(graph, placed);
    sizes->blocks += placed->layer >= 0 ? count_of(placed) : 0;
    sizes->embedding += is_table(graph, placed) ? count_of(placed) : 0;
    add_type(sizes, placed);
}

/* Parameters of a component in each layer: its weight and its bias are one number. */
static void measure_layers(const struct tt_placed_list *list, struct tt_size_row *row, int nlayers)
{
    uint64_t *each = tt_alloc_array((size_t)nlayers + 1, sizeof *each);
    char component[64];
    for (int i = 0; i < list->count; i++) {
        component_of(&list->items[i], component, sizeof component);
        if (strcmp(component, row->component) == 0 && list->items[i].layer >= 0 && list->items[i].layer < nlayers &&
            list->items[i].same_as < 0)
            each[list->items[i].layer] += count_of(&list->items[i]);
    }
    for (int layer = 0; layer < nlayers; layer++) {
        if (!each[layer])
            continue;
        row->nlayers++;
        row->least = each[layer] < row->least ? each[layer] : row->least;
        row->most = each[layer] > row->most ? each[layer] : row->most;
    }
    free(each);
}

/* ---- caches ---- */

static uint64_t values_of(const struct tt_node *node)
{
    uint64_t values = 1;
    for (int i = 0; i < node->rank; i++)
        values *= node->axes[i] > 0 ? (uint64_t)node->axes[i] : 1;
    return values;
}

/* Tokens that the attention of this layer looks back; 0: all. */
static int64_t window_of(const struct tt_graph *graph, int layer)
{
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *node = tt_graph_node(graph, i);
        if (node->layer == layer && node->op && strcmp(node->op->name, "softmax") == 0)
            return (int64_t)tt_attributes_number(&node->attributes, "window", 0);
    }
    return 0;
}

static bool is_cache(const struct tt_graph *graph, int index)
{
    const struct tt_node *node = tt_graph_node(graph, index);
    return node->state && !node->once && node->iteration <= 0;
}

static void add_caches(struct tt_sizes *sizes, const struct tt_graph *graph)
{
    int last = -1;
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *node = tt_graph_node(graph, i);
        if (!is_cache(graph, i))
            continue;
        int64_t window = window_of(graph, node->layer);
        sizes->cache += values_of(node);
        sizes->windowed += window > 0 ? values_of(node) : 0;
        sizes->window = window > sizes->window ? window : sizes->window;
        sizes->cached_layers += node->layer != last;
        last = node->layer;
    }
}

uint64_t tt_cache_values(const struct tt_graph *graph, int64_t tokens)
{
    uint64_t values = 0;
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        int64_t window = is_cache(graph, i) ? window_of(graph, tt_graph_node(graph, i)->layer) : 0;
        if (is_cache(graph, i))
            values += values_of(tt_graph_node(graph, i)) * (uint64_t)(window > 0 && window < tokens ? window : tokens);
    }
    return values;
}

struct tt_sizes tt_sizes_of(const struct tt_graph *graph)
{
    struct tt_sizes sizes = {0};
    struct tt_placed_list list = tt_placed_list(graph);
    for (int i = 0; i < list.count; i++)
        if (is_parameter(graph, &list.items[i]))
            add_weight(&sizes, graph, &list, i);
    for (int i = 0; i < sizes.nrows; i++)
        if (sizes.rows[i].layer >= 0)
            measure_layers(&list, &sizes.rows[i], tt_graph_nlayers(graph));
    add_caches(&sizes, graph);
    tt_placed_list_free(&list);
    return sizes;
}

void tt_sizes_free(struct tt_sizes *sizes)
{
    free(sizes->rows);
    *sizes = (struct tt_sizes){0};
}
