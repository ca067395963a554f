/* SPDX-License-Identifier: Apache-2.0
 *
 * How large is a model, and where? Parameters by component and layer, each tensor once however many components it serves;
 * bytes by type; what a token of context keeps; what a token makes use of where experts are chosen.
 */
#ifndef TT_INSPECT_SIZES_H
#define TT_INSPECT_SIZES_H

#include "inspect/placed.h"

struct tt_size_row {
    char component[64];             /* "attn.q_proj": its weight and bias together */
    const char *group;              /* "attention", "feed-forward", "norms", NULL: stands alone */
    int layer, nlayers;             /* first one that has it, how many; -1, 0: the model's ends */
    uint64_t least, most;           /* parameters a layer */
    uint64_t total, active;         /* active: of the experts that a token is sent to only those */
    char tied[64];                  /* to which component; "": its own tensor */
};

struct tt_sizes {
    struct tt_size_row *rows;
    int nrows;
    uint64_t total, active;         /* parameters, each tensor once */
    uint64_t blocks;                /* of them in layers */
    uint64_t embedding;             /* of them in tables that are looked up and in heads */
    uint64_t tied;                  /* not counted: parameters that serve twice */
    struct tt_size_type {
        enum tt_dtype dtype;
        uint64_t parameters, bytes;
    } types[TT_DTYPE_COUNT];
    int ntypes;
    uint64_t cache;                 /* values that a token adds to the caches of all layers */
    uint64_t windowed;              /* of them in layers that keep a window only */
    int64_t window;                 /* the widest of these windows, tokens */
    int cached_layers;
};

struct tt_sizes tt_sizes_of(const struct tt_graph *graph);
void tt_sizes_free(struct tt_sizes *sizes);

/* Values in the caches after `tokens` of context, windows considered. */
uint64_t tt_cache_values(const struct tt_graph *graph, int64_t tokens);

#endif
