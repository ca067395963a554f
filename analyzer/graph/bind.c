/* SPDX-License-Identifier: Apache-2.0
 *
 * Binding an architecture to a model. Invariants of a finished graph: nodes are in execution order, every input index
 * is smaller than its node's own, every weight's shape agrees with the architecture's.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/architecture.h"
#include "graph/private.h"

/* ---- names: {layer} and {arch} replaced ---- */

static void expand(const struct tt_graph *graph, const char *pattern, int layer, char *out, size_t size)
{
    size_t n = 0;
    while (*pattern && n + 1 < size) {
        if (strncmp(pattern, "{layer}", 7) == 0) {
            n += (size_t)snprintf(out + n, size - n, "%d", layer);
            pattern += 7;
        } else if (strncmp(pattern, "{arch}", 6) == 0) {
            n += (size_t)snprintf(out + n, size - n, "%s", graph->arch);
            pattern += 6;
        } else {
            out[n++] = *pattern++;
        }
        if (n >= size)
            n = size - 1;
    }
    out[n] = 0;
}

const struct tt_model_tensor *tt_graph_find_weight(const struct tt_graph *graph, const char *name, int layer)
{
    const cJSON *entry = member(member(graph->json, "weights"), name);
    const cJSON *sources = member(entry, graph->scheme);
    const cJSON *prefixes = member(member(graph->json, "prefix"), graph->scheme);
    const char *source, *prefix;
    for (int i = 0; (source = tt_json_string_at(sources, i)); i++) {
        char expanded[256], full[320];
        expand(graph, source, layer, expanded, sizeof expanded);
        const struct tt_model_tensor *tensor = tt_model_tensor(graph->model, expanded);
        for (int j = 0; !tensor && (prefix = tt_json_string_at(prefixes, j)); j++) {
            snprintf(full, sizeof full, "%s%s", prefix, expanded);
            tensor = tt_model_tensor(graph->model, full);
        }
        if (tensor)
            return tensor;
    }
    const char *other = text_of(entry, "else");
    return other ? tt_graph_find_weight(graph, other, layer) : NULL;
}

/* ---- config ---- */

static const struct config_entry *find_config(const struct tt_graph *graph, const char *name)
{
    for (int i = 0; i < graph->nconfig; i++)
        if (strcmp(graph->config[i].name, name) == 0)
            return &graph->config[i];
    return NULL;
}

static bool lookup_name(const void *user, const char *name, struct tt_scalar *out)
{
    const struct tt_graph_scope *scope = user;
    for (int i = scope->attributes ? scope->attributes->count - 1 : -1; i >= 0; i--) {
        const struct tt_attribute_value *item = &scope->attributes->items[i];
        if (strcmp(item->name, name) == 0) {
            *out = item->string ? tt_scalar_string(item->string) : tt_scalar_number(item->number);
            return true;
        }
    }
    const struct config_entry *entry = find_config(scope->graph, name);
    if (entry)
        *out = entry->value;
    return entry != NULL;
}

static bool has_weight(const void *user, const char *name)
{
    const struct tt_graph_scope *scope = user;
    return tt_graph_find_weight(scope->graph, name, 0) != NULL;
}

struct tt_scope tt_graph_scope(const struct tt_graph_scope *names)
{
    return (struct tt_scope){.lookup = lookup_name, .has = has_weight, .user = names};
}

static int evaluate(const struct tt_graph *graph, const char *text, struct tt_scalar *out, struct tt_error *error)
{
    struct tt_graph_scope names = {.graph = graph};
    struct tt_scope scope = tt_graph_scope(&names);
    return tt_expression(text, &scope, out, error);
}

/* A metadata key of the model; arrays (per-layer head counts) give their first element. */
static bool metadata(const struct tt_graph *graph, const char *key, struct tt_scalar *out)
{
    char expanded[256];
    const char *string;
    expand(graph, key, 0, expanded, sizeof expanded);
    if (tt_model_number(graph->model, expanded, &out->number) ||
        tt_model_array_number(graph->model, expanded, 0, &out->number)) {
        out->is_string = false;
        return true;
    }
    if (!tt_model_string(graph->model, expanded, &string))
        return false;
    *out = tt_scalar_string(string);
    return true;
}

