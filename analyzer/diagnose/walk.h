/* SPDX-License-Identifier: Apache-2.0
 *
 * From a trace to a verdict.
 */
#ifndef TT_DIAGNOSE_WALK_H
#define TT_DIAGNOSE_WALK_H

#include "verify/verdict.h"

struct tt_verify_options {
    const struct tt_capture *capture; /* whose calls the trace's observations name, NULL: none */
    bool stop_at_first;
};

/* Every value seen in `trace` against what the graph says it should have been. The trace must outlive the verdict. */
struct tt_verdict *tt_verify(struct tt_graph *graph, struct tt_trace *trace,
                             const struct tt_verify_options *options);

#endif
