/* SPDX-License-Identifier: Apache-2.0
 *
 * A tensor is printed as the matrix [all axes but the last, last axis]; each row is labelled with its
 * index.
 */
#include "report/values.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "report/sheet.h"

#define MOST_ROWS      10 /* shown: this many, or else */
#define MOST_COLUMNS   8
#define BORDER_ROWS    4 /* these at either end */
#define BORDER_COLUMNS 3

struct tt_moments tt_moments_of(const double *values, uint64_t count)
{
    struct tt_moments moments = {.count = count,
                                 .min = INFINITY,
                                 .max = -INFINITY,
                                 .min_at = UINT64_MAX,
                                 .max_at = UINT64_MAX,
                                 .first_nonfinite = UINT64_MAX};
    double largest = 0, sum = 0, squares = 0, deviations = 0;
    for (uint64_t i = 0; i < count; i++) {
        double value = values[i];
        if (!isfinite(value)) {
            moments.nan += isnan(value);
            moments.inf += isinf(value);
            moments.first_nonfinite = moments.first_nonfinite < i ? moments.first_nonfinite : i;
            continue;
        }
        moments.zero += value == 0;
        if (value < moments.min)
            moments.min = value, moments.min_at = i;
        if (value > moments.max)
            moments.max = value, moments.max_at = i;
        largest = fmax(largest, fabs(value));
    }
    double n = (double)(count - moments.nan - moments.inf), scale = largest > 0 ? 1 / largest : 0;
    for (uint64_t i = 0; i < count; i++) /* scaled: the sum of squares of large values would overflow */
        if (isfinite(values[i])) {
            sum += values[i] * scale;
            squares += values[i] * scale * (values[i] * scale);
        }
    double mean = n > 0 ? sum / n : NAN;
    for (uint64_t i = 0; i < count; i++)
        if (isfinite(values[i]))
            deviations += (values[i] * scale - mean) * (values[i] * scale - mean);
    moments.mean = mean * largest;
    moments.rms = n > 0 ? sqrt(squares / n) * largest : NAN;
    moments.deviation = n > 0 ? sqrt(deviations / n) * largest : NAN;
    return moments;
}

struct tt_number tt_index_text(uint64_t index, const int64_t *shape, int rank)
{
    struct tt_number number = {.text = "[]"};
    int64_t places[16];
    size_t at = 0;
    if (rank <= 0 || rank > 16)
        return number;
    for (int i = rank - 1; i >= 0; i--) {
        places[i] = shape[i] ? (int64_t)(index % (uint64_t)shape[i]) : 0;
        index /= shape[i] ? (uint64_t)shape[i] : 1;
    }
    for (int i = 0; i < rank && at < sizeof number.text - 2; i++)
        at += (size_t)snprintf(number.text + at, sizeof number.text - at, "%s%" PRId64, i ? "," : "[",
                               places[i]);
    if (at < sizeof number.text - 1)
        snprintf(number.text + at, sizeof number.text - at, "]");
    return number;
}

/* The k-th place shown of an axis with `extent` values, -1 for the gap. `shown`: places shown, the gap
 * included. */
static int64_t place(uint64_t k, uint64_t extent, uint64_t shown, uint64_t border)
{
    if (shown == extent || k < border)
        return (int64_t)k;
    return k == border ? -1 : (int64_t)(extent - (shown - k));
}

static void add_row(struct tt_sheet *table, const double *row, uint64_t columns, uint64_t shown)
{
    for (uint64_t k = 0; k < shown; k++) {
        int64_t column = place(k, columns, shown, BORDER_COLUMNS);
        tt_sheet_cell(table, "%s", column < 0 || !row ? "..." : tt_real(row[column]).text);
        if (column < 0 || !row)
            tt_sheet_style(table, TT_DIM);
        else if (!isfinite(row[column]))
            tt_sheet_style(table, TT_RED);
        else if (row[column] == 0)
            tt_sheet_style(table, TT_DIM);
    }
}

/* Titles of the columns: a place label and the indices of the last axis. */
static struct tt_column *make_columns(uint64_t columns, uint64_t shown, char **titles)
{
    struct tt_column *made = tt_alloc_array(shown + 1, sizeof *made);
    char *text = tt_alloc_array(shown + 1, 24);
    made[0] = (struct tt_column){"", TT_LEFT, TT_DIM, false};
    for (uint64_t k = 0; k < shown; k++) {
        int64_t column = place(k, columns, shown, BORDER_COLUMNS);
        if (column >= 0)
            snprintf(text + 24 * k, 24, "%" PRId64, column);
        made[k + 1] = (struct tt_column){text + 24 * k, TT_RIGHT, TT_PLAIN, false};
    }
    *titles = text;
    return made;
}

void tt_values_print(const struct tt_term *term, const double *values, const int64_t *shape, int rank,
                     bool all)
{
    uint64_t columns = rank ? (uint64_t)shape[rank - 1] : 1, rows = 1;
    for (int i = 0; i + 1 < rank; i++)
        rows *= (uint64_t)shape[i];
    if (!rows || !columns)
        return;
    uint64_t shown_rows = all || rows <= MOST_ROWS ? rows : 2 * BORDER_ROWS + 1;
    uint64_t shown = all || columns <= MOST_COLUMNS ? columns : 2 * BORDER_COLUMNS + 1;
    char *titles;
    struct tt_column *made = make_columns(columns, shown, &titles);
    struct tt_sheet *table = tt_sheet_new(made, shown + 1);
    for (uint64_t k = 0; k < shown_rows; k++) {
        int64_t row = place(k, rows, shown_rows, BORDER_ROWS);
        tt_sheet_cell(table, "%s",
                      row < 0    ? ""
                      : rank > 1 ? tt_index_text((uint64_t)row, shape, rank - 1).text
                                 : "");
        add_row(table, row < 0 ? NULL : values + (uint64_t)row * columns, columns, shown);
    }
    tt_sheet_print(table, term);
    tt_sheet_free(table);
    free(made);
    free(titles);
}
