/* SPDX-License-Identifier: Apache-2.0
 *
 * A run against a reference run: where do the numbers part, and does the part before it explain that?
 */
#ifndef TT_COMPARE_COMPARE_H
#define TT_COMPARE_COMPARE_H

#include "model/arrays.h"
#include "verify/verdict.h"

#define TT_ENVELOPE 9.0  /* times the predicted NMSE that right runs may be apart: three standard deviations */
#define TT_STORED   0.18 /* NMSE of one rounding to nearest, in unit round-offs squared */

/* Adds the reference's numbers to the verdict's rows, position by position, and finds what differs in the inputs.
 * Rows that are right by themselves, downstream of a fault and away from the reference become `propagated`. Returns the
 * number of rows that had a counterpart; 0 with *error when none had (nothing in common). */
int tt_compare(struct tt_graph *graph, struct tt_verdict *verdict, struct tt_trace *trace,
               struct tt_trace *reference,
               struct tt_error *error);

/* The reference put to the same test as the run: what it computed wrongly from its own values joins the verdict's faults,
 * with side "reference". For verdicts with `apart`; returns the number of faults found. */
int tt_compare_judge_reference(struct tt_graph *graph, struct tt_verdict *verdict, struct tt_trace *reference);

/* Arrays of named tensors (hooks of another framework, saved tensors) as a trace: names are components
 * ("p0/L3.attn.q_proj") or module paths ("p0/model.layers.3.self_attn.q_proj"). NULL with *error. */
struct tt_trace *tt_trace_of_arrays(const struct tt_arrays *arrays, const struct tt_graph *graph,
                                    const struct tt_trace *like, struct tt_error *error);

#endif
