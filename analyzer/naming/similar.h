/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights recognised by their values when neither place nor digest tells: converted on loading, rounded, requantised.
 */
#ifndef TT_NAMING_SIMILAR_H
#define TT_NAMING_SIMILAR_H

#include "graph/graph.h"
#include "tensortap/reader.h"

struct tt_similarity {
    const struct tt_model_tensor *tensor;
    double unit;           /* the operand is the tensor rounded to this round-off, 0: to none that is known */
    const char *transform; /* static */
};

struct tt_similar;
struct tt_similar *tt_similar_new(const struct tt_graph *graph);
void tt_similar_free(struct tt_similar *similar);

/* The one linear weight that has the operand's extents (or their exchange, or more columns) and, on a sample, nearly
 * its values. */
bool tt_similar_find(struct tt_similar *similar, const struct tt_capture *capture, const struct tt_operand *operand,
                     struct tt_similarity *found);

#endif
