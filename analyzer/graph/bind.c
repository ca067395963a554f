/* SPDX-License-Identifier: Apache-2.0
 *
 * Binding an architecture to a model: blocks are laid out repetition by repetition. Invariants of a finished graph: nodes
 * are in execution order, every input index is smaller than its node's own, every weight's shape agrees with the
 * architecture's.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/architecture.h"
#include "graph/private.h"

/* ---- axes, attributes, weights of one node ---- */

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

/* ---- which value does a name mean ---- */

/* The latest node of that component in this repetition; -1: none. */
static int find_in(const struct tt_graph *graph, const char *component, int layer, int iteration)
{
    for (int i = graph->nnodes - 1; i >= 0; i--) {
        const struct tt_node *node = &graph->nodes[i];
        if (node->layer == layer && node->iteration == iteration && strcmp(node->component, component) == 0)
            return i;
    }
    return -1;
}

static int find_latest(const struct tt_graph *graph, const char *component)
{
    for (int i = graph->nnodes - 1; i >= 0; i--)
        if (strcmp(graph->nodes[i].component, component) == 0)
            return i;
    return -1;
}

static const char *with_stack(const char *stack, const char *name, char *out, size_t size)
{
    if (!*stack)
        return name;
    snprintf(out, size, "%s.%s", stack, name);
    return out;
}

static const struct carry *find_carry(const struct tt_graph *graph, const char *name)
{
    for (int i = graph->ncarries - 1; i >= 0; i--)
        if (strcmp(graph->carries[i].name, name) == 0)
            return &graph->carries[i];
    return NULL;
}

/* From the innermost block outwards; behind all blocks a name of a block means its last repetition's. */
static int resolve_name(const struct tt_graph *graph, const char *name, const struct place *place)
{
    char full[320];
    const struct carry *carry = find_carry(graph, name);
    if (carry)
        return carry->current;
    for (const struct place *p = place; p; p = p->outer) {
        int index = find_in(graph, with_stack(p->stack, name, full, sizeof full), p->layer, p->iteration);
        if (index >= 0)
            return index;
        if (p->layer < 0 && p == place)
            return find_latest(graph, name);
        if (strchr(name, '.') && (index = find_in(graph, name, p->layer, p->iteration)) >= 0)
            return index;
    }
    return -1;
}

/* "name@expression": the node of that layer. */
static int resolve_layer(const struct tt_graph *graph, const char *text, const char *at, const struct place *place)
{
    char name[128], full[320];
    struct tt_scalar layer;
    snprintf(name, sizeof name, "%.*s", (int)(at - text), text);
    if (tt_graph_evaluate(graph, at + 1, place->layer, &layer, NULL) || layer.is_string)
        return -1;
    return find_in(graph, with_stack(place->stack, name, full, sizeof full), (int)layer.number, place->iteration);
}

/* One input: "a|b": the first that exists. */
static int resolve(const struct tt_graph *graph, const char *text, const struct place *place)
{
    char one[256];
    int index = -1;
    while (index < 0 && *text) {
        size_t length = strcspn(text, "|");
        snprintf(one, sizeof one, "%.*s", (int)(length < sizeof one ? length : sizeof one - 1), text);
        const char *at = strchr(one, '@');
        index = at ? resolve_layer(graph, one, at, place) : resolve_name(graph, one, place);
        text += length + (text[length] == '|');
    }
    return index;
}

int tt_graph_resolve(const struct tt_graph *graph, const char *name, int layer)
{
    const struct carry *carry = find_carry(graph, name);
    if (carry && layer >= 0 && layer < carry->nat)
        return carry->at[layer];
    struct place ends = {.stack = "", .layer = -1, .iteration = -1};
    struct place here = {.outer = &ends, .stack = "", .layer = layer, .iteration = -1};
    return resolve(graph, name, layer < 0 ? &ends : &here);
}

static int bind_inputs(struct tt_graph *graph, const cJSON *json, const struct place *place, struct tt_node *node,
                       struct tt_error *error)
{
    const char *name;
    for (int i = 0; (name = tt_json_string_at(member(json, "in"), i)); i++) {
        int index = i < TT_OP_MAX_INPUTS ? resolve(graph, name, place) : -1;
        if (index < 0)
            return tt_fail(error, TT_EINPUT, "architecture %s: input '%s' of %s is not computed before it",
                           graph->family, name, node->component);
        node->in[i] = index;
        node->nin = i + 1;
    }
    return 0;
}

/* ---- nodes ---- */

static int wanted(const struct tt_graph *graph, const cJSON *json, const struct place *place, struct tt_error *error)
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
    return tt_graph_intern(graph, with_stack(place->stack, name, full, sizeof full));
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
    const char *op = node->op ? node->op->name : "";
    if ((strcmp(op, "qk") != 0 && strcmp(op, "pv") != 0) || node->nin < 2 || graph->nodes[node->in[1]].rank != 3)
        return 0;
    int64_t heads = node->axes[1], groups = graph->nodes[node->in[1]].axes[1];
    if (groups > 0 && heads % groups == 0)
        return 0;
    return tt_fail(error, TT_EINPUT, "%s: %s: %lld query heads cannot share %lld key heads, as the metadata says",
                   tt_model_path(graph->model), node->component, (long long)heads, (long long)groups);
}

