/* SPDX-License-Identifier: Apache-2.0
 *
 * Do two nodes compute the same? Families and files say one thing in several ways (a rope's scaling by rule or by a table
 * of factors), so nodes whose settings differ are run on the same numbers before anything is called a difference.
 */
#ifndef TT_INSPECT_BEHAVIOUR_H
#define TT_INSPECT_BEHAVIOUR_H

#include "graph/graph.h"

/* Settings that the comparison of weights accounts for: the pairing of a rope, the one that a norm adds, the factor of an
 * embedding; and what a node is told about its place. */
bool tt_accounted_for(const struct tt_node *node, const char *attribute);

/* True only when both were run and agree; false also when they cannot be run on numbers made up. */
bool tt_same_behaviour(struct tt_graph *a, const struct tt_node *in_a, struct tt_graph *b, const struct tt_node *in_b);

#endif
