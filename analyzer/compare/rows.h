/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of one run found in another: by sequence and position, so that a prompt in one pass answers for one in chunks
 * and decode steps.
 */
#ifndef TT_COMPARE_ROWS_H
#define TT_COMPARE_ROWS_H

#include "model/arrays.h"
#include "verify/trace.h"

struct tt_row_match {
    const struct tt_trace_pass *pass;
    const struct tt_observation *seen;
    int64_t row;
};

/* The row of `node` at `position` of `sequence`. The run's passes must be loaded. */
bool tt_find_row(const struct tt_trace *run, int node, int sequence, int64_t position, struct tt_row_match *out);
/* Whether all of row `row` (along the first axis) was captured. */
bool tt_row_seen(const struct tt_observation *observation, int64_t row);

/* The node's rows of `pass` as the other run has them, as an observation of `pass` in `trace`; NULL: it has none, or in
 * another shape. Passes of `run` are loaded as needed. */
struct tt_observation *tt_gather_rows(struct tt_trace *run, struct tt_trace *trace, struct tt_trace_pass *pass, int node);

/* An array as the rows of `node` at positions 0, 1, 2 …: [tokens, …] or [1, tokens, …]. NULL with *error when its size
 * does not fit. */
struct tt_trace *tt_trace_of_array(const struct tt_array *array, const struct tt_graph *graph, int node,
                                   struct tt_error *error);

#endif
