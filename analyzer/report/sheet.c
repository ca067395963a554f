/* SPDX-License-Identifier: Apache-2.0
 *
 * All cells lie in one text, so that a listing of a hundred thousand tensors costs no allocation a cell.
 */
#include "report/sheet.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

#define GAP    2 /* blanks between columns */
#define INDENT 2

struct cell {
    size_t start, bytes; /* in table->text */
    size_t columns;      /* on the terminal */
    enum tt_style style;
};

struct tt_sheet {
    const struct tt_column *columns;
    size_t ncolumns;
    struct cell *cells;
    size_t ncells, capacity;
    struct tt_string text;
};

struct tt_sheet *tt_sheet_new(const struct tt_column *columns, size_t ncolumns)
{
    struct tt_sheet *table = tt_alloc(sizeof *table);
    table->columns = columns;
    table->ncolumns = ncolumns;
    return table;
}

void tt_sheet_free(struct tt_sheet *table)
{
    if (!table)
        return;
    tt_string_free(&table->text);
    free(table->cells);
    free(table);
}

void tt_sheet_cell(struct tt_sheet *table, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct cell cell = {.start = table->text.length,
                        .style = table->columns[table->ncells % table->ncolumns].style};
    cell.bytes = length < 0 ? 0 : (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
    cell.columns = tt_columns(text, cell.bytes);
    tt_string_add_bytes(&table->text, text, cell.bytes);
    if (table->ncells == table->capacity) {
        table->capacity = table->capacity ? 2 * table->capacity : 64;
        table->cells = tt_grow(table->cells, table->capacity, sizeof cell);
    }
    table->cells[table->ncells++] = cell;
}

void tt_sheet_style(struct tt_sheet *table, enum tt_style style)
{
    if (table->ncells)
        table->cells[table->ncells - 1].style = style;
}

size_t tt_sheet_rows(const struct tt_sheet *table)
{
    return table->ncells / table->ncolumns;
}

/* Width of each column, 0 for those not shown. */
static void measure(const struct tt_sheet *table, const struct tt_term *term, size_t *widths)
{
    size_t total = INDENT;
    for (size_t c = 0; c < table->ncolumns; c++) {
        widths[c] = 0;
        for (size_t i = c; i < table->ncells; i += table->ncolumns)
            widths[c] = table->cells[i].columns > widths[c] ? table->cells[i].columns : widths[c];
        size_t title = tt_columns(table->columns[c].title, strlen(table->columns[c].title));
        widths[c] = widths[c] && title > widths[c] ? title : widths[c];
        total += widths[c] ? widths[c] + GAP : 0;
    }
    for (size_t c = table->ncolumns; c-- > 0 && term->width && total > (size_t)term->width + GAP;) {
        if (!table->columns[c].spare)
            continue;
        total -= widths[c] ? widths[c] + GAP : 0;
        widths[c] = 0;
    }
}

struct line {
    const struct tt_term *term;
    size_t pending; /* blanks owed before the next visible character: none are left at line ends */
};

static void put(struct line *line, const char *text, size_t bytes, enum tt_style style)
{
    if (!bytes)
        return;
    fprintf(line->term->out, "%*s%s%.*s%s", (int)line->pending, "", tt_style_begin(line->term, style),
            (int)bytes, text, tt_style_end(line->term, style));
    line->pending = 0;
}

static void print_cell(struct line *line, const char *text, size_t bytes, size_t columns, size_t width,
                       enum tt_align align, enum tt_style style)
{
    size_t blanks = width - columns;
    line->pending += align == TT_RIGHT ? blanks : 0;
    put(line, text, bytes, style);
    line->pending += (align == TT_RIGHT ? 0 : blanks) + GAP;
}

static void print_plain(const struct tt_sheet *table, const struct tt_term *term, const size_t *widths)
{
    struct line line = {.term = term, .pending = INDENT};
    for (size_t c = 0; c < table->ncolumns; c++) {
        const char *title = table->columns[c].title;
        if (widths[c])
            print_cell(&line, title, strlen(title), tt_columns(title, strlen(title)), widths[c],
                       table->columns[c].align, TT_DIM);
    }
    fputc('\n', term->out);
    for (size_t i = 0; i < table->ncells; i++) {
        size_t c = i % table->ncolumns;
        const struct cell *cell = &table->cells[i];
        if (c == 0)
            line.pending = INDENT;
        if (widths[c])
            print_cell(&line, table->text.text + cell->start, cell->bytes, cell->columns, widths[c],
                       table->columns[c].align, cell->style);
        if (c + 1 == table->ncolumns)
            fputc('\n', term->out);
    }
}

static void print_escaped(FILE *out, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '|')
            fputc('\\', out);
        fputc(text[i], out);
    }
}

static void print_markdown(const struct tt_sheet *table, FILE *out, const size_t *widths)
{
    for (size_t c = 0; c < table->ncolumns; c++)
        if (widths[c])
            fprintf(out, "| %s ", table->columns[c].title);
    fputs("|\n", out);
    for (size_t c = 0; c < table->ncolumns; c++)
        if (widths[c])
            fputs(table->columns[c].align == TT_RIGHT ? "|---:" : "|:---", out);
    fputs("|\n", out);
    for (size_t i = 0; i < table->ncells; i++) {
        if (widths[i % table->ncolumns]) {
            fputs("| ", out);
            print_escaped(out, table->text.text + table->cells[i].start, table->cells[i].bytes);
            fputc(' ', out);
        }
        if (i % table->ncolumns == table->ncolumns - 1)
            fputs("|\n", out);
    }
    fputc('\n', out);
}

void tt_sheet_print(const struct tt_sheet *table, const struct tt_term *term)
{
    size_t *widths = tt_alloc_array(table->ncolumns, sizeof *widths);
    measure(table, term, widths);
    if (term->markdown)
        print_markdown(table, term->out, widths);
    else
        print_plain(table, term, widths);
    free(widths);
}
