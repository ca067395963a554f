/* SPDX-License-Identifier: Apache-2.0
 *
 * Faults of what a run was given: tokens.
 */
#ifndef TT_DIAGNOSE_INPUTS_H
#define TT_DIAGNOSE_INPUTS_H

#include "verify/verdict.h"

/* The token that the last row of the logits asks for; -1: not seen. The pass must be loaded. */
int32_t tt_greedy_token(const struct tt_graph *graph, const struct tt_trace_pass *pass);

/* Greedy decoding feeds back the largest logit. Where every recovered token is off by the same distance instead, the
 * table was read at the wrong row. Sampling gives no such pattern and stays silent. */
void tt_check_tokens(struct tt_verdict *verdict);

/* Puts "token `found` was read where `expected` was due" first. `shifted`: all tokens by the same distance. */
void tt_add_token_fault(struct tt_verdict *verdict, const struct tt_trace_pass *pass, int64_t at, int32_t found,
                        int32_t expected, bool shifted);

#endif
