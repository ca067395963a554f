/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of `tensortap run`: the environment that arms the tap, the child, and what it left behind.
 */
#ifndef TT_COMMANDS_RUN_H
#define TT_COMMANDS_RUN_H

#include <sys/types.h>

#include "commands/command.h"

/* run_environment.c — checks the options and sets the variables that the child inherits.
 * *directory: the capture parent as the user named it, owned by the caller; TENSORTAP_OUT holds its absolute
 * path. 0 or -1 with context->error. */
int tt_run_arm(struct tt_context *context, char **directory);

/* As mkdir -p does. 0 or -1 with errno. */
int tt_make_folders(const char *path, mode_t mode);

/* run_child.c */
struct tt_run_result {
    char *const *argv; /* what was run */
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

/* run_verify.c — what --verify adds: the same prompt for program and reference, and the verdict. */
struct tt_run_prompt {
    int32_t *tokens; /* NULL: not known */
    int64_t count;
    char **argv;     /* the command with {prompt}, {tokens} and {model} filled in, ends with NULL */
};
/* 0 or -1 with context->error. */
int tt_run_prepare(struct tt_context *context, struct tt_run_prompt *prompt);
void tt_run_prompt_free(struct tt_run_prompt *prompt);
struct tt_run_verdict {
    int status;        /* worst of all captures */
    cJSON **documents; /* [captures] verdict documents, NULL entries: none; NULL without --json */
    const char *overall;
};
/* Verifies each capture and, without --json, prints its verdict. 0 or -1 with context->error. */
int tt_run_verify(struct tt_context *context, const struct tt_paths *made, const struct tt_run_prompt *prompt,
                  struct tt_run_verdict *verdict);
void tt_run_verdict_free(struct tt_run_verdict *verdict, size_t captures);

/* run_report.c — the last lines on standard error; the document for --json. What goes wrong here is only remarked upon: the
 * exit status is the program's. */
void tt_run_say(struct tt_context *context, const char *directory, const struct tt_paths *made,
                const struct tt_run_result *result);
/* `verdict` NULL: nothing was verified; its documents become part of this one. */
void tt_run_emit(struct tt_context *context, const struct tt_paths *made, const struct tt_run_result *result,
                 struct tt_run_verdict *verdict);

#endif
