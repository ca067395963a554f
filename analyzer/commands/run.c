/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap run: CMD with the tap preloaded, its exit status handed on, and a few lines about what
 * was captured.
 *
 * CMD keeps this process's standard streams; nothing is written to standard output unless --json
 * asks for the document, which then follows CMD's own output.
 */
#include "commands/run.h"

#include <stdlib.h>
#include <string.h>

static int run_run(struct tt_context *context)
{
    struct tt_run_result result = {0};
    struct tt_paths before = {0}, made = {0};
    char *directory = NULL, *identity = tt_run_identity();
    int status = -1;
    if (tt_run_arm(context, &directory) != 0)
        goto done;
    before = tt_run_list(directory);
    setenv("TENSORTAP_RUN", identity, 1);
    fflush(NULL);
    if (tt_run_child((char *const *)context->args, &result, &context->error) != 0)
        goto done;
    if (result.exec_errno) {
        context->error_status = result.status;
        tt_fail(&context->error, TT_EINPUT, "cannot run '%s': %s", context->args[0],
                strerror(result.exec_errno));
        goto done;
    }
    made = tt_run_made(directory, &before, identity);
    tt_run_report(context, directory, &made, &result);
    status = result.status;
done:
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
    {0},
};

const struct tt_command tt_command_run = {
    .name = "run",
    .summary = "run a program under the tap; exits with the program's status",
    .usage = "[options] -- COMMAND [arguments]",
    .description = "Captures go to DIR/tensortap.<program>.<pid>, one for each process that makes a tapped "
                   "call. COMMAND's "
                   "input, output and exit status stay its own; remarks go to standard error (-q: none).\n"
                   "Exit status: that of COMMAND, 128+n when signal n ended it, 125 when the tap could not "
                   "be set up, 126 when "
                   "COMMAND cannot be executed, 127 when it is not found.\n"
                   "Environment: TENSORTAP_LIBRARY names the libtensortap.so to preload.",
    .options = options,
    .min_args = 1,
    .max_args = -1,
    .flags = TT_COMMAND_OPTIONS_FIRST | TT_COMMAND_OWN_OUTPUT,
    .usage_status = TT_STATUS_NO_TAP,
    .run = run_run,
};
