/* SPDX-License-Identifier: Apache-2.0
 *
 * Rounded to a coarser type: the file's numbers as f16, bf16, int8 by row, q8_0, q4_0 … would hold them, or close to them
 * everywhere as some other quantiser would leave them. Right engines do this; it is told, not blamed.
 */
#include "diagnose/weight_forms.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "model/half.h"

#define BLOCK    32
#define EVERY    0.99 /* part of the elements that a block type reproduces: quantisers differ in ties */
#define COARSEST 0.05 /* NMSE that some quantiser may leave in a tensor */
#define UNEVEN   6.0  /* times that, in any single row or column */
#define SPIKE    12.0 /* times the rms of the error, in any single element */

static double as_f16(double x)
{
    return (double)tt_f16_to_f32(tt_f32_to_f16((float)x));
}

static void round_f16(const double *from, int64_t n, double *to)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = as_f16(from[i]);
}

static void round_bf16(const double *from, int64_t n, double *to)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = (double)tt_bf16_to_f32(tt_f32_to_bf16((float)from[i]));
}

static void cut_bf16(const double *from, int64_t n, double *to)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = (double)tt_float_of_bits(tt_bits_of_float((float)from[i]) & 0xffff0000u);
}

static double largest(const double *v, int64_t n)
{
    double at = 0;
    for (int64_t i = 0; i < n; i++)
        at = fabs(v[i]) > fabs(at) ? v[i] : at;
    return at;
}

/* Whole steps of `scale`, rounded by its unrounded form as the quantisers do. */
static void round_q8_0(const double *from, int64_t n, double *to)
{
    double scale = fabs(largest(from, n)) / 127;
    for (int64_t i = 0; i < n; i++)
        to[i] = scale > 0 ? round(from[i] / scale) * as_f16(scale) : 0;
}

static void round_q4_0(const double *from, int64_t n, double *to)
{
    double scale = largest(from, n) / -8;
    for (int64_t i = 0; i < n; i++)
        to[i] = scale != 0 ? (fmin(15, floor(from[i] / scale + 8.5)) - 8) * as_f16(scale) : 0;
}

static void round_q5_0(const double *from, int64_t n, double *to)
{
    double scale = largest(from, n) / -16;
    for (int64_t i = 0; i < n; i++)
        to[i] = scale != 0 ? (fmin(31, floor(from[i] / scale + 16.5)) - 16) * as_f16(scale) : 0;
}

static void round_q4_1(const double *from, int64_t n, double *to)
{
    double low = from[0], high = from[0];
    for (int64_t i = 1; i < n; i++) {
        low = fmin(low, from[i]);
        high = fmax(high, from[i]);
    }
    double scale = (high - low) / 15;
    for (int64_t i = 0; i < n; i++)
        to[i] = as_f16(low) + (scale > 0 ? fmin(15, floor((from[i] - low) / scale + 0.5)) * as_f16(scale) : 0);
}

static void round_int8(const double *from, int64_t n, double *to)
{
    double scale = fabs(largest(from, n)) / 127;
    for (int64_t i = 0; i < n; i++)
        to[i] = scale > 0 ? round(from[i] / scale) * scale : 0;
}

static const struct type {
    const char *form;
    void (*round)(const double *from, int64_t n, double *to);
    int64_t block; /* 1: each element alone, 0: the row */
} types[] = {
    {"weight as bf16", round_bf16, 1},     {"weight as bf16, cut off", cut_bf16, 1}, {"weight as f16", round_f16, 1},
    {"weight as q8_0", round_q8_0, BLOCK}, {"weight as q4_0", round_q4_0, BLOCK},    {"weight as q4_1", round_q4_1, BLOCK},
    {"weight as q5_0", round_q5_0, BLOCK}, {"weight as int8 by row", round_int8, 0},
};

struct errors { /* of the used numbers against the file's */
    double *row, *row_size, *column, *column_size;
    double total, size, spike;
};