static void map_value(const cJSON *entry, struct tt_scalar *value)
{
    const char *mapped = value->is_string ? text_of(member(entry, "map"), value->text) : NULL;
    if (mapped)
        *value = tt_scalar_string(mapped);
}

/* Order: fixed by the scheme, metadata, rows of a weight, default. */
static int config_value(const struct tt_graph *graph, const cJSON *entry, struct tt_scalar *out,
                        struct tt_error *error)
{
    char is[32];
    const char *key, *text;
    snprintf(is, sizeof is, "%s_is", graph->scheme);
    if ((text = text_of(entry, is)))
        return evaluate(graph, text, out, error);
    for (int i = 0; (key = tt_json_string_at(member(entry, graph->scheme), i)); i++) {
        if (metadata(graph, key, out)) {
            map_value(entry, out);
            return 0;
        }
    }
    if ((text = text_of(entry, "rows_of"))) {
        const struct tt_model_tensor *tensor = tt_graph_find_weight(graph, text, 0);
        if (tensor) {
            *out = tt_scalar_number((double)tensor->shape[0]);
            return 0;
        }
        return tt_fail(error, TT_EINPUT, "%s: tensor %s is missing; is this a complete model?",
                       tt_model_path(graph->model), tt_json_string_at(member(member(member(graph->json, "weights"), text), graph->scheme), 0));
    }
    if ((text = text_of(entry, "default")))
        return evaluate(graph, text, out, error);
    key = tt_json_string_at(member(entry, graph->scheme), 0);
    return tt_fail(error, TT_EINPUT, "%s: metadata has no '%s', which family %s needs",
                   tt_model_path(graph->model), key ? key : entry->string, graph->family);
}

static int read_config(struct tt_graph *graph, struct tt_error *error)
{
    const cJSON *entry;
    cJSON_ArrayForEach(entry, member(graph->json, "config"))
    {
        if (graph->nconfig == MAX_CONFIG)
            return tt_fail(error, TT_EINPUT, "architecture %s: more than %d config entries", graph->family, MAX_CONFIG);
        struct config_entry *slot = &graph->config[graph->nconfig];
        slot->name = entry->string;
        if (config_value(graph, entry, &slot->value, error))
            return -1;
        graph->nconfig++;
    }
    double layers = 0;
    if (!tt_graph_config(graph, "layers", &layers) || !(layers >= 1 && layers <= MAX_LAYERS))
        return tt_fail(error, TT_EINPUT, "%s: %g layers; between 1 and %d were expected",
                       tt_model_path(graph->model), layers, MAX_LAYERS);
    graph->nlayers = (int)layers;
    return 0;
}

/* ---- nodes ---- */

static int axis_extent(const struct tt_graph *graph, const char *axis, int64_t *out, struct tt_error *error)
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
    const char *text = text_of(member(graph->json, "axes"), axis);
    if (!text)
        return tt_fail(error, TT_EINPUT, "architecture %s: axis '%s' is not declared", graph->family, axis);
    if (evaluate(graph, text, &value, error))
        return -1;
    if (!(value.number >= 1 && value.number <= 1e9) || value.number != floor(value.number))
        return tt_fail(error, TT_EINPUT, "%s: axis %s = %s is %g, not a whole number above 0",
                       tt_model_path(graph->model), axis, text, value.number);
    *out = (int64_t)value.number;
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
        if (axis_extent(graph, axis, &node->axes[i], error))
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

static int check_weight_shape(const struct tt_graph *graph, const char *name, const struct tt_model_tensor *tensor,
                              struct tt_error *error)
{
    const cJSON *shape = member(member(member(graph->json, "weights"), name), "shape");
    const char *text;
    for (int i = 0; (text = tt_json_string_at(shape, i)); i++) {
        struct tt_scalar extent;
        if (evaluate(graph, text, &extent, error))
            return -1;
        if (i >= tensor->rank || (double)tensor->shape[i] != extent.number)
            return tt_fail(error, TT_EINPUT, "%s: tensor %s has axis %d of length %lld, but %s = %g by the metadata",
                           tt_model_path(graph->model), tensor->name, i,
                           i < tensor->rank ? (long long)tensor->shape[i] : 0LL, text, extent.number);
    }
    return 0;
}

