/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of a graph, shared by graph.c (questions) and bind.c (construction).
 */
#ifndef TT_GRAPH_PRIVATE_H
#define TT_GRAPH_PRIVATE_H

#include <cjson/cJSON.h>

#include "graph/graph.h"

#define MAX_CONFIG   64
#define MAX_REWRITES 32
#define MAX_CARRIES  4
#define MAX_LAYERS   4096

struct config_entry {
    const char *name;
    struct tt_scalar value;
};

struct weight_cache {
    const struct tt_model_tensor *tensor;
    struct tt_value value;
    struct weight_cache *next;
};

struct tt_graph {
    cJSON *json;
    const struct tt_model *model;
    const char *family, *scheme, *arch;
    struct config_entry config[MAX_CONFIG];
    int nconfig, nlayers, nnodes, capacity;
    struct tt_node *nodes;
    struct tt_rewrite rewrites[MAX_REWRITES];
    int nrewrites;
    struct carry {
        const char *name, *init, *next;
    } carries[MAX_CARRIES];
    int ncarries;
    struct weight_cache *weights;
    double weight_unit;
    struct interned {
        struct interned *next;
        char text[];
    } *strings;
};

/* The tensor of canonical weight `name`, through its sources of this scheme and the family's prefixes; NULL: absent. */
const struct tt_model_tensor *tt_graph_find_weight(const struct tt_graph *graph, const char *name, int layer);
int tt_graph_bind(struct tt_graph *graph, struct tt_error *error);

static inline const cJSON *member(const cJSON *json, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(json, name);
}

static inline const char *text_of(const cJSON *json, const char *name)
{
    return cJSON_GetStringValue(member(json, name));
}

#endif