static void measure(const struct tt_weight_pair *p, struct errors *e)
{
    for (int64_t i = 0; i < p->rows * p->columns; i++) {
        double d = p->used[i] - p->file[i], error = isfinite(d) ? d * d : INFINITY, size = p->file[i] * p->file[i];
        e->row[i / p->columns] += error;
        e->row_size[i / p->columns] += size;
        e->column[i % p->columns] += error;
        e->column_size[i % p->columns] += size;
        e->total += error;
        e->size += size;
        e->spike = fmax(e->spike, error);
    }
}

/* Steps of a type follow the largest number around: a row may have larger errors, but not as large as its numbers. */
static bool even(const double *error, const double *size, int64_t n, double most)
{
    for (int64_t i = 0; i < n; i++)
        if (error[i] > most * size[i] + 1e-30)
            return false;
    return true;
}

/* Every row, column and element close to the file's: nothing is in a wrong place. */
static bool close_everywhere(const struct tt_weight_pair *p, double *nmse)
{
    struct errors e = {tt_alloc_array((size_t)p->rows, sizeof(double)), tt_alloc_array((size_t)p->rows, sizeof(double)),
                       tt_alloc_array((size_t)p->columns, sizeof(double)),
                       tt_alloc_array((size_t)p->columns, sizeof(double)), 0, 0, 0};
    measure(p, &e);
    double mean = e.total / (double)(p->rows * p->columns), most = fmin(UNEVEN * COARSEST, 0.3);
    *nmse = e.size > 0 ? e.total / e.size : 0;
    bool close = e.size > 0 && *nmse < COARSEST && even(e.row, e.row_size, p->rows, most) &&
                 even(e.column, e.column_size, p->columns, most) && e.spike <= SPIKE * SPIKE * mean;
    free(e.row);
    free(e.row_size);
    free(e.column);
    free(e.column_size);
    return close;
}

static bool alike(double a, double b, double scale)
{
    return fabs(a - b) <= 2e-6 * (fabs(b) + scale);
}

struct agreement {
    int64_t changed, missed; /* elements that are not the file's; of them, not the type's either */
    bool far;                /* one of those is no rounding at all */
};

static void compare_block(const double *used, const double *rounded, const double *file, int64_t n, struct agreement *a)
{
    double scale = fabs(largest(file, n));
    for (int64_t i = 0; i < n; i++) {
        bool changed = !alike(used[i], file[i], 0), missed = changed && !alike(used[i], rounded[i], scale);
        a->changed += changed;
        a->missed += missed;
        a->far = a->far || (missed && !(fabs(used[i] - file[i]) <= scale / 4));
    }
}

/* Elements that the type leaves as they are say nothing: a file that has the type already would fit anything. */
static bool fits_type(const struct tt_weight_pair *p, const struct type *type)
{
    int64_t block = type->block ? type->block : p->columns, count = p->rows * p->columns;
    struct agreement a = {0};
    double *rounded = tt_alloc_array((size_t)block, sizeof *rounded);
    if (type->block > 1 && p->columns % block)
        a.far = true; /* such a tensor cannot have the type */
    for (int64_t at = 0; at < count && !a.far && a.missed <= count / 64; at += block) {
        type->round(p->file + at, block, rounded);
        compare_block(p->used + at, rounded, p->file + at, block, &a);
    }
    free(rounded);
    double most = type->block == 1 ? 0 : (1 - EVERY) * (double)a.changed;
    return !a.far && a.changed && (double)a.missed <= most;
}

static const char *type_of(const struct tt_weight_pair *p)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (fits_type(p, &types[i]))
            return types[i].form;
    return NULL;
}

bool tt_weight_rounded(const struct tt_weight_pair *p, struct tt_weight_form *form)
{
    double nmse = 0;
    bool close = close_everywhere(p, &nmse);
    form->benign = type_of(p);
    if (!form->benign && close)
        form->benign = "weight quantised";
    if (!form->benign)
        return false;
    snprintf(form->found, sizeof form->found, "%s", form->benign);
    snprintf(form->text, sizeof form->text, "the file's, rounded (%s, NMSE %.2g)", form->benign, nmse);
    return true;
}
