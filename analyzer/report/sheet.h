/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables for the terminal and for Markdown. Columns are as wide as their widest cell; a column whose
 * cells are all empty is not shown; on a terminal that is too narrow the columns marked `spare` go,
 * the last one first.
 */
#ifndef TT_REPORT_SHEET_H
#define TT_REPORT_SHEET_H

#include <stdbool.h>
#include <stddef.h>

#include "report/term.h"

enum tt_align { TT_LEFT, TT_RIGHT };

struct tt_column {
    const char *title;
    enum tt_align align;
    enum tt_style style; /* of every cell */
    bool spare;
};

struct tt_sheet;

struct tt_sheet *tt_sheet_new(const struct tt_column *columns,
                              size_t ncolumns); /* columns: kept by reference */
void tt_sheet_free(struct tt_sheet *table);

/* The next cell, row by row from the left. */
void tt_sheet_cell(struct tt_sheet *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Overrides the style of the cell added last. */
void tt_sheet_style(struct tt_sheet *table, enum tt_style style);
size_t tt_sheet_rows(const struct tt_sheet *table);

void tt_sheet_print(const struct tt_sheet *table, const struct tt_term *term);

#endif
