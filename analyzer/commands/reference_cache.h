/* SPDX-License-Identifier: Apache-2.0
 *
 * References that were made once: $XDG_CACHE_HOME/tensortap/references/<digest of model and tokens>.
 */
#ifndef TT_COMMANDS_REFERENCE_CACHE_H
#define TT_COMMANDS_REFERENCE_CACHE_H

#include "commands/command.h"
#include "graph/graph.h"

/* Path of the reference run of these tokens in one pass, made when it is not there; the caller's. NULL with *error. */
char *tt_reference_cached(struct tt_context *context, struct tt_graph *graph, const int32_t *tokens, int64_t count,
                          struct tt_error *error);

#endif
