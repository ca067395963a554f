/* SPDX-License-Identifier: Apache-2.0
 *
 * Expressions in architecture files and variants: numbers, 'strings', identifiers, + - * / % **, comparisons,
 * && || !, c ? a : b, parentheses, and sqrt log exp min max floor ceil abs round_bf16 has.
 */
#ifndef TT_GRAPH_EXPRESSION_H
#define TT_GRAPH_EXPRESSION_H

#include <stdbool.h>
#include <string.h>

#include "base/error.h"

struct tt_scalar {
    bool is_string;
    double number;
    char text[64]; /* of strings */
};

static inline struct tt_scalar tt_scalar_number(double number)
{
    return (struct tt_scalar){.number = number};
}

/* Truncates what does not fit: names in architecture files are short. */
static inline struct tt_scalar tt_scalar_string(const char *text)
{
    struct tt_scalar out = {.is_string = true};
    strncpy(out.text, text, sizeof out.text - 1);
    return out;
}

/* Looks a name up; false when it is unknown. `has(name)` asks through `has`, which may be NULL. */
struct tt_scope {
    bool (*lookup)(const void *user, const char *name, struct tt_scalar *out);
    bool (*has)(const void *user, const char *name);
    const void *user;
};

/* 0, or -1 with a message that shows the expression and the column. */
int tt_expression(const char *text, const struct tt_scope *scope, struct tt_scalar *out,
                  struct tt_error *error);

/* Calls `set` for each "name=expression" of a comma-separated list. */
int tt_assignments(const char *text, const struct tt_scope *scope,
                   int (*set)(void *user, const char *name, const struct tt_scalar *value), void *user,
                   struct tt_error *error);

#endif
