/* SPDX-License-Identifier: Apache-2.0
 *
 * One node of an architecture bound to a model: its axes, attributes, weights and inputs. A linear layer with a bias becomes
 * two.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/architecture.h"
#include "graph/private.h"

static int axis_extent(const struct tt_graph *graph, const char *axis, int layer, int64_t *out, struct tt_error *error)
{
    static const struct {
        const char *name;
        int64_t extent;
    } dynamic[] = {{"token", TT_AXIS_TOKEN}, {"key", TT_AXIS_KEY}, {"one", 1}};
    for (size_t i = 0; i < sizeof dynamic / sizeof *dynamic; i++) {
        if (strcmp(axis, dynamic[i].name) == 0) {
            *out = dynamic[i].extent;
            return 0;
        }
    }
    struct tt_scalar value;
    const cJSON *entry = member(member(graph->json, "axes"), axis);
    const char *chunk = text_of(entry, "per_tokens"), *text = chunk ? chunk : cJSON_GetStringValue(entry);
    if (!text)
        return tt_fail(error, TT_EINPUT, "architecture %s: axis '%s' is not declared", graph->family, axis);
    if (tt_graph_evaluate(graph, text, layer, &value, error))
        return -1;
    if (!(value.number >= 1 && value.number <= 1e9) || value.number != floor(value.number))
        return tt_fail(error, TT_EINPUT, "%s: axis %s = %s is %g, not a whole number above 0",
                       tt_model_path(graph->model), axis, text, value.number);
    *out = chunk ? TT_AXIS_CHUNKS(value.number) : (int64_t)value.number;
    return 0;
}

static int bind_axes(const struct tt_graph *graph, const cJSON *json, struct tt_node *node, struct tt_error *error)
{
    const cJSON *axes = member(json, "axes");
    const char *axis;
    for (int i = 0; (axis = tt_json_string_at(axes, i)); i++) {
        if (i == TT_VALUE_RANK)
            return tt_fail(error, TT_EINPUT, "architecture %s: %s has more than %d axes", graph->family,
                           node->component, TT_VALUE_RANK);
        if (axis_extent(graph, axis, node->layer, &node->axes[i], error))
            return -1;
        node->rank = i + 1;
    }
    return 0;
}

static int bind_attributes(struct tt_graph *graph, const cJSON *json, struct tt_node *node,
                           struct tt_error *error)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, member(json, "attributes"))
    {
        struct tt_scalar value;
        struct tt_graph_scope names = {.graph = graph, .attributes = &node->attributes};
        struct tt_scope scope = tt_graph_scope(&names);
        if (!cJSON_IsString(item))
            return tt_fail(error, TT_EINPUT, "architecture %s: attribute %s.%s must be an expression in quotes",
                           graph->family, node->component, item->string);
        if (tt_expression(item->valuestring, &scope, &value, error))
            return -1;
        int full;
        if (value.is_string)
            full = tt_attributes_set_string(&node->attributes, item->string, tt_graph_intern(graph, value.text));
        else
            full = tt_attributes_set_number(&node->attributes, item->string, value.number);
        if (full)
            return tt_fail(error, TT_EINPUT, "architecture %s: %s has too many attributes", graph->family,
                           node->component);
    }
    return 0;
}

/* Canonical weight for a role: named on the node, else "<component>.<role>" when the family declares it. */
static const char *weight_name(struct tt_graph *graph, const cJSON *json, const struct tt_node *node,
                               const char *role)
{
    char name[128];
    const char *given = text_of(member(json, "weights"), role);
    if (given)
        return tt_graph_intern(graph, given);
    snprintf(name, sizeof name, "%s.%s", node->component, role);
    return member(member(graph->json, "weights"), name) ? tt_graph_intern(graph, name) : NULL;
}

int tt_graph_check_weight(const struct tt_graph *graph, const char *name, int layer, const struct tt_model_tensor *tensor,
                          struct tt_error *error)
{
    const cJSON *shape = member(member(member(graph->json, "weights"), name), "shape");
    const char *text;
    for (int i = 0; (text = tt_json_string_at(shape, i)); i++) {
        struct tt_scalar extent;
        if (tt_graph_evaluate(graph, text, layer, &extent, error))
            return -1;
        if (i >= tensor->rank || (double)tensor->shape[i] != extent.number)
            return tt_fail(error, TT_EINPUT, "%s: tensor %s has axis %d of length %lld, but %s = %g by the metadata",
                           tt_model_path(graph->model), tensor->name, i,
                           i < tensor->rank ? (long long)tensor->shape[i] : 0LL, text, extent.number);
    }
    return 0;
}

