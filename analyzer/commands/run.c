/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap run: CMD with the tap preloaded, its exit status handed on, and a few lines about what
 * was captured; with --verify the verdict on it.
 *
 * CMD keeps this process's standard streams; nothing is written to standard output unless --json
 * asks for the document, which then follows CMD's own output.
 */
#include "commands/run.h"

#include "commands/prompt.h"

#include <stdlib.h>
#include <string.h>

/* The program's failure wins over the verdict. */
static int verify_and_report(struct tt_context *context, const struct tt_paths *made, const struct tt_run_prompt *prompt,
                             const struct tt_run_result *result)
{
    struct tt_run_verdict verdict = {0};
    int status = tt_run_verify(context, made, prompt, &verdict);
    if (!status && context->json)
        tt_run_emit(context, made, result, &verdict);
    if (status)
        context->error_status = result->status ? result->status : TT_STATUS_ERROR;
    else
        status = result->status ? result->status : verdict.status;
    tt_run_verdict_free(&verdict, made->count);
    return status;
}

static int report(struct tt_context *context, const char *directory, const struct tt_paths *made,
                  const struct tt_run_prompt *prompt, const struct tt_run_result *result)
{
    tt_run_say(context, directory, made, result);
    if (tt_option_flag(context->options, "verify"))
        return verify_and_report(context, made, prompt, result);
    if (context->json)
        tt_run_emit(context, made, result, NULL);
    return result->status;
}

static int run_run(struct tt_context *context)
{
    struct tt_run_result result = {0};
    struct tt_run_prompt prompt = {0};
    struct tt_paths before = {0}, made = {0};
    char *directory = NULL, *identity = tt_run_identity();
    int status = -1;
    if (tt_run_prepare(context, &prompt) != 0 || tt_run_arm(context, &directory) != 0)
        goto done;
    before = tt_run_list(directory);
    setenv("TENSORTAP_RUN", identity, 1);
    fflush(NULL);
    result.argv = prompt.argv;
    if (tt_run_child(prompt.argv, &result, &context->error) != 0)
        goto done;
    if (result.exec_errno) {
        context->error_status = result.status;
        tt_fail(&context->error, TT_EINPUT, "cannot run '%s': %s", context->args[0],
                strerror(result.exec_errno));
        goto done;
    }
    made = tt_run_made(directory, &before, identity);
    status = report(context, directory, &made, &prompt, &result);
done:
    tt_run_prompt_free(&prompt);
    tt_paths_free(&made);
    tt_paths_free(&before);
    free(identity);
    free(directory);
    return status;
}

static const struct tt_option options[] = {
    {"out", 'o', TT_OPTION_TEXT, "DIR",
     "make captures in DIR (default: TENSORTAP_OUT, else the current directory)", NULL, NULL},
    {"mode", 0, TT_OPTION_TEXT, "MODE",
     "off, stats, hash or data (default data): how much of each operand to keep", "off|stats|hash|data",
     NULL},
    {"limit", 0, TT_OPTION_SIZE, "SIZE",
     "at most SIZE bytes of tensor data (default: 2G or 5 % of the free space)", NULL, NULL},
    {"passes", 0, TT_OPTION_TEXT, "LIST", "passes to keep in full, as in 0-3,7", NULL, NULL},
    {"programs", 0, TT_OPTION_TEXT, "GLOBS",
     "capture only processes whose program name matches, as in 'python*,llama-*'", NULL, NULL},
    {"live", 0, TT_OPTION_TEXT, "FILE", "one line per call while it runs; without FILE into the capture",
     NULL, "1"},
    {"stack", 0, TT_OPTION_TEXT, "DEPTH", "record a backtrace of each call", NULL, "1"},
    {"verify", 0, TT_OPTION_FLAG, NULL, "afterwards say what is wrong; exit status that of verify, when COMMAND succeeds",
     NULL, NULL},
    {"against", 0, TT_OPTION_TEXT, "REFERENCE", "with --verify: compare with this run or dump, not with a reference of --model",
     NULL, NULL},
    {"prompt", 'p', TT_OPTION_TEXT, "TEXT",
     "prompt of COMMAND and reference: fills {prompt} and {tokens} in COMMAND, as --model fills {model}", NULL, NULL},
    {"tokens", 't', TT_OPTION_TEXT, "IDS", "the same as token ids", NULL, NULL},
    TT_PROMPT_OPTIONS,
    {"rows", 0, TT_OPTION_FLAG, NULL, "with --verify: every value with its numbers, in the order of execution", NULL, NULL},
    {0},
};

const struct tt_command tt_command_run = {
    .name = "run",
    .summary = "run a program under the tap; exits with the program's status",
    .usage = "[options] -- COMMAND [arguments]\n--verify [--model M | --against REF] [options] -- COMMAND",
    .description = "Captures go to DIR/tensortap.<program>.<pid>, one for each process that makes a tapped "
                   "call. COMMAND's "
                   "input, output and exit status stay its own; remarks go to standard error (-q: none).\n"
                   "Exit status: that of COMMAND, 128+n when signal n ended it, 125 when the tap could not "
                   "be set up, 126 when "
                   "COMMAND cannot be executed, 127 when it is not found.\n"
                   "With --verify the capture is verified at once and the verdict printed behind COMMAND's own output. "
                   "With --model, --prompt or --tokens it is compared with a reference too, which is made once for a "
                   "model and prompt and kept in $XDG_CACHE_HOME/tensortap. Exit status then: 0 match, 1 mismatch, 3 not "
                   "everything was measured, that of COMMAND when it fails.\n"
                   "Environment: TENSORTAP_LIBRARY names the libtensortap.so to preload.",
    .options = options,
    .min_args = 1,
    .max_args = -1,
    .flags = TT_COMMAND_OPTIONS_FIRST | TT_COMMAND_OWN_OUTPUT,
    .usage_status = TT_STATUS_NO_TAP,
    .run = run_run,
};
