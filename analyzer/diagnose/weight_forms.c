/* SPDX-License-Identifier: Apache-2.0
 *
 * Forms are tried from the simplest on; each is a rule that predicts every element. A rule is tested on a sample first,
 * so that a wrong one costs little on a matrix of millions.
 */
#include "diagnose/weight_forms.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define SAMPLES     2048
#define BETTER      0.05 /* a rule leaves at most this part of what the file as it is leaves */
#define LAST_DIGITS 2e-6
#define BLOCK       32 /* smallest block of the quantised types */

static double rms(const double *v, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += v[i] * v[i];
    return n ? sqrt(sum / (double)n) : 0;
}

static bool same_number(double used, double file, double scale)
{
    return fabs(used - file) <= LAST_DIGITS * (fabs(file) + scale);
}

bool tt_weight_same(const struct tt_weight_pair *p)
{
    int64_t count = p->rows * p->columns;
    double scale = rms(p->file, count);
    for (int64_t i = 0; i < count; i++)
        if (!same_number(p->used[i], p->file[i], scale))
            return false;
    return true;
}

/* ---- testing a rule ---- */

struct score {
    double error, size, plain; /* plain: error of the file's number where it lies */
    int64_t told;
};

static void score_element(const struct tt_weight_pair *p, const struct tt_weight_rule *rule, int64_t at, struct score *s)
{
    double predicted = rule->predict(p, rule, at / p->columns, at % p->columns), used = p->used[at];
    if (isnan(predicted))
        return;
    s->told++;
    s->error += isfinite(used) ? (used - predicted) * (used - predicted) : INFINITY;
    s->plain += isfinite(used) ? (used - p->file[at]) * (used - p->file[at]) : INFINITY;
    s->size += predicted * predicted;
}

bool tt_weight_obeys(const struct tt_weight_pair *p, const struct tt_weight_rule *rule)
{
    int64_t count = p->rows * p->columns, step = count / SAMPLES | 1, asked = 0;
    double close = tt_weight_close(p), better = fmax(BETTER, 4 * p->noise);
    struct score sample = {0}, all = {0};
    for (int64_t i = 0; i < count; i += step, asked++)
        score_element(p, rule, i, &sample);
    if (2 * sample.told < asked || !(sample.error <= 20 * close * sample.size))
        return false;
    for (int64_t i = 0; i < count; i++)
        score_element(p, rule, i, &all);
    return 2 * all.told >= count && all.error <= close * all.size && all.error <= better * all.plain;
}

/* ---- zero, cut off ---- */

static bool is_zero(const struct tt_weight_pair *p, struct tt_weight_form *form)
{
    for (int64_t i = 0; i < p->rows * p->columns; i++)
        if (p->used[i] != 0)
            return false;
    snprintf(form->cause, sizeof form->cause, "linear.zero_weight");
    snprintf(form->found, sizeof form->found, "zeros");
    snprintf(form->text, sizeof form->text, "all zeros");
    return true;
}

static double predict_cut(const struct tt_weight_pair *p, const struct tt_weight_rule *rule, int64_t row, int64_t column)
{
    return row < rule->first && column < rule->step ? p->file[row * p->columns + column] : 0;
}

/* Number of leading rows and columns that are not zero throughout. */
static void used_extent(const struct tt_weight_pair *p, int64_t *rows, int64_t *columns)
{
    *rows = *columns = 0;
    for (int64_t r = 0; r < p->rows; r++) {
        for (int64_t c = 0; c < p->columns; c++) {
            if (p->used[r * p->columns + c] != 0) {
                *rows = r + 1;
                *columns = c + 1 > *columns ? c + 1 : *columns;
            }
        }
    }
}

static bool is_first_block(const struct tt_weight_pair *p, int64_t columns)
{
    return columns % 16 == 0 && columns <= 256 && 2 * columns <= p->columns;
}

static bool is_cut(const struct tt_weight_pair *p, struct tt_weight_form *form)
{
    struct tt_weight_rule rule = {.predict = predict_cut};
    used_extent(p, &rule.first, &rule.step);
    if ((rule.first == p->rows && rule.step == p->columns) || !tt_weight_obeys(p, &rule))
        return false;
    bool block = rule.first == p->rows && is_first_block(p, rule.step);
    snprintf(form->cause, sizeof form->cause, block ? "quant.first_block_only" : "linear.truncated");
    snprintf(form->found, sizeof form->found, "[%lld, %lld], then zeros", (long long)rule.first, (long long)rule.step);
    snprintf(form->text, sizeof form->text, "the file's in its first %lld of %lld outputs and %lld of %lld inputs, zero behind",
             (long long)rule.first, (long long)p->rows, (long long)rule.step, (long long)p->columns);
    return true;
}

