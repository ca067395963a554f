/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of struct tt_options, shared by options.c and options_job.c.
 *
 * Every value goes through tt_options_set, so a job file is checked exactly as the command line is.
 */
#ifndef TT_BASE_OPTIONS_PRIVATE_H
#define TT_BASE_OPTIONS_PRIVATE_H

#include "base/options.h"
#include "base/text.h"

struct tt_option_value {
    const struct tt_option *option;
    const char *text; /* NULL for flags */
    int64_t integer;
    double number;
    bool from_file;
};

struct tt_options {
    const struct tt_option *tables[2]; /* the command's own, the common ones */
    struct tt_option_value *values;
    size_t nvalues;
    const char **args; /* nargs entries and NULL */
    size_t nargs;
    char **owned; /* texts made for a job file */
    size_t nowned;
    struct tt_string skipped; /* keys of the job file that were meant for related commands */
};

/* A name of `length` bytes, or (name NULL) a letter. */
const struct tt_option *tt_options_find(const struct tt_options *options, const char *name, size_t length, char letter);
/* The line for a name that no table has, with the nearest one; -1. */
int tt_options_unknown(const struct tt_options *options, const char *name, const char *where, struct tt_error *error);
int tt_options_set(struct tt_options *options, const struct tt_option *option, const char *text, bool from_file,
                   struct tt_error *error);
void tt_options_add_arg(struct tt_options *options, const char *text);

#endif
