/* SPDX-License-Identifier: Apache-2.0
 *
 * A model as a graph of primitives: an architecture file (data) bound to a model's metadata and tensors.
 * Naming, reference, verification and diagnosis all walk this one list of nodes, which is in execution order.
 */
#ifndef TT_GRAPH_GRAPH_H
#define TT_GRAPH_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "graph/expression.h"
#include "model/model.h"
#include "ops/op.h"

#define TT_AXIS_TOKEN (-1) /* axes whose extent belongs to the pass, not to the model */
#define TT_AXIS_KEY   (-2)
#define TT_AXIS_CHUNKS(size) (-2 - (int64_t)(size)) /* groups of `size` tokens, the last one filled up */

/* What an extent of a node means in a pass. */
static inline int64_t tt_axis_length(int64_t extent, int64_t ntokens, int64_t nkeys)
{
    if (extent >= 0)
        return extent;
    if (extent == TT_AXIS_TOKEN || extent == TT_AXIS_KEY)
        return extent == TT_AXIS_TOKEN ? ntokens : nkeys;
    return (ntokens + (-2 - extent) - 1) / (-2 - extent);
}

struct tt_node {
    const char *component; /* canonical name, "attn.q_proj"; interned in the graph */
    const char *blame;     /* component to which a fault here belongs; differs for internal nodes */
    const char *stack;     /* "": the main one; "enc": component names begin with "enc." */
    int layer;             /* -1 outside the repeated block */
    int iteration;         /* of a loop, -1 outside */
    int place;             /* grows with each layer, iteration or end in execution order */
    const struct tt_op *op; /* NULL for state nodes */
    bool state;            /* KV cache: rows of earlier passes, then those of in[0] */
    bool once;             /* evaluated in a sequence's first pass only, later passes see the same value */
    bool kept;             /* such a value that later passes read */
    bool internal;         /* no canonical component: never reported on its own */
    bool optional_end;     /* not needed for `match` (pooler) */
    int nin;
    int in[TT_OP_MAX_INPUTS]; /* node indices */
    int rank;              /* axes of the value, tokens included */
    int64_t axes[TT_VALUE_RANK]; /* extents, or TT_AXIS_* */
    struct tt_attributes attributes; /* evaluated */
    const struct tt_model_tensor *weight[TT_OP_MAX_WEIGHTS]; /* by op->weight_roles */
    const char *weight_name[TT_OP_MAX_WEIGHTS];              /* canonical: "attn.q_proj.weight" */
    const char *hf;        /* module path whose output it is, NULL: none */
};

/* One row for each token of the pass. */
static inline bool tt_node_by_token(const struct tt_node *node)
{
    return node->rank > 0 && node->axes[0] == TT_AXIS_TOKEN;
}

/* A wrong form that is a matter of wiring: inputs and attributes of named nodes replaced together. */
struct tt_rewrite {
    const char *cause;
    const char *at;        /* component that is to blame */
    const char *found;
    int nsets;
    struct tt_rewrite_set {
        const char *component;
        int nin;           /* -1: inputs stay */
        const char *in[TT_OP_MAX_INPUTS]; /* components of the same layer, or carried values */
        const char *as;    /* component of the same layer whose op (and attributes) is applied instead, may be NULL */
        const char *attributes; /* assignments, may be NULL */
    } sets[4];
};

struct tt_graph;

/* Finds the architecture file that selects this model and binds it. NULL with one line in *error. The model must
 * outlive the graph. */
struct tt_graph *tt_graph_new(const struct tt_model *model, struct tt_error *error);
/* The same for a model of which there is no more than its configuration (weights have shapes, no values), or with numbers
 * of it replaced. */
struct tt_graph_options {
    bool bare;               /* tensors may be absent */
    const char *const *sets; /* "name=value" by config name or metadata key, NULL at the end; may be NULL */
};
struct tt_graph *tt_graph_new_with(const struct tt_model *model, const struct tt_graph_options *options,
                                   struct tt_error *error);
void tt_graph_free(struct tt_graph *graph);

