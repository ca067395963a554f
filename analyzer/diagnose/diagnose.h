/* SPDX-License-Identifier: Apache-2.0
 *
 * Why is it wrong? Re-executes the span of a failed value under every wrong form that its ops and its family know, and
 * with parameters recovered from the data, and names what makes the engine's numbers right.
 */
#ifndef TT_DIAGNOSE_DIAGNOSE_H
#define TT_DIAGNOSE_DIAGNOSE_H

#include "verify/verdict.h"

struct tt_weights;

struct tt_diagnosis {
    struct tt_evaluator *evaluator;
    struct tt_graph *graph;
    const struct tt_trace *trace;
    const struct tt_trace_pass *pass;
    const struct tt_fault *known; /* faults named so far: their forms are tried first */
    int nknown;
    struct tt_weights *weights;   /* looks at the operands of calls, NULL: there are none to look at */
    const uint8_t *confirmed;     /* [nodes] 1: lies in a span that was right in this pass */
};

/* A right form with larger rounding that explains a deviation; its name, or NULL. */
const char *tt_explain_benign(const struct tt_diagnosis *diagnosis, const struct tt_observation *seen,
                              struct tt_judgement *judged);

/* Rows [ntokens] that hypotheses are tried on when there are many: the worst one, both ends, and some between. The
 * caller's; NULL: all. */
uint8_t *tt_choose_rows(const struct tt_diagnosis *diagnosis, const struct tt_observation *target,
                        const struct tt_judgement *judged);

/* Fills cause, ties, values, chi2_after, evidence and repair of `fault`, whose node, judged and chi2 are set. */
void tt_diagnose(const struct tt_diagnosis *diagnosis, const struct tt_observation *seen, struct tt_fault *fault);

#endif
