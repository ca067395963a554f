/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights in the wrong place, told by time: nothing is computed before what it is computed from.
 */
#ifndef TT_NAMING_ORDER_H
#define TT_NAMING_ORDER_H

#include "naming/products.h"

/* Drops the candidates of products whose weight says that they are a layer which, in this pass, cannot have been computed
 * yet or must have been computed already: layers that hold each other's weights. The fewest that make the order possible. */
void tt_distrust_order(const struct tt_graph *graph, struct tt_products *products);

#endif
