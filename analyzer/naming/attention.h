/* SPDX-License-Identifier: Apache-2.0
 *
 * The attention products of one layer of one pass: one q·kᵀ and one p·v for each sequence and head.
 */
#ifndef TT_NAMING_ATTENTION_H
#define TT_NAMING_ATTENTION_H

#include "naming/groups.h"

struct tt_attention {
    int qk, pv, out;    /* nodes: products with keys and values, the linear layer that reads the context */
    int heads;
    int sequences;      /* 0: the products of this layer were not seen one by one */
    int64_t keys;       /* cached rows each sequence sees, this pass's included */
    struct tt_product **qk_of, **pv_of; /* [sequences * heads] */
};

/* The layer's attention nodes; false when the layer has none. */
bool tt_attention_nodes(const struct tt_graph *graph, int layer, struct tt_attention *attention);

/* Finds the products between the pass's products; `attention` as filled by tt_attention_nodes. */
void tt_attention_find(const struct tt_capture *capture, const struct tt_graph *graph, struct tt_products *products,
                       const struct tt_groups *groups, int pass, int64_t rows, struct tt_attention *attention);
void tt_attention_free(struct tt_attention *attention);

#endif