/* Columns [0, first) agree, behind them is something else. */
static int64_t agreeing_columns(const struct tt_weight_pair *p, int64_t *agreeing)
{
    double *error = tt_alloc_array((size_t)p->columns, sizeof *error), *size = tt_alloc_array((size_t)p->columns, sizeof *size);
    int64_t first = p->columns;
    *agreeing = 0;
    for (int64_t i = 0; i < p->rows * p->columns; i++) {
        double d = p->used[i] - p->file[i];
        error[i % p->columns] += d * d;
        size[i % p->columns] += p->file[i] * p->file[i];
    }
    for (int64_t c = p->columns; c-- > 0;) {
        bool same = error[c] <= tt_weight_close(p) * size[c];
        *agreeing += same;
        first = same ? first : c;
    }
    free(error);
    free(size);
    return first;
}

static bool is_first_block_only(const struct tt_weight_pair *p, struct tt_weight_form *form)
{
    int64_t agreeing, first = agreeing_columns(p, &agreeing);
    if (first < 16 || !is_first_block(p, first) || agreeing > first + (p->columns - first) / 16)
        return false;
    snprintf(form->cause, sizeof form->cause, "quant.first_block_only");
    snprintf(form->found, sizeof form->found, "right in the first %lld of each row", (long long)first);
    snprintf(form->text, sizeof form->text, "the file's in the first %lld of %lld inputs of each row and something else behind",
             (long long)first, (long long)p->columns);
    return true;
}

/* ---- repeated blocks ---- */

/* first: 0 block 0 everywhere, 1 each pair's first twice, 2 the block before */
static double predict_repeat(const struct tt_weight_pair *p, const struct tt_weight_rule *rule, int64_t row, int64_t column)
{
    int64_t block = column / rule->size, from = 0;
    if (rule->first == 1)
        from = block - block % 2;
    if (rule->first == 2)
        from = block ? block - 1 : 0;
    return p->file[row * p->columns + from * rule->size + column % rule->size];
}

static bool is_repeated(const struct tt_weight_pair *p, struct tt_weight_form *form)
{
    static const char *const words[] = {"block 0 in every place", "every second block twice", "the block before in each place"};
    for (int64_t size = 16; size <= 256 && size < p->columns; size *= 2) {
        for (int64_t kind = 0; kind < 3; kind++) {
            struct tt_weight_rule rule = {.predict = predict_repeat, .first = kind, .size = size};
            if (!tt_weight_obeys(p, &rule))
                continue;
            snprintf(form->cause, sizeof form->cause, "quant.block_repeat");
            snprintf(form->found, sizeof form->found, "%s (of %lld)", words[kind], (long long)size);
            snprintf(form->text, sizeof form->text, "in each row the file's with %s, blocks of %lld elements", words[kind],
                     (long long)size);
            return true;
        }
    }
    return false;
}

/* ---- scales, signs, offsets ---- */

static double predict_abs(const struct tt_weight_pair *p, const struct tt_weight_rule *rule, int64_t row, int64_t column)
{
    (void)rule;
    return fabs(p->file[row * p->columns + column]);
}

static bool is_unsigned(const struct tt_weight_pair *p, struct tt_weight_form *form)
{
    struct tt_weight_rule rule = {.predict = predict_abs};
    if (!tt_weight_obeys(p, &rule))
        return false;
    snprintf(form->cause, sizeof form->cause, "quant.sign_lost");
    snprintf(form->found, sizeof form->found, "absolute values");
    snprintf(form->text, sizeof form->text, "the absolute values of the file's");
    return true;
}

static double predict_scaled(const struct tt_weight_pair *p, const struct tt_weight_rule *rule, int64_t row, int64_t column)
{
    int64_t at = row * p->columns + column;
    return rule->numbers[at / rule->size] * p->file[at];
}

/* Least squares of used ≈ scale·file over each run of `size` elements; [count / size]. */
static double *fit_scales(const struct tt_weight_pair *p, int64_t size)
{
    int64_t count = p->rows * p->columns;
    double *scales = tt_alloc_array((size_t)((count + size - 1) / size), sizeof *scales);
    for (int64_t first = 0; first < count; first += size) {
        double product = 0, square = 0;
        for (int64_t i = first; i < first + size && i < count; i++) {
            product += p->used[i] * p->file[i];
            square += p->file[i] * p->file[i];
        }
        scales[first / size] = square > 0 ? product / square : 1;
    }
    return scales;
}

static void describe_scale(const double *scales, int64_t n, const char *each, struct tt_weight_form *form)
{
    double low = scales[0], high = scales[0];
    for (int64_t i = 1; i < n; i++) {
        low = fmin(low, scales[i]);
        high = fmax(high, scales[i]);
    }
    if (n == 1) {
        snprintf(form->cause, sizeof form->cause, "linear.scale");
        snprintf(form->found, sizeof form->found, "scale %.6g", low);
        snprintf(form->text, sizeof form->text, "the file's times %.6g", low);
        return;
    }
    snprintf(form->cause, sizeof form->cause, "quant.block_scale");
    snprintf(form->found, sizeof form->found, "scales %.4g to %.4g, one each %s", low, high, each);
    snprintf(form->text, sizeof form->text, "the file's times a scale of its own for each %s, from %.4g to %.4g", each, low,
             high);
}