static int bind_weights(struct tt_graph *graph, const cJSON *json, struct tt_node *node, struct tt_error *error)
{
    for (int i = 0; node->op && i < TT_OP_MAX_WEIGHTS && node->op->weight_roles[i]; i++) {
        const char *name = weight_name(graph, json, node, node->op->weight_roles[i]);
        if (!name)
            continue;
        const struct tt_model_tensor *tensor = tt_graph_find_weight(graph, name, node->layer);
        const cJSON *entry = member(member(graph->json, "weights"), name);
        if (!tensor && !cJSON_IsTrue(member(entry, "optional"))) {
            char source[256];
            const char *pattern = tt_json_string_at(member(entry, graph->scheme), 0);
            expand(graph, pattern ? pattern : name, node->layer, source, sizeof source);
            return tt_fail(error, TT_EINPUT, "%s: tensor %s is missing; is this a complete %s model?",
                           tt_model_path(graph->model), source, graph->family);
        }
        if (tensor && check_weight_shape(graph, name, tensor, error))
            return -1;
        node->weight[i] = tensor;
        node->weight_name[i] = tensor ? name : NULL;
    }
    return 0;
}

/* A value's name as seen from `layer`; nodes after the block see the last layer's. */
static int resolve(const struct tt_graph *graph, const char *name, int layer)
{
    for (int i = 0; i < graph->ncarries; i++) {
        const struct carry *carry = &graph->carries[i];
        if (strcmp(carry->name, name) != 0)
            continue;
        if (layer == 0)
            return tt_graph_find(graph, carry->init, -1);
        return tt_graph_find(graph, carry->next, layer < 0 ? graph->nlayers - 1 : layer - 1);
    }
    int index = tt_graph_find(graph, name, layer);
    if (index < 0)
        index = tt_graph_find(graph, name, -1);
    return index < 0 && layer < 0 ? tt_graph_find(graph, name, graph->nlayers - 1) : index;
}

int tt_graph_resolve(const struct tt_graph *graph, const char *name, int layer)
{
    return resolve(graph, name, layer);
}

static int bind_inputs(struct tt_graph *graph, const cJSON *json, struct tt_node *node, struct tt_error *error)
{
    const char *name;
    for (int i = 0; (name = tt_json_string_at(member(json, "in"), i)); i++) {
        int index = i < TT_OP_MAX_INPUTS ? resolve(graph, name, node->layer) : -1;
        if (index < 0)
            return tt_fail(error, TT_EINPUT, "architecture %s: input '%s' of %s is not computed before it",
                           graph->family, name, node->component);
        node->in[i] = index;
        node->nin = i + 1;
    }
    return 0;
}

static bool wanted(const struct tt_graph *graph, const cJSON *json, int layer, int *failed, struct tt_error *error)
{
    const char *when = text_of(json, "when");
    struct tt_scalar value;
    if (!when)
        return true;
    struct tt_attributes at = {.count = 1, .items = {{.name = "layer", .number = layer}}};
    struct tt_graph_scope names = {.graph = graph, .attributes = &at};
    struct tt_scope scope = tt_graph_scope(&names);
    if (tt_expression(when, &scope, &value, error)) {
        *failed = -1;
        return false;
    }
    return value.number != 0;
}

