/* SPDX-License-Identifier: Apache-2.0
 *
 * The verdict document (a contract, see docs/verdict.md) and its form for people.
 */
#ifndef TT_REPORT_VERDICT_H
#define TT_REPORT_VERDICT_H

#include <cjson/cJSON.h>

#include "base/select.h"
#include "report/term.h"
#include "verify/verdict.h"

struct tt_verdict_view {
    const char *model;     /* path, NULL: none */
    const char *family;    /* NULL: none */
    const char *path;      /* "unaltered" or what had to be altered */
    const char *reference; /* compared with, NULL: none */
    const char *note;      /* one line about naming, NULL or "" */
    int unnamed_calls;
    const struct tt_select *select; /* rows shown, NULL: all */
    bool all_rows;
};

/* `graph` NULL: a capture without a model, whose verdict is about calls alone. */
/* Keys of a selection that rows of a verdict know. */
#define TT_ROW_KEYS                                                                                          \
    (1u << TT_SELECT_PASS | 1u << TT_SELECT_LAYER | 1u << TT_SELECT_COMPONENT | 1u << TT_SELECT_SEQ |        \
     1u << TT_SELECT_DTYPE)
bool tt_row_selected(const struct tt_verdict_view *view, const struct tt_row *row, int layers);

cJSON *tt_verdict_json(const struct tt_verdict *verdict, const struct tt_graph *graph, const struct tt_verdict_view *view);
void tt_verdict_print(const struct tt_verdict *verdict, const struct tt_graph *graph, const struct tt_verdict_view *view,
                      const struct tt_term *term);

/* Calls that no component names: a line for each routine. */
void tt_print_calls(const struct tt_verdict *verdict, const struct tt_term *term);

#endif
