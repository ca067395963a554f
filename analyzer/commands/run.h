/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of `tensortap run`: the environment that arms the tap, the child, and what it left behind.
 */
#ifndef TT_COMMANDS_RUN_H
#define TT_COMMANDS_RUN_H

#include "commands/command.h"

/* run_environment.c — checks the options and sets the variables that the child inherits.
 * *directory: the capture parent as the user named it, owned by the caller; TENSORTAP_OUT holds its absolute
 * path. 0 or -1 with context->error. */
int tt_run_arm(struct tt_context *context, char **directory);

/* run_child.c */
struct tt_run_result {
    int status;     /* exit status for the shell: the child's, 128+signal, 126, 127 */
    int signal;     /* 0: it exited */
    int exec_errno; /* not 0: it could not be started */
    double seconds;
};
/* Runs argv with the present environment and waits. Signals sent to this process reach the child; those of
 * the terminal reach both by themselves. 0, or -1 with *error when no process could be made. */
int tt_run_child(char *const *argv, struct tt_run_result *result, struct tt_error *error);

/* run_captures.c — capture directories in `directory` that this run has made. */
char *tt_run_identity(void); /* value of TENSORTAP_RUN, unique to this run; owned by the caller */
struct tt_paths tt_run_list(const char *directory);
/* Those that are not in `before` and whose manifest, if it names a run, names this one. */
struct tt_paths tt_run_made(const char *directory, const struct tt_paths *before, const char *identity);

/* run_report.c — the last lines, on standard error; with --json one document on context->out. What goes
 * wrong here is only remarked upon: the exit status is the program's. */
void tt_run_report(struct tt_context *context, const char *directory, const struct tt_paths *made,
                   const struct tt_run_result *result);

#endif
