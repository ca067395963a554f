/* SPDX-License-Identifier: Apache-2.0
 *
 * The right numbers in other places: transposed, rows or columns permuted, rows of another length, shifted.
 *
 * Rows are matched by a few projections on random signs, sorted, so that the work grows with n log n; a match is then
 * measured in full.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "diagnose/weight_forms.h"
#include "ops/linear_permutation.h"

#define PROJECTIONS 4
#define MOVED       0.95 /* part of the rows that must be found */
#define REACH       4    /* rows within which a leading dimension is looked for */

/* ---- transposed ---- */

/* W's bytes read as [columns, rows] */
static double predict_reread(const struct tt_weight_pair *p, const struct tt_weight_rule *rule, int64_t row, int64_t column)
{
    (void)rule;
    return p->file[column * p->rows + row];
}

/* The transpose's bytes read as [rows, columns] */
static double predict_turned(const struct tt_weight_pair *p, const struct tt_weight_rule *rule, int64_t row, int64_t column)
{
    int64_t at = row * p->columns + column;
    (void)rule;
    return p->file[at % p->rows * p->columns + at / p->rows];
}

static bool is_transposed(const struct tt_weight_pair *p, struct tt_weight_form *form)
{
    struct tt_weight_rule reread = {.predict = predict_reread}, turned = {.predict = predict_turned};
    bool square = p->rows == p->columns;
    if (p->rows < 2 || p->columns < 2 || (!tt_weight_obeys(p, &reread) && !tt_weight_obeys(p, &turned)))
        return false;
    snprintf(form->cause, sizeof form->cause, "linear.transposed");
    snprintf(form->found, sizeof form->found, square ? "transposed" : "transposed within its bytes");
    snprintf(form->text, sizeof form->text, square ? "the transpose of the file's"
                                                   : "the file's in the order of its transpose, read as [%lld, %lld]",
             (long long)p->rows, (long long)p->columns);
    return true;
}

/* ---- matching rows ---- */

struct row {
    double projection[PROJECTIONS], size; /* size: Σ squares */
    int64_t index;
};

static double sign(uint64_t i, uint64_t which)
{
    uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u ^ (which + 1) * 0xd1b54a32d192ed03u;
    x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9u;
    return (x ^ x >> 32) & 1 ? 1 : -1;
}

static struct row *project(const double *v, int64_t rows, int64_t columns)
{
    struct row *out = tt_alloc_array((size_t)rows, sizeof *out);
    double *signs = tt_alloc_array((size_t)columns * PROJECTIONS, sizeof *signs);
    for (int64_t i = 0; i < columns * PROJECTIONS; i++)
        signs[i] = sign((uint64_t)(i % columns), (uint64_t)(i / columns));
    for (int64_t r = 0; r < rows; r++) {
        out[r].index = r;
        for (int64_t c = 0; c < columns; c++) {
            double x = v[r * columns + c];
            out[r].size += x * x;
            for (int64_t k = 0; k < PROJECTIONS; k++)
                out[r].projection[k] += signs[k * columns + c] * x;
        }
    }
    free(signs);
    return out;
}

static int by_projection(const void *a, const void *b)
{
    double x = ((const struct row *)a)->projection[0], y = ((const struct row *)b)->projection[0];
    return (x > y) - (x < y);
}