static void append(struct tt_graph *graph, const struct tt_node *node)
{
    if (graph->nnodes == graph->capacity) {
        graph->capacity = graph->capacity ? 2 * graph->capacity : 64;
        graph->nodes = tt_grow(graph->nodes, (size_t)graph->capacity, sizeof *graph->nodes);
    }
    graph->nodes[graph->nnodes++] = *node;
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

static int add_node(struct tt_graph *graph, const cJSON *json, int layer, struct tt_error *error)
{
    int failed = 0;
    const char *name = text_of(json, "name"), *op = text_of(json, "op"), *hf = text_of(json, "hf");
    if (!name)
        return tt_fail(error, TT_EINPUT, "architecture %s: a node has no name", graph->family);
    if (!wanted(graph, json, layer, &failed, error))
        return failed;
    const char *blame = text_of(json, "reports_as");
    struct tt_node node = {
        .component = tt_graph_intern(graph, name), .blame = tt_graph_intern(graph, blame ? blame : name), .layer = layer};
    node.op = op ? tt_op_find(op) : NULL;
    node.state = cJSON_IsTrue(member(json, "state"));
    node.internal = cJSON_IsTrue(member(json, "internal"));
    node.optional_end = cJSON_IsTrue(member(json, "optional_end"));
    if (!node.op && !node.state)
        return tt_fail(error, TT_EINPUT, "architecture %s: %s has no or an unknown op '%s'", graph->family, name,
                       op ? op : "");
    if (hf) {
        char path[256];
        expand(graph, hf, layer, path, sizeof path);
        node.hf = tt_graph_intern(graph, path);
    }
    if (layer >= 0)
        tt_attributes_set_number(&node.attributes, "layer", layer);
    if (bind_axes(graph, json, &node, error) || bind_attributes(graph, json, &node, error) ||
        bind_weights(graph, json, &node, error) || bind_inputs(graph, json, &node, error))
        return -1;
    split_bias(graph, &node);
    append(graph, &node);
    return 0;
}

static int add_carries(struct tt_graph *graph, const cJSON *json, struct tt_error *error)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, member(json, "carry"))
    {
        if (graph->ncarries == MAX_CARRIES)
            return tt_fail(error, TT_EINPUT, "architecture %s: too many carried values", graph->family);
        graph->carries[graph->ncarries++] =
            (struct carry){item->string, tt_json_string_at(item, 0), tt_json_string_at(item, 1)};
    }
    return 0;
}

static int add_block(struct tt_graph *graph, const cJSON *block, struct tt_error *error)
{
    const cJSON *json;
    if (add_carries(graph, block, error))
        return -1;
    for (int layer = 0; layer < graph->nlayers; layer++)
        cJSON_ArrayForEach(json, member(block, "nodes")) if (add_node(graph, json, layer, error)) return -1;
    return 0;
}

/* ---- rewrites ---- */

static int add_rewrite_set(struct tt_graph *graph, struct tt_rewrite *rewrite, const cJSON *json,
                           struct tt_error *error)
{
    struct tt_rewrite_set *set = &rewrite->sets[rewrite->nsets];
    if (rewrite->nsets == (int)(sizeof rewrite->sets / sizeof *rewrite->sets) || !text_of(json, "node"))
        return tt_fail(error, TT_EINPUT, "architecture %s: rewrite %s is malformed", graph->family, rewrite->cause);
    *set = (struct tt_rewrite_set){.component = text_of(json, "node"), .nin = -1, .as = text_of(json, "as"),
                                   .attributes = text_of(json, "attributes")};
    for (int i = 0; i < TT_OP_MAX_INPUTS && tt_json_string_at(member(json, "in"), i); i++) {
        set->in[i] = tt_json_string_at(member(json, "in"), i);
        set->nin = i + 1;
    }
    rewrite->nsets++;
    return 0;
}

static int add_rewrites(struct tt_graph *graph, struct tt_error *error)
{
    const cJSON *json, *item;
    cJSON_ArrayForEach(json, member(graph->json, "rewrites"))
    {
        struct tt_rewrite *rewrite = &graph->rewrites[graph->nrewrites];
        if (graph->nrewrites == MAX_REWRITES || !text_of(json, "cause") || !text_of(json, "at"))
            return tt_fail(error, TT_EINPUT, "architecture %s: rewrite %d is malformed", graph->family,
                           graph->nrewrites);
        *rewrite = (struct tt_rewrite){.cause = text_of(json, "cause"), .at = text_of(json, "at"),
                                       .found = text_of(json, "found")};
        cJSON_ArrayForEach(item, member(json, "set")) if (add_rewrite_set(graph, rewrite, item, error)) return -1;
        graph->nrewrites++;
    }
    return 0;
}

int tt_graph_bind(struct tt_graph *graph, struct tt_error *error)
{
    const cJSON *json;
    const char *arch = "";
    graph->scheme = tt_model_scheme(graph->model);
    tt_model_string(graph->model, "general.architecture", &arch);
    graph->arch = arch;
    graph->family = text_of(graph->json, "family");
    if (read_config(graph, error))
        return -1;
    cJSON_ArrayForEach(json, member(graph->json, "graph"))
    {
        int failed = member(json, "repeat") ? add_block(graph, json, error) : add_node(graph, json, -1, error);
        if (failed)
            return -1;
    }
    return add_rewrites(graph, error);
}
