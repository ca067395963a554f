/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers of a model by the names of the architecture file, and the scope in which expressions see them. An entry
 * has one value, or one a layer; entries are evaluated in order, so each may use those above it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/architecture.h"
#include "graph/private.h"

/* ---- names: {layer} and {arch} replaced ---- */

void tt_graph_expand(const struct tt_graph *graph, const char *pattern, int layer, char *out, size_t size)
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

void tt_graph_expand_key(const struct tt_graph *graph, const char *pattern, int layer, char *out, size_t size)
{
    char name[32], plain[256];
    const char *prefix;
    snprintf(name, sizeof name, "%s_keys", graph->scheme);
    tt_graph_expand(graph, pattern, layer, plain, sizeof plain);
    for (int i = 0; (prefix = tt_json_string_at(member(member(graph->json, "prefix"), name), i)); i++) {
        snprintf(out, size, "%s%s", prefix, plain);
        if (tt_model_has_key(graph->model, out))
            return;
    }
    snprintf(out, size, "%s", plain);
}

/* ---- scope ---- */

static const struct config_entry *find_config(const struct tt_graph *graph, const char *name)
{
    for (int i = 0; i < graph->nconfig; i++)
        if (strcmp(graph->config[i].name, name) == 0)
            return &graph->config[i];
    return NULL;
}

static int layer_of(const struct tt_graph_scope *scope)
{
    double layer = scope->attributes ? tt_attributes_number(scope->attributes, "layer", 0) : 0;
    return layer > 0 ? (int)layer : 0;
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
    int layer = layer_of(scope);
    if (entry && entry->nvalues)
        *out = entry->values[layer < entry->nvalues ? layer : entry->nvalues - 1];
    else if (entry || strcmp(name, "layer") == 0)
        *out = tt_scalar_number(0); /* before layer 0; outside of layers */
    return entry || strcmp(name, "layer") == 0;
}

/* has('key') asks the metadata, has(name) for a weight of this layer; config names are found by look-up. */
static bool has_name(const void *user, const char *name)
{
    const struct tt_graph_scope *scope = user;
    size_t length = strlen(name);
    char key[64];
    const struct tt_model_tensor *tensor = NULL;
    if (length > 2 && name[0] == '\'' && name[length - 1] == '\'') {
        snprintf(key, sizeof key, "%.*s", (int)length - 2, name + 1);
        return tt_graph_has_metadata(scope->graph, key);
    }
    /* Views are made as needed: the graph's content stays what it is. */
    struct tt_graph *graph = (struct tt_graph *)scope->graph;
    return tt_graph_bind_weight(graph, name, layer_of(scope), &tensor, NULL) == 0 && tensor != NULL;
}

struct tt_scope tt_graph_scope(const struct tt_graph_scope *names)
{
    return (struct tt_scope){.lookup = lookup_name, .has = has_name, .user = names};
}

void tt_layer_scope_open(struct tt_layer_scope *scope, const struct tt_graph *graph, int layer, int iteration)
{
    *scope = (struct tt_layer_scope){.names = {.graph = graph}};
    if (layer >= 0)
        tt_attributes_set_number(&scope->attributes, "layer", layer);
    if (iteration >= 0)
        tt_attributes_set_number(&scope->attributes, "iteration", iteration);
    scope->names.attributes = &scope->attributes;
    scope->scope = tt_graph_scope(&scope->names);
}

int tt_graph_evaluate(const struct tt_graph *graph, const char *text, int layer, struct tt_scalar *out,
                      struct tt_error *error)
{
    struct tt_layer_scope scope;
    tt_layer_scope_open(&scope, graph, layer, -1);
    return tt_expression(text, &scope.scope, out, error);
}

int tt_graph_whole(const struct tt_graph *graph, const cJSON *json, int layer, int64_t least, int64_t *out,
                   struct tt_error *error)
{
    struct tt_scalar value = tt_scalar_number(cJSON_IsNumber(json) ? json->valuedouble : NAN);
    const char *text = cJSON_GetStringValue(json);
    if (text && tt_graph_evaluate(graph, text, layer, &value, error))
        return -1;
    if (value.is_string || !(value.number >= (double)least && value.number <= 1e15) || value.number != floor(value.number))
        return tt_fail(error, TT_EINPUT, "%s: %s is %g by the metadata; a whole number from %lld on is needed",
                       tt_model_path(graph->model), text ? text : "a length", value.number, (long long)least);
    *out = (int64_t)value.number;
    return 0;
}

/* ---- values ---- */

bool tt_graph_has_metadata(const struct tt_graph *graph, const char *key)
{
    char expanded[256];
    double number;
    const char *string;
    tt_graph_expand_key(graph, key, 0, expanded, sizeof expanded);
    return tt_model_number(graph->model, expanded, &number) || tt_model_string(graph->model, expanded, &string) ||
           tt_model_array_length(graph->model, expanded) > 0;
}

