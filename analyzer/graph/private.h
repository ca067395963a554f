/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of a graph, shared by the files of this folder: graph.c (questions), config.c (numbers of the model),
 * weights.c and views.c (where weights come from), bind.c (nodes and blocks), rewrites.c.
 */
#ifndef TT_GRAPH_PRIVATE_H
#define TT_GRAPH_PRIVATE_H

#include <cjson/cJSON.h>

#include "graph/graph.h"

#define MAX_REWRITES 32
#define MAX_LAYERS   4096
#define MAX_NODES    (1 << 17) /* blocks within loops multiply */

struct config_entry {
    const char *name;
    struct tt_scalar *values; /* [nvalues] one for all layers, or one a layer (the last one counts for all behind it) */
    int nvalues;
    const char *source;       /* where the value is from: a metadata key, "default", "set"; for display */
};

struct weight_cache {
    const struct tt_model_tensor *tensor;
    struct tt_value value;
    struct weight_cache *next; /* used longer ago */
};

/* A value that goes from one repetition of a block to the next. */
struct carry {
    const char *name;
    int current; /* node that has it now, while nodes are laid out; afterwards that of the last repetition */
    int *at;     /* [layers] node that repetition `layer` of the block reads, -1: none */
    int nat;
};

/* Where nodes are being laid out: the model's ends, and each block around the current node. */
struct place {
    const struct place *outer;
    const char *stack; /* "" or "enc": prefix of component names */
    int layer, iteration;
};

/* A tensor made for the graph: slice, transpose, stack, numbers from the metadata. */
struct made_tensor {
    struct made_tensor *next;
    const char *name; /* canonical name of the weight it serves; interned */
    int layer;
    struct tt_model_tensor tensor;
};

struct tt_graph {
    cJSON *json;
    const struct tt_model *model;
    const char *family, *scheme, *arch;
    struct config_entry *config;
    int nconfig, nlayers, nnodes, capacity;
    struct tt_node *nodes;
    struct tt_rewrite rewrites[MAX_REWRITES];
    int nrewrites;
    struct carry *carries;
    int ncarries;
    struct made_tensor *made;
    struct tt_graph_options options;
    struct tt_graph *before; /* no more than the configuration, without options.sets; NULL: there are none */
    bool sized; /* the configuration is read: shapes can be evaluated */
    struct weight_cache *weights;
    double weight_unit;
    struct interned {
        struct interned *next;
        char text[];
    } *strings;
};

/* config.c */
struct tt_layer_scope { /* names of the config as seen from a layer */
    struct tt_attributes attributes;
    struct tt_graph_scope names;
    struct tt_scope scope;
};
void tt_layer_scope_open(struct tt_layer_scope *scope, const struct tt_graph *graph, int layer, int iteration);
/* `text` as seen from a layer (-1: the model's ends). */
int tt_graph_evaluate(const struct tt_graph *graph, const char *text, int layer, struct tt_scalar *out,
                      struct tt_error *error);
/* The same for a JSON string or number that must give a whole number of at least `least`. */
int tt_graph_whole(const struct tt_graph *graph, const cJSON *json, int layer, int64_t least, int64_t *out,
                   struct tt_error *error);
void tt_graph_expand(const struct tt_graph *graph, const char *pattern, int layer, char *out, size_t size);
/* The same for a key of the metadata: with the first of the family's prefixes of keys ("prefix": {"<scheme>_keys"}) with
 * which the model has it, else as it is. */
void tt_graph_expand_key(const struct tt_graph *graph, const char *pattern, int layer, char *out, size_t size);
int tt_graph_read_config(struct tt_graph *graph, struct tt_error *error);
void tt_graph_free_before(struct tt_graph *before); /* graph.c */
/* Does metadata have this key (number, string or array)? */
bool tt_graph_has_metadata(const struct tt_graph *graph, const char *key);

/* weights.c: the tensor of canonical weight `name`, through its sources of this scheme and the family's prefixes. *out NULL:
 * there is none. */
int tt_graph_bind_weight(struct tt_graph *graph, const char *name, int layer, const struct tt_model_tensor **out,
                         struct tt_error *error);

/* views.c: steps of a view, each on what the ones before left */
struct tt_strided {
    const struct tt_model_tensor *base;
    int rank;
    int64_t shape[8], stride[8], offset; /* elements of the base */
};
void tt_strided_whole(struct tt_strided *view, const struct tt_model_tensor *base);
int tt_strided_transpose(struct tt_strided *view);
int tt_strided_reshape(struct tt_strided *view, int rank, const int64_t *shape); /* -1: would need a copy */
int tt_strided_take(struct tt_strided *view, int axis, int64_t first, int64_t count, int64_t step);
/* The tensor of that view in `shape` [rank]; parts of plain tensors that lie in one piece stay plain. Heap arrays hang on
 * tensor->form. */
void tt_strided_tensor(const struct tt_strided *view, int rank, const int64_t *shape, struct tt_model_tensor *out);
/* Tensors of equal shape along a new first axis. */
void tt_stacked_tensor(const struct tt_model_tensor *const *parts, int64_t n, struct tt_model_tensor *out);
void tt_made_tensor_free(struct tt_model_tensor *tensor);

/* names.c: the node that one input of an architecture file means at a place; -1: none. */
int tt_graph_resolve_at(const struct tt_graph *graph, const char *text, const struct place *place);
/* `name` with the prefix of its stack; in `out` [size] where that takes making. */
const char *tt_with_stack(const char *stack, const char *name, char *out, size_t size);

/* node.c: is the node or block there in this model (its `when`)? 1, 0 or -1. */
int tt_graph_wanted(const struct tt_graph *graph, const cJSON *json, const struct place *place, struct tt_error *error);
int tt_graph_add_node(struct tt_graph *graph, const cJSON *json, const struct place *place, struct tt_error *error);

/* bind.c */
int tt_graph_bind(struct tt_graph *graph, struct tt_error *error);
int tt_graph_add_rewrites(struct tt_graph *graph, struct tt_error *error);

static inline const cJSON *member(const cJSON *json, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(json, name);
}

static inline const char *text_of(const cJSON *json, const char *name)
{
    return cJSON_GetStringValue(member(json, name));
}

#endif
