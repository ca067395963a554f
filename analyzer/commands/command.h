/* SPDX-License-Identifier: Apache-2.0
 *
 * What a command is, and what it is given. Each analyzer/commands/<name>.c defines one
 * `const struct tt_command tt_command_<name>`; TT_COMMANDS below is the one list of them.
 */
#ifndef TT_COMMANDS_COMMAND_H
#define TT_COMMANDS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cjson/cJSON.h>

#include "base/error.h"
#include "base/options.h"
#include "base/select.h"

/* In the order of the help text. A new command is one line here and one file. */
#define TT_COMMANDS(X)                                                                                       \
    X(run)                                                                                                   \
    X(info)                                                                                                  \
    X(ls)                                                                                                    \
    X(show)                                                                                                  \
    X(map)                                                                                                   \
    X(verify)                                                                                                \
    X(ref)                                                                                                   \
    X(compare)                                                                                               \
    X(embed)                                                                                                 \
    X(attention)                                                                                             \
    X(weights)                                                                                               \
    X(hidden)                                                                                                \
    X(rope)                                                                                                  \
    X(params)                                                                                                \
    X(models)                                                                                                \
    X(tokenize)                                                                                              \
    X(repair)                                                                                                \
    X(help)

/* Exit status of analysis. */
enum tt_status {
    TT_STATUS_MATCH = 0,    /* match, healthy, done */
    TT_STATUS_MISMATCH = 1, /* mismatch, unhealthy */
    TT_STATUS_ERROR = 2,    /* usage or bad input */
    TT_STATUS_PARTIAL = 3,  /* partial or unmeasured; see tt_status_of_partial */
    TT_STATUS_NO_TAP = 125, /* `run` could not set the tap up */
};

enum tt_command_flags {
    TT_COMMAND_OPTIONS_FIRST = 1, /* the first positional argument ends the options (run) */
    TT_COMMAND_OWN_OUTPUT = 2,    /* -o means something else than "standard output goes to this file" */
};

struct tt_context;

struct tt_command {
    const char *name;
    const char *summary; /* one line of the table that `tensortap` prints */
    const char *usage;   /* what follows the name: "[options] CAPTURE…"; alternatives on their own lines */
    const char
        *description; /* for --help: paragraphs divided by a line end, wrapped when printed; NULL: none */
    const struct tt_option *options; /* its own, ends with a row of NULL; NULL: common ones only */
    int min_args, max_args;          /* positional arguments, max -1: any number */
    unsigned flags;
    const char *related_keys; /* job files: options of related commands that are skipped with a remark; NULL: none */
    int usage_status; /* exit status of errors, 0 means TT_STATUS_ERROR */
    /* Returns the exit status; -1: context->error holds the line to print. */
    int (*run)(struct tt_context *context);
};

/* Everything a command gets. Owned by main, valid while the command runs. */
struct tt_context {
    const struct tt_command *command;
    const char *program;        /* argv[0] */
    struct tt_options *options; /* for the command's own options: tt_option_text(context->options, "live") */
    size_t nargs;
    const char *const *args; /* positional, ends with NULL */
    FILE *out;               /* results: standard output, or the file of -o */
    struct tt_error error;
    int error_status; /* exit status when run returns -1; 0: the command's usual one */

    /* common options */
    bool json, md, strict, allow_partial, stop_at_first, quiet;
    bool color;         /* context->out takes colours */
    const char *model;  /* NULL: not given */
    const char *output; /* -o */
    const char *focus;  /* VERDICT.json */
    const char *select_text;
    struct tt_select *select; /* parsed select_text, NULL: everything */
};

#define X(name) extern const struct tt_command tt_command_##name;
TT_COMMANDS(X)
#undef X
extern const struct tt_option tt_common_options[];

/* The commands in order, NULL at the end. */
extern const struct tt_command *const tt_commands[];
const struct tt_command *tt_command_find(const char *name); /* NULL: none */

void tt_print_help(FILE *out, const struct tt_command *command);
void tt_print_overview(FILE *out);

/* A remark: `tensortap <command>: message` on standard error; says nothing with --quiet. */
void tt_note(const struct tt_context *context, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints the document on context->out and deletes it. Returns `status`, or -1 with context->error. */
int tt_emit_json(struct tt_context *context, cJSON *document, int status);

/* TT_STATUS_PARTIAL, or 0 under --allow-partial. */
int tt_status_of_partial(const struct tt_context *context);

/* The capture directories that the positional arguments from `first` on mean: a capture itself, or
 * those inside a parent directory. 0 or -1 with context->error. */
struct tt_paths {
    char **paths;
    size_t count;
};
int tt_find_captures(struct tt_context *context, size_t first, struct tt_paths *found);
void tt_paths_free(struct tt_paths *found);

#endif