static bool is_scaled(const struct tt_weight_pair *p, struct tt_weight_form *form)
{
    const struct {
        int64_t size;
        const char *each;
    } runs[] = {{p->rows * p->columns, "tensor"}, {p->columns, "row"}, {BLOCK, "block of 32"}};
    bool found = false;
    for (size_t i = 0; i < sizeof runs / sizeof *runs && !found; i++) {
        double *scales = fit_scales(p, runs[i].size);
        struct tt_weight_rule rule = {.predict = predict_scaled, .size = runs[i].size, .numbers = scales};
        found = (runs[i].size != BLOCK || p->columns % BLOCK == 0) && tt_weight_obeys(p, &rule);
        if (found)
            describe_scale(scales, (p->rows * p->columns + runs[i].size - 1) / runs[i].size, runs[i].each, form);
        free(scales);
    }
    return found;
}

static double predict_offset(const struct tt_weight_pair *p, const struct tt_weight_rule *rule, int64_t row, int64_t column)
{
    int64_t at = row * p->columns + column;
    return p->file[at] + rule->numbers[at / rule->size];
}

static double *fit_offsets(const struct tt_weight_pair *p, int64_t size)
{
    int64_t count = p->rows * p->columns;
    double *offsets = tt_alloc_array((size_t)((count + size - 1) / size), sizeof *offsets);
    for (int64_t first = 0; first < count; first += size) {
        int64_t last = first + size < count ? first + size : count;
        for (int64_t i = first; i < last; i++)
            offsets[first / size] += (p->used[i] - p->file[i]) / (double)(last - first);
    }
    return offsets;
}

/* Types whose blocks have a minimum beside the scale. */
static bool has_minimum(enum tt_dtype dtype)
{
    return dtype == TT_Q4_1 || dtype == TT_Q5_1 || dtype == TT_Q2_K || dtype == TT_Q4_K || dtype == TT_Q5_K;
}

static bool is_offset(const struct tt_weight_pair *p, struct tt_weight_form *form)
{
    if (p->columns % BLOCK)
        return false;
    double *offsets = fit_offsets(p, BLOCK);
    struct tt_weight_rule rule = {.predict = predict_offset, .size = BLOCK, .numbers = offsets};
    double size = rms(offsets, p->rows * p->columns / BLOCK);
    bool found = size > 0.02 * rms(p->file, p->rows * p->columns) && tt_weight_obeys(p, &rule);
    if (found) {
        snprintf(form->cause, sizeof form->cause, has_minimum(p->dtype) ? "quant.min_missing" : "quant.zero_point");
        snprintf(form->found, sizeof form->found, "%+.4g and the like per block", offsets[0]);
        snprintf(form->text, sizeof form->text, "the file's plus a constant for each block of 32, rms %.4g", size);
    }
    free(offsets);
    return found;
}

/* ---- all ---- */

bool tt_weight_form(const struct tt_weight_pair *p, struct tt_weight_form *form)
{
    static bool (*const forms[])(const struct tt_weight_pair *, struct tt_weight_form *) = {
        is_zero,     is_cut,    is_unsigned, is_repeated,     is_scaled,
        is_offset,   tt_weight_moved, tt_weight_rounded, is_first_block_only,
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        *form = (struct tt_weight_form){0};
        if (forms[i](p, form))
            return true;
    }
    *form = (struct tt_weight_form){0};
    return false;
}

void tt_weight_difference(const struct tt_weight_pair *p, struct tt_weight_form *form)
{
    double scale = rms(p->file, p->rows * p->columns);
    int64_t elements = 0, rows = 0, first = -1;
    uint8_t *column = tt_alloc((size_t)p->columns + 1);
    for (int64_t r = 0; r < p->rows; r++) {
        int64_t before = elements;
        for (int64_t c = 0; c < p->columns; c++) {
            int64_t at = r * p->columns + c;
            if (same_number(p->used[at], p->file[at], scale))
                continue;
            first = elements++ ? first : at;
            column[c] = 1;
        }
        rows += elements > before;
    }
    int64_t columns = 0;
    for (int64_t c = 0; c < p->columns; c++)
        columns += column[c];
    free(column);
    *form = (struct tt_weight_form){0};
    snprintf(form->cause, sizeof form->cause, "linear.wrong_weight");
    snprintf(form->found, sizeof form->found, "%lld of %lld elements differ", (long long)elements,
             (long long)(p->rows * p->columns));
    snprintf(form->text, sizeof form->text,
             "not the file's in %lld of %lld rows and %lld of %lld columns, first at [%lld, %lld], and no known form of it",
             (long long)rows, (long long)p->rows, (long long)columns, (long long)p->columns,
             (long long)(first < 0 ? 0 : first / p->columns), (long long)(first < 0 ? 0 : first % p->columns));
}
