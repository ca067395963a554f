/* SPDX-License-Identifier: Apache-2.0
 *
 * --input of `ref`: values that a model takes beside its tokens.
 */
#ifndef TT_COMMANDS_REF_INPUTS_H
#define TT_COMMANDS_REF_INPUTS_H

#include "commands/command.h"
#include "verify/trace.h"

#define TT_INPUT_OPTION \
    {"input", 0, TT_OPTION_LIST, "NAME=FILE[#KEY]", "a value the model takes beside tokens, as audio=features.npy", NULL, NULL}

struct tt_ref_inputs;

/* Reads every --input and hands them to all passes of `trace`, which must not outlive *out. -1 with context->error when one
 * cannot be read, is unknown to the model, or is missing; *out is to be freed in either case. */
int tt_ref_inputs_open(struct tt_context *context, const struct tt_graph *graph, struct tt_trace *trace,
                       struct tt_ref_inputs **out);
void tt_ref_inputs_free(struct tt_ref_inputs *inputs);

/* -1 with context->error when several passes follow each other in a model whose passes know nothing of each other. */
int tt_ref_check_passes(struct tt_context *context, const struct tt_graph *graph, const struct tt_trace *trace, int64_t steps);

#endif