const char *tt_graph_family(const struct tt_graph *graph);
const struct tt_model *tt_graph_model(const struct tt_graph *graph);
int tt_graph_nlayers(const struct tt_graph *graph);
int tt_graph_nnodes(const struct tt_graph *graph);
const struct tt_node *tt_graph_node(const struct tt_graph *graph, int index);
int tt_graph_find(const struct tt_graph *graph, const char *component, int layer); /* -1: none; of a loop the first */
int tt_graph_find_at(const struct tt_graph *graph, const char *component, int layer, int iteration);
/* Node of `name` as a node of `layer` would refer to it (same layer, carried value, model's ends). */
int tt_graph_resolve(const struct tt_graph *graph, const char *name, int layer);

bool tt_graph_config(const struct tt_graph *graph, const char *name, double *out); /* a number; of per-layer entries layer 0's */
/* Config entries in the order of the architecture file. */
struct tt_graph_config_entry {
    const char *name;
    const struct tt_scalar *values; /* [nvalues]; one for all layers, or one a layer */
    int nvalues;
    const char *source;             /* "num_hidden_layers", "default", "set", … */
};
int tt_graph_nconfig(const struct tt_graph *graph);
struct tt_graph_config_entry tt_graph_config_at(const struct tt_graph *graph, int index);
/* Canonical weights that the family declares for layer (-1: the model's ends, and those of layer 0 count too): the tensor
 * that serves `name` there, NULL: none (optional, or not of this layer). */
const struct tt_model_tensor *tt_graph_weight_tensor(struct tt_graph *graph, const char *name, int layer);
/* -1 with the line when the tensor has another shape than the family declares; a bare graph binds it all the same. */
int tt_graph_check_weight(const struct tt_graph *graph, const char *name, int layer, const struct tt_model_tensor *tensor,
                          struct tt_error *error);
/* False: a bare graph's tensor, which has a shape and nothing else. */
bool tt_tensor_has_values(const struct tt_model_tensor *tensor);
/* Whether some weight of the graph is this tensor of the file, a part of it, or put together from it. */
bool tt_graph_reads(const struct tt_graph *graph, const struct tt_model_tensor *tensor);
/* Config names, for expressions; attributes of `node` first when node >= 0. */
struct tt_graph_scope {
    const struct tt_graph *graph;
    const struct tt_attributes *attributes;
};
struct tt_scope tt_graph_scope(const struct tt_graph_scope *names);

/* A copy of `text` that lives as long as the graph, one for equal texts. */
const char *tt_graph_intern(struct tt_graph *graph, const char *text);

int tt_graph_nrewrites(const struct tt_graph *graph);
const struct tt_rewrite *tt_graph_rewrite(const struct tt_graph *graph, int index);

/* Of a weight [out, in] that is made of whole rows of a matrix of the file (its `base`): which ones, rows [out]. False: it is
 * not such a part. */
bool tt_tensor_base_rows(const struct tt_model_tensor *tensor, int64_t *rows);

/* The weight as f64; NULL with *error when it has no decoder. Valid until tt_graph_release_weights or until many others
 * were asked for: those used latest are kept, up to a budget. */
const struct tt_value *tt_graph_weight(struct tt_graph *graph, const struct tt_model_tensor *tensor,
                                       struct tt_error *error);
/* A part of it, row-major, into `out`: for weights that are too large to be held. */
int tt_graph_read_weight(const struct tt_graph *graph, const struct tt_model_tensor *tensor, uint64_t first, uint64_t count,
                         double *out, struct tt_error *error);
/* From now on weights are rounded to this round-off (0: not), as an engine does that loads them into a narrower type. */
void tt_graph_round_weights(struct tt_graph *graph, double unit);
void tt_graph_release_weights(struct tt_graph *graph);

/* "L3.attn.q_proj", "final_norm"; internal nodes have the address of the component they belong to. */
struct tt_address {
    char text[96];
};
struct tt_address tt_node_address(const struct tt_node *node);

/* Folder with the project's data files, found beside the executable, installed, or in the source tree. */
const char *tt_data_directory(void);

#endif
