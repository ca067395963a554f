/* SPDX-License-Identifier: Apache-2.0
 *
 * The call behind a linear layer: the weight that it read against the one in the file, its alpha, and whether it computed
 * what its arguments asked for. Looking at the operand itself is surer than any re-execution.
 */
#ifndef TT_DIAGNOSE_WEIGHTS_H
#define TT_DIAGNOSE_WEIGHTS_H

#include "diagnose/hypotheses.h"
#include "tensortap/reader.h"

struct tt_weights;

/* `capture` NULL (a reference, arrays): there are no calls, and every function below does nothing. Keeps the weights that
 * overrides refer to: must outlive the evaluator. */
struct tt_weights *tt_weights_new(const struct tt_capture *capture, struct tt_graph *graph);
void tt_weights_free(struct tt_weights *weights);

/* What the calls of the span's linear layers say. */
void tt_hypotheses_of_weights(const struct tt_diagnosis *diagnosis, const int *nodes, int n, struct tt_hypotheses *out);

/* The name of a rounding of a weight in the span under which the value is right, NULL: none; `judged` then is under it. */
const char *tt_weights_benign(const struct tt_diagnosis *diagnosis, const struct tt_observation *seen, const int *nodes,
                              int n, struct tt_judgement *judged);

/* Once a cause is chosen: where the fault shows, and class "kernel" when the call itself computed wrongly. */
void tt_weights_conclude(const struct tt_diagnosis *diagnosis, const struct tt_observation *seen, struct tt_fault *fault);

#endif