static double distance(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

static int64_t first_at_least(const struct row *sorted, int64_t n, double value)
{
    int64_t low = 0, high = n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (sorted[middle].projection[0] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The file's row that this one is, -1: none. Its own place is tried first: equal rows then are no permutation. */
static int64_t source_of(const double *used, const double *file, const struct row *row, const struct row *sorted,
                         int64_t rows, int64_t columns, double close)
{
    double reach = 5 * sqrt(close * row->size), best = close * row->size;
    const double *v = used + row->index * columns;
    int64_t found = -1;
    if (distance(v, file + row->index * columns, columns) <= best)
        return row->index;
    for (int64_t i = first_at_least(sorted, rows, row->projection[0] - reach); i < rows; i++) {
        bool near = true;
        if (sorted[i].projection[0] > row->projection[0] + reach)
            break;
        for (int k = 1; k < PROJECTIONS && near; k++)
            near = fabs(sorted[i].projection[k] - row->projection[k]) <= reach;
        double d = near ? distance(v, file + sorted[i].index * columns, columns) : INFINITY;
        if (d <= best) {
            best = d;
            found = sorted[i].index;
        }
    }
    return found;
}

/* map[r]: row of `file` that row r of `used` is to an NMSE of `close`, -1: none. False: too few were found. */
static bool match_rows(const double *used, const double *file, int64_t rows, int64_t columns, double close, int64_t *map)
{
    struct row *mine = project(used, rows, columns), *theirs = project(file, rows, columns);
    int64_t matched = 0;
    qsort(theirs, (size_t)rows, sizeof *theirs, by_projection);
    for (int64_t r = 0; r < rows; r++) {
        map[r] = mine[r].size > 0 ? source_of(used, file, &mine[r], theirs, rows, columns, close) : -1;
        matched += map[r] >= 0;
    }
    free(mine);
    free(theirs);
    return (double)matched >= MOVED * (double)rows;
}

static bool is_permutation(const int64_t *map, int64_t n)
{
    uint8_t *taken = tt_alloc((size_t)n + 1);
    int64_t moved = 0, twice = 0;
    for (int64_t i = 0; i < n; i++) {
        if (map[i] < 0)
            continue;
        moved += map[i] != i;
        twice += taken[map[i]];
        taken[map[i]] = 1;
    }
    free(taken);
    return moved && 50 * twice <= n;
}

static void describe_map(int64_t *map, int64_t n, char *text, size_t size)
{
    struct tt_permutation permutation = {.outputs = n, .source = map};
    struct tt_attributes set = {0};
    int64_t first = 0;
    if (tt_permutation_explain(&permutation, &set, text, size))
        return;
    while (first < n && (map[first] == first || map[first] < 0))
        first++;
    snprintf(text, size, "%lld from %lld and others", (long long)first, (long long)map[first]);
}

/* ---- permuted rows and columns ---- */

static double predict_row(const struct tt_weight_pair *p, const struct tt_weight_rule *rule, int64_t row, int64_t column)
{
    return rule->map[row] < 0 ? NAN : p->file[rule->map[row] * p->columns + column];
}

static bool has_permuted_rows(const struct tt_weight_pair *p, struct tt_weight_form *form)
{
    int64_t *map = tt_alloc_array((size_t)p->rows, sizeof *map);
    struct tt_weight_rule rule = {.predict = predict_row, .map = map};
    bool found = match_rows(p->used, p->file, p->rows, p->columns, tt_weight_close(p), map) &&
                 is_permutation(map, p->rows) && tt_weight_obeys(p, &rule);
    if (found) {
        char words[48];
        describe_map(map, p->rows, words, sizeof words);
        snprintf(form->cause, sizeof form->cause, "linear.permuted_rows");
        snprintf(form->found, sizeof form->found, "%s", words);
        snprintf(form->text, sizeof form->text, "the file's with its rows in another order: %s", words);
    }
    free(map);
    return found;
}

static double predict_column(const struct tt_weight_pair *p, const struct tt_weight_rule *rule, int64_t row, int64_t column)
{
    return rule->map[column] < 0 ? NAN : p->file[row * p->columns + rule->map[column]];
}

static double *transpose(const double *v, int64_t rows, int64_t columns)
{
    double *out = tt_alloc_array((size_t)(rows * columns), sizeof *out);
    for (int64_t i = 0; i < rows * columns; i++)
        out[i % columns * rows + i / columns] = v[i];
    return out;
}

/* Whole groups that changed places, as when a quantiser's group order is forgotten. */
static bool moves_in_groups(const int64_t *map, int64_t n)
{
    int64_t joints = 0;
    for (int64_t i = 1; i < n; i++)
        joints += map[i] == map[i - 1] + 1;
    return 8 * joints >= 7 * (n - 1);
}

static bool has_permuted_columns(const struct tt_weight_pair *p, struct tt_weight_form *form)
{
    double *used = transpose(p->used, p->rows, p->columns), *file = transpose(p->file, p->rows, p->columns);
    int64_t *map = tt_alloc_array((size_t)p->columns, sizeof *map);
    struct tt_weight_rule rule = {.predict = predict_column, .map = map};
    bool found = p->rows > 1 && match_rows(used, file, p->columns, p->rows, tt_weight_close(p), map) &&
                 is_permutation(map, p->columns) && tt_weight_obeys(p, &rule);
    if (found) {
        char words[48];
        describe_map(map, p->columns, words, sizeof words);
        bool groups = moves_in_groups(map, p->columns);
        snprintf(form->cause, sizeof form->cause, groups ? "quant.group_order" : "linear.permuted_columns");
        snprintf(form->found, sizeof form->found, "columns %s", words);
        snprintf(form->text, sizeof form->text, "the file's with its columns in another order: %s", words);
    }
    free(map);
    free(used);
    free(file);
    return found;
}

/* ---- rows of another length ---- */

/* Where `row` [columns] begins in `flat` at or after `from`, before `end`; -1: nowhere. */
static int64_t find_run(const double *row, int64_t columns, const double *flat, int64_t count, int64_t from, int64_t end,
                        double close)
{
    double size = 0;
    for (int64_t i = 0; i < columns; i++)
        size += row[i] * row[i];
    double limit = close * size;
    for (int64_t at = from; at < end && at + columns <= count && size > 0; at++) {
        double d = 0;
        for (int64_t i = 0; i < columns && d <= limit; i++)
            d += (row[i] - flat[at + i]) * (row[i] - flat[at + i]);
        if (d <= limit)
            return at;
    }
    return -1;
}

/* used[n, k] = file's bytes at first + n·step + k */
static double predict_stepped(const struct tt_weight_pair *p, const struct tt_weight_rule *rule, int64_t row, int64_t column)
{
    int64_t at = rule->first + row * rule->step + column;
    return at >= 0 && at < p->rows * p->columns ? p->file[at] : NAN;
}

static bool has_other_step(const struct tt_weight_pair *p, struct tt_weight_form *form)
{
    int64_t count = p->rows * p->columns, middle = p->rows / 2;
    struct tt_weight_rule rule = {.predict = predict_stepped};
    rule.first = p->rows > 2 ? find_run(p->used, p->columns, p->file, count, 0, count, tt_weight_close(p)) : -1;
    int64_t next = rule.first < 0 ? -1
                                  : find_run(p->used + p->columns, p->columns, p->file, count, rule.first, count,
                                             tt_weight_close(p));
    if (next < 0 || (rule.first == 0 && next == p->columns))
        return false;
    rule.step = next - rule.first;
    if (rule.first + middle * rule.step >= count || !tt_weight_obeys(p, &rule))
        return false;
    snprintf(form->cause, sizeof form->cause, "linear.leading_dimension");
    snprintf(form->found, sizeof form->found, rule.first ? "ld %lld from element %lld" : "ld %lld", (long long)rule.step,
             (long long)rule.first);
    snprintf(form->text, sizeof form->text,
             "the file's read from element %lld with a leading dimension of %lld, where its rows have %lld",
             (long long)rule.first, (long long)rule.step, (long long)p->columns);
    return true;
}

/* The file's rows each followed by rule->step − columns others, of which nothing is known, read without a gap. */
static double predict_padded(const struct tt_weight_pair *p, const struct tt_weight_rule *rule, int64_t row, int64_t column)
{
    int64_t at = row * p->columns + column - rule->first, within = at % rule->step;
    return at < 0 || within >= p->columns ? NAN : p->file[at / rule->step * p->columns + within];
}

static bool has_padded_rows(const struct tt_weight_pair *p, struct tt_weight_form *form)
{
    int64_t count = p->rows * p->columns, reach = REACH * p->columns;
    struct tt_weight_rule rule = {.predict = predict_padded};
    rule.first = p->rows > 2 ? find_run(p->file, p->columns, p->used, count, 0, reach, tt_weight_close(p)) : -1;
    int64_t next = rule.first < 0 ? -1
                                  : find_run(p->file + p->columns, p->columns, p->used, count, rule.first + p->columns,
                                             rule.first + p->columns + reach, tt_weight_close(p));
    if (next < 0 || (rule.first == 0 && next == p->columns))
        return false;
    rule.step = next - rule.first;
    if (!tt_weight_obeys(p, &rule))
        return false;
    snprintf(form->cause, sizeof form->cause, "linear.leading_dimension");
    snprintf(form->found, sizeof form->found, "rows of %lld read with ld %lld", (long long)rule.step, (long long)p->columns);
    snprintf(form->text, sizeof form->text, "the file's laid out in rows of %lld elements%s, but read with a leading dimension of %lld",
             (long long)rule.step, rule.first ? " and shifted" : "", (long long)p->columns);
    return true;
}

bool tt_weight_moved(const struct tt_weight_pair *p, struct tt_weight_form *form)
{
    return is_transposed(p, form) || has_permuted_rows(p, form) || has_other_step(p, form) || has_padded_rows(p, form) ||
           has_permuted_columns(p, form);
}
