/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that no component names, one line a routine.
 */
#include <math.h>
#include <string.h>

#include "report/sheet.h"
#include "report/verdict.h"

static bool same_routine(const struct tt_row *a, const struct tt_row *b)
{
    return a->op && b->op && strcmp(a->op, b->op) == 0 && strcmp(a->routine ? a->routine : "", b->routine ? b->routine : "") == 0;
}

static bool first_of_routine(const struct tt_verdict *v, int row)
{
    for (int i = 0; i < row; i++)
        if (same_routine(&v->rows[i], &v->rows[row]))
            return false;
    return v->rows[row].op != NULL;
}

static void print_count(struct tt_sheet *sheet, int count, enum tt_style style)
{
    if (!count) {
        tt_sheet_cell(sheet, "%s", "");
        return;
    }
    tt_sheet_cell(sheet, "%d", count);
    tt_sheet_style(sheet, style);
}

static void print_routine(const struct tt_verdict *v, const struct tt_row *first, struct tt_sheet *sheet)
{
    int counts[TT_PROPAGATED + 1] = {0}, calls = 0;
    double worst = 0;
    for (int i = 0; i < v->nrows; i++) {
        if (!same_routine(&v->rows[i], first))
            continue;
        calls++;
        counts[v->rows[i].judged.status]++;
        worst = fmax(worst, v->rows[i].judged.chi2);
    }
    tt_sheet_cell(sheet, "%s", first->routine ? first->routine : "");
    tt_sheet_cell(sheet, "%s", first->op);
    tt_sheet_cell(sheet, "%d", calls);
    print_count(sheet, counts[TT_EXACT], TT_GREEN);
    print_count(sheet, counts[TT_PASS], TT_GREEN);
    print_count(sheet, counts[TT_DRIFT], TT_YELLOW);
    print_count(sheet, counts[TT_INTRODUCED], TT_RED);
    print_count(sheet, counts[TT_UNMEASURED], TT_DIM);
    tt_sheet_cell(sheet, "%s", tt_real(worst).text);
}

void tt_print_calls(const struct tt_verdict *v, const struct tt_term *term)
{
    static const struct tt_column columns[] = {
        {"routine", TT_LEFT, TT_PLAIN, false}, {"op", TT_LEFT, TT_DIM, false},      {"calls", TT_RIGHT, TT_PLAIN, false},
        {"exact", TT_RIGHT, TT_PLAIN, false},  {"pass", TT_RIGHT, TT_PLAIN, false}, {"drift", TT_RIGHT, TT_PLAIN, false},
        {"wrong", TT_RIGHT, TT_PLAIN, false},  {"not kept", TT_RIGHT, TT_PLAIN, false},
        {"worst chi2/N", TT_RIGHT, TT_PLAIN, true}};
    struct tt_sheet *sheet = tt_sheet_new(columns, sizeof columns / sizeof *columns);
    for (int i = 0; i < v->nrows; i++)
        if (first_of_routine(v, i))
            print_routine(v, &v->rows[i], sheet);
    fputc('\n', term->out);
    tt_sheet_print(sheet, term);
    tt_sheet_free(sheet);
}
