/* SPDX-License-Identifier: Apache-2.0
 *
 * Command-line options from tables. A command states its options as data; parsing, checking, help,
 * job files and the suggestion for a misspelt name all come from the same rows.
 *
 * Values point into argv or into the options object: they live until tt_options_free.
 */
#ifndef TT_BASE_OPTIONS_H
#define TT_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

enum tt_option_type {
    TT_OPTION_FLAG,    /* no value */
    TT_OPTION_TEXT,    /* any text; the last one given wins */
    TT_OPTION_LIST,    /* any text; may be given several times, all are kept */
    TT_OPTION_INTEGER, /* 64-bit signed */
    TT_OPTION_NUMBER,  /* a finite double */
    TT_OPTION_SIZE,    /* bytes, with an optional binary suffix K M G T */
};

struct tt_option {
    const char *name; /* without dashes; NULL ends a table */
    char letter;      /* one-letter form, 0: none */
    enum tt_option_type type;
    const char *argument; /* how help names the value ("FILE"); NULL for flags */
    const char *help;     /* one line */
    const char *choices;  /* allowed values "off|stats|hash|data"; NULL: any */
    const char
        *implied; /* value of a bare `--name`; the value then needs `--name=VALUE`. NULL: value required */
};

struct tt_options;

/* Looks options up in `own` first, then in `common`; both end with a row whose name is NULL, either may be
 * NULL. */
struct tt_options *tt_options_new(const struct tt_option *own, const struct tt_option *common);
void tt_options_free(struct tt_options *options);

/* Parses argv[0…argc): options and positional arguments in any order, `--` ends the options. With
 * `options_first` the first positional argument ends them too (what follows is another program's). */
int tt_options_parse(struct tt_options *options, int argc, char *const *argv, bool options_first,
                     struct tt_error *error);

/* What a job file is read for. */
struct tt_job {
    const char *command; /* a "command" key has to equal it */
    const char *usage;   /* its leading words in capitals name the positional arguments; NULL: no names */
    const char *related; /* names divided by blanks: options of related commands, which one file may serve with this
                            one. Skipped where this command has no such option; NULL: none */
};

/* Adds what a job file says: an object whose keys are long option names or names of positional arguments, "args" the
 * positional arguments as an array. A list is an array, also where the command line has commas. The command line wins
 * over the file. */
int tt_options_load(struct tt_options *options, const char *path, const struct tt_job *job, struct tt_error *error);
/* "token, dim": keys that were skipped as a related command's; NULL: none. */
const char *tt_options_skipped(const struct tt_options *options);

/* Whether a table has this name: for what several commands share. */
bool tt_options_have(const struct tt_options *options, const char *name);

/* Asking for a name that no table has is a programming error (assert). */
bool tt_option_flag(const struct tt_options *options, const char *name); /* given at all, for any type */
const char *tt_option_text(const struct tt_options *options, const char *name); /* NULL: not given */
int64_t tt_option_integer(const struct tt_options *options, const char *name,
                          int64_t fallback); /* SIZE too */
double tt_option_number(const struct tt_options *options, const char *name, double fallback);
size_t tt_option_count(const struct tt_options *options, const char *name);
const char *tt_option_text_at(const struct tt_options *options, const char *name, size_t index);

size_t tt_options_nargs(const struct tt_options *options);
const char *const *tt_options_args(const struct tt_options *options); /* ends with NULL */

/* The help lines of `table`, aligned and wrapped at `width` columns. Rows that `hidden_by` declares too
 * are left out; it may be NULL. */
void tt_options_print(FILE *out, const struct tt_option *table, const struct tt_option *hidden_by, int width);

#endif
