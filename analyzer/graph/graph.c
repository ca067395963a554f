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

#define WEIGHT_BUDGET (512ull << 20) /* bytes of weights kept as f64 */
#define WEIGHTS_HELD  16             /* the latest ones stay whatever their size: somebody may be reading them */

struct tt_graph *tt_graph_new_with(const struct tt_model *model, const struct tt_graph_options *options,
                                   struct tt_error *error)
{
    struct tt_graph *graph = tt_alloc(sizeof *graph);
    graph->model = model;
    graph->options = *options;
    graph->json = tt_architecture_for(model, error);
    if (graph->json && tt_graph_bind(graph, error) == 0)
        return graph;
    tt_graph_free(graph);
    return NULL;
}

struct tt_graph *tt_graph_new(const struct tt_model *model, struct tt_error *error)
{
    return tt_graph_new_with(model, &(struct tt_graph_options){0}, error);
}

static void free_made(struct tt_graph *graph)
{
    while (graph->made) {
        struct made_tensor *next = graph->made->next;
        tt_made_tensor_free(&graph->made->tensor);
        free(graph->made);
        graph->made = next;
    }
}

void tt_graph_free_before(struct tt_graph *before)
{
    if (before)
        before->json = NULL; /* the later graph's */
    tt_graph_free(before);
}

void tt_graph_free(struct tt_graph *graph)
{
    if (!graph)
        return;
    tt_graph_free_before(graph->before);
    tt_graph_release_weights(graph);
    free_made(graph);
    while (graph->strings) {
        struct interned *next = graph->strings->next;
        free(graph->strings);
        graph->strings = next;
    }
    for (int i = 0; i < graph->nconfig; i++)
        free(graph->config[i].values);
    for (int i = 0; i < graph->ncarries; i++)
        free(graph->carries[i].at);
    free(graph->config);
    free(graph->carries);
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

int tt_graph_find_at(const struct tt_graph *graph, const char *component, int layer, int iteration)
{
    for (int i = 0; i < graph->nnodes; i++) {
        const struct tt_node *node = &graph->nodes[i];
        if (node->layer == layer && node->iteration == iteration && strcmp(node->component, component) == 0)
            return i;
    }
    return -1;
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
        if (strcmp(graph->config[i].name, name) == 0 && !graph->config[i].values[0].is_string) {
            *out = graph->config[i].values[0].number;
            return true;
        }
    }
    return false;
}

int tt_graph_nconfig(const struct tt_graph *graph)
{
    return graph->nconfig;
}

struct tt_graph_config_entry tt_graph_config_at(const struct tt_graph *graph, int index)
{
    const struct config_entry *entry = &graph->config[index];
    return (struct tt_graph_config_entry){entry->name, entry->values, entry->nvalues, entry->source};
}

const struct tt_model_tensor *tt_graph_weight_tensor(struct tt_graph *graph, const char *name, int layer)
{
    const struct tt_model_tensor *tensor = NULL;
    return tt_graph_bind_weight(graph, name, layer, &tensor, NULL) ? NULL : tensor;
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
    size_t prefix = node->stack && *node->stack ? strlen(node->stack) + 1 : 0;
    char loop[16] = "";
    if (node->iteration >= 0)
        snprintf(loop, sizeof loop, "#%d", node->iteration);
    if (node->layer < 0)
        snprintf(out.text, sizeof out.text, "%s%s%s", node->blame, *loop ? " " : "", loop);
    else
        snprintf(out.text, sizeof out.text, "%.*sL%d%s.%s", (int)prefix, node->blame, node->layer, loop, node->blame + prefix);
    return out;
}

/* ---- weights as f64 ---- */

static void round_weights(const struct tt_graph *graph, double *values, uint64_t count)
{
    for (uint64_t i = 0; graph->weight_unit > 0 && i < count; i++)
        values[i] = tt_round_to_unit(values[i], graph->weight_unit);
}

int tt_graph_read_weight(const struct tt_graph *graph, const struct tt_model_tensor *tensor, uint64_t first, uint64_t count,
                         double *out, struct tt_error *error)
{
    int failed = tt_model_read(tensor, first, count, out, error);
    if (!failed)
        round_weights(graph, out, count);
    return failed;
}

void tt_graph_round_weights(struct tt_graph *graph, double unit)
{
    tt_graph_release_weights(graph);
    graph->weight_unit = unit;
}

static void free_weight(struct weight_cache *weight)
{
    tt_value_free(&weight->value);
    free(weight);
}

/* Drops what was used longest ago until the rest fits the budget. */
static void keep_within_budget(struct tt_graph *graph)
{
    uint64_t total = 0;
    int held = 0;
    for (struct weight_cache **at = &graph->weights; *at; held++) {
        struct weight_cache *weight = *at;
        total += (uint64_t)tt_value_count(&weight->value) * sizeof(double);
        if (held < WEIGHTS_HELD || total <= WEIGHT_BUDGET) {
            at = &weight->next;
            continue;
        }
        *at = weight->next;
        free_weight(weight);
    }
}

static struct weight_cache *recall(struct tt_graph *graph, const struct tt_model_tensor *tensor)
{
    for (struct weight_cache **at = &graph->weights; *at; at = &(*at)->next) {
        struct weight_cache *found = *at;
        if (found->tensor != tensor)
            continue;
        *at = found->next;
        found->next = graph->weights;
        return graph->weights = found;
    }
    return NULL;
}

const struct tt_value *tt_graph_weight(struct tt_graph *graph, const struct tt_model_tensor *tensor,
                                       struct tt_error *error)
{
    struct weight_cache *known = recall(graph, tensor);
    if (known)
        return &known->value;
    if (tensor->rank > TT_VALUE_RANK) {
        tt_fail(error, TT_EINPUT, "tensor %s has %d axes; at most %d are expected", tensor->name, tensor->rank,
                TT_VALUE_RANK);
        return NULL;
    }
    struct tt_value value = tt_value_unset(tensor->rank, tensor->shape);
    if (tt_graph_read_weight(graph, tensor, 0, (uint64_t)tt_value_count(&value), value.v, error)) {
        tt_value_free(&value);
        return NULL;
    }
    struct weight_cache *made = tt_alloc(sizeof *made);
    *made = (struct weight_cache){.tensor = tensor, .value = value, .next = graph->weights};
    graph->weights = made;
    keep_within_budget(graph);
    return &made->value;
}

void tt_graph_release_weights(struct tt_graph *graph)
{
    while (graph->weights) {
        struct weight_cache *next = graph->weights->next;
        free_weight(graph->weights);
        graph->weights = next;
    }
}
