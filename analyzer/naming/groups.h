/* SPDX-License-Identifier: Apache-2.0
 *
 * Products grouped into passes, and each linear layer's products found among them.
 */
#ifndef TT_NAMING_GROUPS_H
#define TT_NAMING_GROUPS_H

#include "naming/products.h"

struct tt_groups {
    int count;
    struct tt_group {
        size_t first, last; /* products [first, last] in which its named ones lie */
    } *items;
};

/* Sets node and pass of every product that is a linear layer's. */
struct tt_groups tt_group_products(const struct tt_graph *graph, struct tt_products *products);
void tt_groups_free(struct tt_groups *groups);

/* The product named `node` in `pass`, NULL: none. */
struct tt_product *tt_group_find(const struct tt_products *products, const struct tt_groups *groups, int pass,
                                 int node);
bool tt_same_operand(const struct tt_operand *a, const struct tt_operand *b); /* same bytes, as far as known */

#endif
