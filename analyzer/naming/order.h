/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights in the wrong place, told by time: nothing is computed before what it is computed from.
 */
#ifndef TT_NAMING_ORDER_H
#define TT_NAMING_ORDER_H

#include "naming/products.h"

struct tt_ancestry { /* bit j of row i: node j is an ancestor of node i */
    int nodes, words;
    uint64_t *bits;
};

struct tt_ancestry tt_ancestry_of(const struct tt_graph *graph);
bool tt_is_ancestor(const struct tt_ancestry *ancestry, int node, int of);
void tt_ancestry_free(struct tt_ancestry *ancestry);

/* Drops the candidates of products whose weight says that they are a layer which, in this pass, cannot have been computed
 * yet or must have been computed already: layers that hold each other's weights. The fewest that make the order possible. */
void tt_distrust_order(const struct tt_ancestry *ancestry, struct tt_products *products);

#endif
