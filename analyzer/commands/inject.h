/* SPDX-License-Identifier: Apache-2.0
 *
 * --inject of `ref` and `compare`.
 */
#ifndef TT_COMMANDS_INJECT_H
#define TT_COMMANDS_INJECT_H

#include "commands/counterpart.h"
#include "compare/inject.h"
#include "verify/reference.h"

#define TT_INJECT_OPTION(argument, help) {"inject", 0, TT_OPTION_LIST, argument, help, NULL, NULL}

struct tt_ref_injections;

/* `ref`: every --inject NAME=FILE[#KEY] or NAME@CAPTURE; fills `how`. *out NULL: none was asked for. 0 or -1 with
 * context->error; *out is to be freed in either case, after the run. */
int tt_ref_injections_open(struct tt_context *context, struct tt_graph *graph, const struct tt_trace *inputs,
                           struct tt_reference_options *how, struct tt_ref_injections **out);
/* Says what was replaced; an injection that met no row is an error. */
int tt_ref_injections_report(struct tt_context *context, const struct tt_ref_injections *injections);
void tt_ref_injections_free(struct tt_ref_injections *injections);

/* `compare --inject NAME`: does the rest agree when the reference takes this value from the run? Prints; the exit status, or
 * -1 with context->error. */
int tt_compare_injected(struct tt_context *context, const struct tt_analysis *run, const struct tt_trace *reference,
                        const char *name);

#endif
