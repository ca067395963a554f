/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to a bound graph, and its weights as f64.
 */
#include "graph/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/architecture.h"
#include "graph/private.h"

struct tt_graph *tt_graph_new(const struct tt_model *model, struct tt_error *error)
{
    struct tt_graph *graph = tt_alloc(sizeof *graph);
    graph->model = model;
    graph->json = tt_architecture_for(model, error);
    if (graph->json && tt_graph_bind(graph, error) == 0)
        return graph;
    tt_graph_free(graph);
    return NULL;
}

void tt_graph_free(struct tt_graph *graph)
{
    if (!graph)
        return;
    tt_graph_release_weights(graph);
    while (graph->strings) {
        struct interned *next = graph->strings->next;
        free(graph->strings);
        graph->strings = next;
    }
    cJSON_Delete(graph->json);
    free(graph->nodes);
    free(graph);
}

const char *tt_graph_intern(struct tt_graph *graph, const char *text)
{
    for (struct interned *s = graph->strings; s; s = s->next)
        if (strcmp(s->text, text) == 0)
            return s->text;
    struct interned *made = tt_alloc(sizeof *made + strlen(text) + 1);
    strcpy(made->text, text);
    made->next = graph->strings;
    graph->strings = made;
    return made->text;
}

const char *tt_graph_family(const struct tt_graph *graph)
{
    return graph->family;
}

const struct tt_model *tt_graph_model(const struct tt_graph *graph)
{
    return graph->model;
}

int tt_graph_nlayers(const struct tt_graph *graph)
{
    return graph->nlayers;
}

int tt_graph_nnodes(const struct tt_graph *graph)
{
    return graph->nnodes;
}

const struct tt_node *tt_graph_node(const struct tt_graph *graph, int index)
{
    return &graph->nodes[index];
}

int tt_graph_find(const struct tt_graph *graph, const char *component, int layer)
{
    for (int i = 0; i < graph->nnodes; i++)
        if (graph->nodes[i].layer == layer && strcmp(graph->nodes[i].component, component) == 0)
            return i;
    return -1;
}

bool tt_graph_config(const struct tt_graph *graph, const char *name, double *out)
{
    for (int i = 0; i < graph->nconfig; i++) {
        if (strcmp(graph->config[i].name, name) == 0 && !graph->config[i].value.is_string) {
            *out = graph->config[i].value.number;
            return true;
        }
    }
    return false;
}

int tt_graph_nrewrites(const struct tt_graph *graph)
{
    return graph->nrewrites;
}

const struct tt_rewrite *tt_graph_rewrite(const struct tt_graph *graph, int index)
{
    return &graph->rewrites[index];
}

struct tt_address tt_node_address(const struct tt_node *node)
{
    struct tt_address out;
    if (node->layer < 0)
        snprintf(out.text, sizeof out.text, "%s", node->blame);
    else
        snprintf(out.text, sizeof out.text, "L%d.%s", node->layer, node->blame);
    return out;
}

void tt_graph_round_weights(struct tt_graph *graph, double unit)
{
    tt_graph_release_weights(graph);
    graph->weight_unit = unit;
}

const struct tt_value *tt_graph_weight(struct tt_graph *graph, const struct tt_model_tensor *tensor,
                                       struct tt_error *error)
{
    for (struct weight_cache *w = graph->weights; w; w = w->next)
        if (w->tensor == tensor)
            return &w->value;
    if (tensor->rank > TT_VALUE_RANK) {
        tt_fail(error, TT_EINPUT, "tensor %s has %d axes; at most %d are expected", tensor->name, tensor->rank,
                TT_VALUE_RANK);
        return NULL;
    }
    struct tt_value value = tt_value_new(tensor->rank, tensor->shape);
    if (tt_model_read(tensor, 0, (uint64_t)tt_value_count(&value), value.v, error)) {
        tt_value_free(&value);
        return NULL;
    }
    for (int64_t i = 0, n = tt_value_count(&value); graph->weight_unit > 0 && i < n; i++)
        value.v[i] = tt_round_to_unit(value.v[i], graph->weight_unit);
    struct weight_cache *made = tt_alloc(sizeof *made);
    *made = (struct weight_cache){.tensor = tensor, .value = value, .next = graph->weights};
    graph->weights = made;
    return &made->value;
}

void tt_graph_release_weights(struct tt_graph *graph)
{
    while (graph->weights) {
        struct weight_cache *next = graph->weights->next;
        tt_value_free(&graph->weights->value);
        free(graph->weights);
        graph->weights = next;
    }
}