static int missing_weight(const struct tt_graph *graph, const cJSON *entry, const char *name, int layer,
                          struct tt_error *error)
{
    char source[256];
    const cJSON *sources = member(entry, graph->scheme);
    const cJSON *first = cJSON_IsArray(sources) ? cJSON_GetArrayItem(sources, 0) : sources;
    const char *pattern = cJSON_IsObject(first) ? text_of(first, "tensor") : cJSON_GetStringValue(first);
    tt_graph_expand(graph, pattern ? pattern : name, layer, source, sizeof source);
    return tt_fail(error, TT_EINPUT, "%s: tensor %s is missing; is this a complete %s model?",
                   tt_model_path(graph->model), source, graph->family);
}

static int bind_weights(struct tt_graph *graph, const cJSON *json, struct tt_node *node, struct tt_error *error)
{
    for (int i = 0; node->op && i < TT_OP_MAX_WEIGHTS && node->op->weight_roles[i]; i++) {
        const char *name = weight_name(graph, json, node, node->op->weight_roles[i]);
        const struct tt_model_tensor *tensor;
        if (!name)
            continue;
        if (tt_graph_bind_weight(graph, name, node->layer, &tensor, error))
            return -1;
        const cJSON *entry = member(member(graph->json, "weights"), name);
        if (!tensor && !cJSON_IsTrue(member(entry, "optional")) && !text_of(entry, "when"))
            return missing_weight(graph, entry, name, node->layer, error);
        if (tensor && !graph->options.bare && tt_graph_check_weight(graph, name, node->layer, tensor, error))
            return -1;
        node->weight[i] = tensor;
        node->weight_name[i] = tensor ? name : NULL;
    }
    return 0;
}

static int bind_inputs(struct tt_graph *graph, const cJSON *json, const struct place *place, struct tt_node *node,
                       struct tt_error *error)
{
    const char *name;
    for (int i = 0; (name = tt_json_string_at(member(json, "in"), i)); i++) {
        int index = i < TT_OP_MAX_INPUTS ? tt_graph_resolve_at(graph, name, place) : -1;
        if (index < 0)
            return tt_fail(error, TT_EINPUT, "architecture %s: input '%s' of %s is not computed before it",
                           graph->family, name, node->component);
        node->in[i] = index;
        node->nin = i + 1;
    }
    return 0;
}

int tt_graph_wanted(const struct tt_graph *graph, const cJSON *json, const struct place *place, struct tt_error *error)
{
    const char *when = text_of(json, "when");
    struct tt_scalar value;
    struct tt_layer_scope scope;
    if (!when)
        return 1;
    tt_layer_scope_open(&scope, graph, place->layer, place->iteration);
    return tt_expression(when, &scope.scope, &value, error) ? -1 : value.number != 0;
}

static void append(struct tt_graph *graph, const struct tt_node *node)
{
    if (graph->nnodes == graph->capacity) {
        graph->capacity = graph->capacity ? 2 * graph->capacity : 64;
        graph->nodes = tt_grow(graph->nodes, (size_t)graph->capacity, sizeof *graph->nodes);
    }
    struct tt_node *to = &graph->nodes[graph->nnodes++], *before = graph->nnodes > 1 ? to - 1 : NULL;
    *to = *node;
    bool same = before && before->layer == to->layer && before->iteration == to->iteration && before->stack == to->stack;
    to->place = before ? before->place + !same : 0;
}

/* A BLAS call shows x·Wᵀ, the bias comes later or not at all: a linear layer with bias is two nodes, the product
 * an internal one that reports as its layer. */
static void split_bias(struct tt_graph *graph, struct tt_node *node)
{
    char name[128];
    if (!node->op || strcmp(node->op->name, "linear") != 0 || !node->weight[1])
        return;
    struct tt_node product = *node;
    snprintf(name, sizeof name, "%s.product", node->component);
    product.component = tt_graph_intern(graph, name);
    product.internal = true;
    product.hf = NULL;
    product.weight[1] = NULL;
    product.weight_name[1] = NULL;
    append(graph, &product);
    node->op = tt_op_find("bias");
    node->weight[0] = node->weight[1];
    node->weight_name[0] = node->weight_name[1];
    node->weight[1] = NULL;
    node->weight_name[1] = NULL;
    node->nin = 1;
    node->in[0] = graph->nnodes - 1;
}

