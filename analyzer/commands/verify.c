/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap verify: every op of a run re-executed from its own operands.
 */
#include "commands/analysis.h"
#include "diagnose/walk.h"

static int run_verify(struct tt_context *context)
{
    struct tt_analysis analysis = {0};
    int status = tt_analysis_open(context, 0, &analysis);
    if (!status) {
        struct tt_verify_options options = {.stop_at_first = context->stop_at_first};
        struct tt_verdict *verdict = tt_verify(analysis.graph, analysis.trace, &options);
        status = tt_analysis_report(context, &analysis, verdict, NULL);
        tt_verdict_free(verdict);
    }
    tt_analysis_close(&analysis);
    return status;
}

static const struct tt_option options[] = {
    {"tokens", 't', TT_OPTION_TEXT, "IDS", "token ids of the prompt, when they need not be recovered", NULL, NULL},
    {"rows", 0, TT_OPTION_FLAG, NULL, "every value with its numbers instead of the ladder", NULL, NULL},
    {0},
};

const struct tt_command tt_command_verify = {
    .name = "verify",
    .summary = "re-execute every op from its own operands; name faults and causes",
    .usage = "[options] CAPTURE [--model MODEL]",
    .description = "Each value that was captured is recomputed in double precision from what the engine itself had just "
                   "before, and judged by how far a right engine of its precision may be off. The first fault printed is "
                   "the first divergence.\n\nExit status: 0 match, 1 mismatch, 2 bad input, 3 not everything was measured.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run_verify,
};
