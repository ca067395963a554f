/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap compare: a run against a reference run.
 */
#include "compare/compare.h"

#include "commands/counterpart.h"
#include "commands/inject.h"
#include "commands/prompt.h"
#include "diagnose/walk.h"

/* A run that is right and a reference that says otherwise: is the reference right? */
static void judge_reference(struct tt_context *context, struct tt_analysis *analysis, struct tt_verdict *verdict,
                            struct tt_trace *reference, const char *path)
{
    int apart = verdict->apart;
    if (!tt_compare_judge_reference(analysis->graph, verdict, reference))
        tt_note(context, "%d values are farther from the reference than rounding explains, though each is right on its own "
                         "operands, in the run and in %s", apart, path);
}

static int run_compare(struct tt_context *context)
{
    struct tt_analysis analysis = {0};
    struct tt_counterpart reference = {0};
    const char *path = context->args[1];
    int status = tt_analysis_open(context, 0, &analysis);
    if (!status)
        status = tt_counterpart_open(context, path, analysis.graph, analysis.trace, &reference);
    const char *injected = tt_option_text(context->options, "inject");
    if (!status && injected) {
        status = tt_compare_injected(context, &analysis, reference.trace, injected);
    } else if (!status) {
        struct tt_verify_options options = {.stop_at_first = context->stop_at_first,
                                            .capture = analysis.naming ? analysis.capture : NULL};
        struct tt_verdict *verdict = tt_verify(analysis.graph, analysis.trace, &options);
        status = tt_compare(analysis.graph, verdict, analysis.trace, reference.trace, &context->error) ? 0 : -1;
        if (!status && verdict->apart)
            judge_reference(context, &analysis, verdict, reference.trace, path);
        if (!status)
            status = tt_analysis_report(context, &analysis, verdict, path);
        tt_verdict_free(verdict);
    }
    tt_counterpart_close(&reference);
    tt_analysis_close(&analysis);
    return status;
}

static const struct tt_option options[] = {
    {"tokens", 't', TT_OPTION_TEXT, "IDS", "token ids of the prompt, when they need not be recovered", NULL, NULL},
    {"prompt", 'p', TT_OPTION_TEXT, "TEXT", "the prompt as text, made ids by the model's own tokenizer", NULL, NULL},
    TT_PROMPT_OPTIONS,
    {"rows", 0, TT_OPTION_FLAG, NULL, "every value with its numbers instead of the ladder", NULL, NULL},
    {"inject", 0, TT_OPTION_TEXT, "NAME",
     "run the reference again with this value (L3.attn.context, attn.q_rope) as the run had it: does the rest agree then?",
     NULL, NULL},
    {0},
};

const struct tt_command tt_command_compare = {
    .name = "compare",
    .summary = "a run against a reference run: first divergence and causes",
    .usage = "[options] CAPTURE REFERENCE [--model MODEL]",
    .description = "REFERENCE is a capture (of `tensortap ref`, or of another run) or a .safetensors, .npz, .npy or .pt file of "
                   "named tensors. Each value is also re-executed from its own operands, so a value that differs only "
                   "because of what came before is told from one that was computed wrongly.\n\n"
                   "Exit status: 0 match, 1 mismatch, 2 bad input, 3 not everything was measured.",
    .options = options,
    .min_args = 2,
    .max_args = 2,
    .run = run_compare,
};
