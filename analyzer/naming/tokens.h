/* SPDX-License-Identifier: Apache-2.0
 *
 * Token ids recovered from a run: which rows of the embedding table lead, through the graph's first nodes, to what the
 * first layer was seen to read.
 */
#ifndef TT_NAMING_TOKENS_H
#define TT_NAMING_TOKENS_H

#include "verify/trace.h"

/* `node`: the earliest value seen (attn_norm of layer 0, say); `rows` [ntokens, width] its values, of any number of passes.
 * Fills `tokens` [ntokens] and `margins` [ntokens], the winner's lead in cosine over the runner-up. 0 or -1 with *error. */
int tt_recover_tokens(struct tt_graph *graph, int node, const double *rows, int64_t ntokens, const int64_t *positions,
                      int32_t *tokens, double *margins, struct tt_error *error);

#endif
