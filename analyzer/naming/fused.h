/* SPDX-License-Identifier: Apache-2.0
 *
 * One product with the weights of several layers that read the same value: q, k and v, or gate and up.
 */
#ifndef TT_NAMING_FUSED_H
#define TT_NAMING_FUSED_H

#include "naming/products.h"

/* Puts the products of single layers in the place of those whose weight is made of several, rows below rows. */
void tt_products_split(const struct tt_capture *capture, const struct tt_graph *graph, struct tt_products *products);

#endif