static const char *stacked_name(struct tt_graph *graph, const struct place *place, const char *name)
{
    char full[320];
    return tt_graph_intern(graph, tt_with_stack(place->stack, name, full, sizeof full));
}

/* A node without a path is the output of the module that holds its first weight, if that is a tensor of its own:
 * "….q_proj.weight" belongs to "….q_proj". */
static bool module_of_weight(struct tt_graph *graph, const cJSON *json, const struct tt_node *node, char *out, size_t size)
{
    static const char suffix[] = ".weight";
    const char *role = node->op ? node->op->weight_roles[0] : NULL;
    const char *name = role ? weight_name(graph, json, node, role) : NULL;
    const char *source = name ? tt_json_string_at(member(member(member(graph->json, "weights"), name), "hf"), 0) : NULL;
    size_t n = source ? strlen(source) : 0, m = strlen(suffix);
    if (n <= m || n - m >= size || strcmp(source + n - m, suffix) != 0)
        return false;
    snprintf(out, size, "%.*s", (int)(n - m), source);
    return true;
}

static int describe_node(struct tt_graph *graph, const cJSON *json, const struct place *place, struct tt_node *node,
                         struct tt_error *error)
{
    const char *name = text_of(json, "name"), *op = text_of(json, "op"), *hf = text_of(json, "hf");
    const char *blame = text_of(json, "reports_as");
    char path[256], module[256];
    if (!name)
        return tt_fail(error, TT_EINPUT, "architecture %s: a node has no name", graph->family);
    *node = (struct tt_node){.component = stacked_name(graph, place, name),
                             .blame = stacked_name(graph, place, blame ? blame : name),
                             .stack = place->stack,
                             .layer = place->layer,
                             .iteration = place->iteration,
                             .op = op ? tt_op_find(op) : NULL,
                             .state = cJSON_IsTrue(member(json, "state")),
                             .once = cJSON_IsTrue(member(json, "once")),
                             .internal = cJSON_IsTrue(member(json, "internal")),
                             .optional_end = cJSON_IsTrue(member(json, "optional_end"))};
    if (!node->op && !node->state)
        return tt_fail(error, TT_EINPUT, "architecture %s: %s has no or an unknown op '%s'", graph->family, name,
                       op ? op : "");
    if (!hf && module_of_weight(graph, json, node, module, sizeof module))
        hf = module;
    if (hf && *hf) {
        tt_graph_expand(graph, hf, place->layer, path, sizeof path);
        node->hf = tt_graph_intern(graph, path);
    }
    if (place->layer >= 0)
        tt_attributes_set_number(&node->attributes, "layer", place->layer);
    if (place->iteration >= 0)
        tt_attributes_set_number(&node->attributes, "iteration", place->iteration);
    return 0;
}

/* Ops that pair query heads with key heads need as many of the ones for each of the others. */
static int check_heads(const struct tt_graph *graph, const struct tt_node *node, struct tt_error *error)
{
    if (!node->op || !node->op->repeats_heads || node->nin < 2 || graph->nodes[node->in[1]].rank != 3)
        return 0;
    int64_t heads = node->axes[1], groups = graph->nodes[node->in[1]].axes[1];
    if (groups > 0 && heads % groups == 0)
        return 0;
    return tt_fail(error, TT_EINPUT, "%s: %s: %lld query heads cannot share %lld key heads, as the metadata says",
                   tt_model_path(graph->model), node->component, (long long)heads, (long long)groups);
}

int tt_graph_add_node(struct tt_graph *graph, const cJSON *json, const struct place *place, struct tt_error *error)
{
    struct tt_node node;
    int needed = tt_graph_wanted(graph, json, place, error);
    if (needed <= 0)
        return needed;
    if (describe_node(graph, json, place, &node, error) || bind_axes(graph, json, &node, error) ||
        bind_attributes(graph, json, &node, error) || bind_weights(graph, json, &node, error) ||
        bind_inputs(graph, json, place, &node, error) || check_heads(graph, &node, error))
        return -1;
    split_bias(graph, &node);
    append(graph, &node);
    return 0;
}