static bool array_metadata(const struct tt_graph *graph, const char *key, size_t index, struct tt_scalar *out)
{
    const char *string;
    size_t length;
    if (tt_model_array_number(graph->model, key, index, &out->number)) {
        out->is_string = false;
        return true;
    }
    if (!tt_model_array_string(graph->model, key, index, &string, &length))
        return false;
    *out = (struct tt_scalar){.is_string = true};
    snprintf(out->text, sizeof out->text, "%.*s", (int)(length < sizeof out->text ? length : sizeof out->text - 1), string);
    return true;
}

/* "name=value" given for this name: a number, or else text. */
static bool given(const struct tt_graph *graph, const char *name, struct tt_scalar *out)
{
    size_t length = strlen(name);
    for (const char *const *set = graph->options.sets; set && *set; set++) {
        char *end;
        if (strncmp(*set, name, length) != 0 || (*set)[length] != '=')
            continue;
        *out = tt_scalar_string(*set + length + 1);
        double number = strtod(*set + length + 1, &end);
        if (!*end && end != *set + length + 1)
            *out = tt_scalar_number(number);
        return true;
    }
    return false;
}

/* A metadata key of the model; an array gives the layer's element, its last one behind its end. */
static bool metadata(const struct tt_graph *graph, const char *key, int layer, struct tt_scalar *out)
{
    char expanded[256];
    const char *string;
    tt_graph_expand(graph, key, layer, expanded, sizeof expanded);
    if (given(graph, expanded, out))
        return true;
    tt_graph_expand_key(graph, key, layer, expanded, sizeof expanded);
    if (given(graph, expanded, out))
        return true;
    if (tt_model_number(graph->model, expanded, &out->number)) {
        out->is_string = false;
        return true;
    }
    size_t length = tt_model_array_length(graph->model, expanded);
    if (length > 0)
        return array_metadata(graph, expanded, (size_t)layer < length ? (size_t)layer : length - 1, out);
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

static bool counted(const struct tt_graph *graph, const cJSON *entry, struct tt_scalar *out)
{
    char name[32], expanded[256];
    const char *key;
    snprintf(name, sizeof name, "%s_count", graph->scheme);
    for (int i = 0; (key = tt_json_string_at(member(entry, name), i)); i++) {
        tt_graph_expand_key(graph, key, 0, expanded, sizeof expanded);
        size_t length = tt_model_array_length(graph->model, expanded);
        if (length > 0) {
            *out = tt_scalar_number((double)length);
            return true;
        }
    }
    return false;
}

static int rows_of(struct tt_graph *graph, const char *weight, struct tt_scalar *out, struct tt_error *error)
{
    const struct tt_model_tensor *tensor;
    if (tt_graph_bind_weight(graph, weight, 0, &tensor, error))
        return -1;
    if (tensor)
        *out = tt_scalar_number((double)tensor->shape[0]);
    return tensor ? 1 : 0;
}

static int missing(const struct tt_graph *graph, const cJSON *entry, struct tt_error *error)
{
    const char *key = tt_json_string_at(member(entry, graph->scheme), 0), *weight = text_of(entry, "rows_of");
    if (weight)
        return tt_fail(error, TT_EINPUT, "%s: tensor %s is missing; is this a complete model?", tt_model_path(graph->model),
                       tt_json_string_at(member(member(member(graph->json, "weights"), weight), graph->scheme), 0));
    return tt_fail(error, TT_EINPUT, "%s: metadata has no '%s', which family %s needs", tt_model_path(graph->model),
                   key ? key : entry->string, graph->family);
}

static bool is_given(const struct tt_graph *graph, const cJSON *entry, int layer)
{
    const char *key;
    struct tt_scalar value;
    for (int i = 0; (key = tt_json_string_at(member(entry, graph->scheme), i)); i++) {
        char expanded[256];
        tt_graph_expand(graph, key, layer, expanded, sizeof expanded);
        if (given(graph, expanded, &value))
            return true;
    }
    return false;
}

/* What the family means by null in a key of this entry ("hf_null"); without it null is as if the key were absent. */
static const char *meaning_of_null(const struct tt_graph *graph, const cJSON *entry, const char *key)
{
    char name[32], expanded[256];
    snprintf(name, sizeof name, "%s_null", graph->scheme);
    tt_graph_expand_key(graph, key, 0, expanded, sizeof expanded);
    return tt_model_key_is_null(graph->model, expanded) ? text_of(entry, name) : NULL;
}

/* Numbers were replaced: this entry was what its default says although the metadata states it, and the default says
 * something else now. A head size that is hidden / heads stays so. */
static bool follows_default(struct tt_graph *graph, const cJSON *entry, int layer, struct tt_scalar *out)
{
    struct tt_scalar before;
    const char *text = text_of(entry, "default");
    const struct config_entry *was = graph->before && text ? find_config(graph->before, entry->string) : NULL;
    if (!was || layer >= was->nvalues || was->values[layer].is_string || is_given(graph, entry, layer) ||
        tt_graph_evaluate(graph->before, text, layer, &before, NULL) || before.is_string ||
        before.number != was->values[layer].number || tt_graph_evaluate(graph, text, layer, out, NULL))
        return false;
    return out->is_string || out->number != before.number;
}

/* What holds where the metadata says nothing: that of this kind of file, or of all. */
static const char *default_of(const struct tt_graph *graph, const cJSON *entry)
{
    char name[32];
    snprintf(name, sizeof name, "%s_default", graph->scheme);
    const char *own = text_of(entry, name);
    return own ? own : text_of(entry, "default");
}

/* 1: the metadata states it; 0: no; -1: error. */
static int from_metadata(const struct tt_graph *graph, const cJSON *entry, int layer, struct tt_scalar *out,
                         const char **source, struct tt_error *error)
{
    const char *key, *text;
    for (int i = 0; (key = tt_json_string_at(member(entry, graph->scheme), i)); i++) {
        *source = key;
        if (metadata(graph, key, layer, out)) {
            map_value(entry, out);
            return 1;
        }
        if ((text = meaning_of_null(graph, entry, key)))
            return tt_graph_evaluate(graph, text, layer, out, error) ? -1 : 1;
    }
    return 0;
}

/* Order: set by the user, fixed by the scheme, rows of a weight, metadata, length of an array, default. */
static int config_value(struct tt_graph *graph, const cJSON *entry, int layer, struct tt_scalar *out, const char **source,
                        struct tt_error *error)
{
    char is[32];
    const char *text;
    snprintf(is, sizeof is, "%s_is", graph->scheme);
    *source = "set";
    if (given(graph, entry->string, out))
        return 0;
    *source = "defined by the family";
    if ((text = text_of(entry, is)))
        return tt_graph_evaluate(graph, text, layer, out, error);
    int found = (text = text_of(entry, "rows_of")) ? rows_of(graph, text, out, error) : 0;
    *source = "shape of a tensor";
    if (found)
        return found < 0 ? -1 : 0;
    *source = "computed anew";
    if (follows_default(graph, entry, layer, out))
        return 0;
    int stated = from_metadata(graph, entry, layer, out, source, error);
    if (stated)
        return stated < 0 ? -1 : 0;
    *source = "length of an array";
    if (counted(graph, entry, out))
        return 0;
    *source = "default";
    if ((text = default_of(graph, entry)))
        return tt_graph_evaluate(graph, text, layer, out, error);
    return missing(graph, entry, error);
}

/* The entry is there while its values are found: by its own name an expression sees the layer before,
 * 0 before the first. */
static int read_values(struct tt_graph *graph, const cJSON *json, int index, int count, struct tt_error *error)
{
    for (int i = 0; i < count; i++) {
        struct tt_scalar value;
        const char *source;
        if (config_value(graph, json, i, &value, &source, error))
            return -1;
        struct config_entry *entry = &graph->config[index];
        entry->values[i] = value;
        entry->nvalues = i + 1;
        entry->source = source;
    }
    return 0;
}

static int read_entry(struct tt_graph *graph, const cJSON *json, struct tt_error *error)
{
    int count = cJSON_IsTrue(member(json, "per_layer")) ? graph->nlayers : 1;
    if (count < 1)
        return tt_fail(error, TT_EINPUT, "architecture %s: 'layers' must stand above the per-layer entry '%s'",
                       graph->family, json->string);
    graph->config = tt_grow(graph->config, (size_t)graph->nconfig + 1, sizeof *graph->config);
    graph->config[graph->nconfig] = (struct config_entry){.name = json->string};
    graph->config[graph->nconfig].values = tt_alloc_array((size_t)count, sizeof *graph->config->values);
    return read_values(graph, json, graph->nconfig++, count, error);
}

static int read_layers(struct tt_graph *graph, struct tt_error *error)
{
    double layers = 0;
    if (!tt_graph_config(graph, "layers", &layers) || !(layers >= 1 && layers <= MAX_LAYERS))
        return tt_fail(error, TT_EINPUT, "%s: %g layers; between 1 and %d were expected",
                       tt_model_path(graph->model), layers, MAX_LAYERS);
    graph->nlayers = (int)layers;
    return 0;
}

/* The configuration without what the user sets; stays NULL when that is none. */
static void read_before(struct tt_graph *graph)
{
    if (!graph->options.sets || !*graph->options.sets)
        return;
    struct tt_graph *before = tt_alloc(sizeof *before);
    *before = (struct tt_graph){.json = graph->json, .model = graph->model, .family = graph->family,
                                .scheme = graph->scheme, .arch = graph->arch, .options = {.bare = true}};
    if (tt_graph_read_config(before, NULL) == 0)
        graph->before = before;
    else
        tt_graph_free_before(before);
}

int tt_graph_read_config(struct tt_graph *graph, struct tt_error *error)
{
    read_before(graph);
    const cJSON *entry;
    cJSON_ArrayForEach(entry, member(graph->json, "config"))
    {
        if (read_entry(graph, entry, error))
            return -1;
        if (strcmp(entry->string, "layers") == 0 && read_layers(graph, error))
            return -1;
    }
    graph->sized = true;
    return read_layers(graph, error);
}