static int add_node(struct tt_graph *graph, const cJSON *json, const struct place *place, struct tt_error *error)
{
    struct tt_node node;
    int needed = wanted(graph, json, place, error);
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

/* ---- blocks ---- */

static int add_items(struct tt_graph *graph, const cJSON *list, const struct place *place, struct tt_error *error);

static int open_carries(struct tt_graph *graph, const cJSON *block, const struct place *outer, int repetitions,
                        struct tt_error *error)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, member(block, "carry"))
    {
        const char *init = tt_json_string_at(item, 0);
        struct carry carry = {.name = item->string, .current = init ? resolve(graph, init, outer) : -1, .nat = repetitions};
        if (carry.current < 0)
            return tt_fail(error, TT_EINPUT, "architecture %s: '%s', with which carried value '%s' begins, is not computed "
                                             "before its block", graph->family, init ? init : "", item->string);
        carry.at = tt_alloc_array((size_t)repetitions + 1, sizeof *carry.at);
        graph->carries = tt_grow(graph->carries, (size_t)graph->ncarries + 1, sizeof *graph->carries);
        graph->carries[graph->ncarries++] = carry;
    }
    return 0;
}

static void note_carries(struct tt_graph *graph, int first, int count, int repetition)
{
    for (int i = first; i < first + count; i++)
        graph->carries[i].at[repetition] = graph->carries[i].current;
}

/* What the repetition just laid out hands on. */
static int turn_carries(struct tt_graph *graph, const cJSON *block, const struct place *place, int first,
                        struct tt_error *error)
{
    const cJSON *item;
    int i = first;
    cJSON_ArrayForEach(item, member(block, "carry"))
    {
        const char *next = tt_json_string_at(item, 1);
        int index = next ? resolve(graph, next, place) : -1;
        if (index < 0)
            return tt_fail(error, TT_EINPUT, "architecture %s: carried value '%s' goes on as '%s', which its block does not "
                                             "compute", graph->family, item->string, next ? next : "");
        graph->carries[i++].current = index;
    }
    return 0;
}

/* How often, and how the repetitions are numbered: as layers, or as iterations of one layer. */
static int block_places(struct tt_graph *graph, const cJSON *block, const struct place *outer, int64_t *times,
                        struct place *place, struct tt_error *error)
{
    const char *stack = text_of(block, "stack"), *index = text_of(block, "index");
    int64_t layer = 0;
    *place = (struct place){.outer = outer, .stack = stack ? tt_graph_intern(graph, stack) : outer->stack,
                            .layer = outer->layer, .iteration = outer->iteration};
    if (tt_graph_whole(graph, member(block, "repeat"), outer->layer, 0, times, error))
        return -1;
    if (*times > MAX_LAYERS)
        return tt_fail(error, TT_EINPUT, "%s: a block is repeated %lld times; at most %d are expected",
                       tt_model_path(graph->model), (long long)*times, MAX_LAYERS);
    if (index && strcmp(index, "iteration") != 0)
        return tt_fail(error, TT_EINPUT, "architecture %s: a block's index is 'iteration' or nothing", graph->family);
    if (member(block, "layer") && tt_graph_whole(graph, member(block, "layer"), outer->layer, 0, &layer, error))
        return -1;
    if (member(block, "layer"))
        place->layer = (int)layer;
    return index ? 1 : 0;
}

static int add_block(struct tt_graph *graph, const cJSON *block, const struct place *outer, struct tt_error *error)
{
    struct place place;
    int64_t times;
    int needed = wanted(graph, block, outer, error);
    if (needed <= 0)
        return needed;
    int iterates = block_places(graph, block, outer, &times, &place, error), first = graph->ncarries;
    int base = member(block, "layer") ? place.layer : 0;
    if (iterates < 0 || open_carries(graph, block, outer, (int)times, error))
        return -1;
    int ncarried = graph->ncarries - first;
    for (int i = 0; i < (int)times; i++) {
        if (iterates)
            place.iteration = i;
        else
            place.layer = base + i;
        note_carries(graph, first, ncarried, i);
        if (add_items(graph, member(block, "nodes"), &place, error) || turn_carries(graph, block, &place, first, error))
            return -1;
    }
    return 0;
}

static int add_items(struct tt_graph *graph, const cJSON *list, const struct place *place, struct tt_error *error)
{
    const cJSON *json;
    cJSON_ArrayForEach(json, list)
    {
        int failed = member(json, "repeat") ? add_block(graph, json, place, error) : add_node(graph, json, place, error);
        if (failed)
            return -1;
    }
    return 0;
}

/* Values of the first pass that later passes still read. */
static void mark_kept(struct tt_graph *graph)
{
    for (int i = 0; i < graph->nnodes; i++)
        for (int j = 0; j < graph->nodes[i].nin && !graph->nodes[i].once; j++)
            graph->nodes[graph->nodes[i].in[j]].kept = graph->nodes[graph->nodes[i].in[j]].once;
}

int tt_graph_bind(struct tt_graph *graph, struct tt_error *error)
{
    const char *arch = "";
    struct place ends = {.stack = "", .layer = -1, .iteration = -1};
    graph->scheme = tt_model_scheme(graph->model);
    tt_model_string(graph->model, "general.architecture", &arch);
    graph->arch = arch;
    graph->family = text_of(graph->json, "family");
    if (tt_graph_read_config(graph, error) || add_items(graph, member(graph->json, "graph"), &ends, error))
        return -1;
    mark_kept(graph);
    return tt_graph_add_rewrites(graph, error);
}
