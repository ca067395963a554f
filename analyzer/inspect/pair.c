/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors are added up by block, each against the error that the steps of that very block predict: one spoilt block in
 * a matrix of millions shows, and a coarse type is granted no more than it needs.
 */
#include "inspect/pair.h"

#include <math.h>
#include <stdlib.h>

#include "inspect/rounding.h"

#define PART      (1 << 19) /* elements that are read at once */
#define FLOATS    32        /* elements of a block where no type has one */
#define TOO_MUCH  3.0       /* times the expected error, over a tensor: quantisers weigh errors, and clip */
#define BAD_BLOCK 16.0      /* times the expected error, over one block */

bool tt_pair_of(const struct tt_placed *a, const struct tt_placed *b, struct tt_pair *pair)
{
    *pair = (struct tt_pair){.a = a, .b = b, .columns = a->columns};
    pair->rows = a->rows < b->rows ? a->rows : b->rows;
    pair->swapped = tt_rounding_nominal(b->tensor->dtype) < tt_rounding_nominal(a->tensor->dtype);
    return a->columns == b->columns && pair->rows > 0 && pair->columns > 0;
}

const struct tt_placed *tt_pair_exact(const struct tt_pair *pair)
{
    return pair->swapped ? pair->b : pair->a;
}

const struct tt_placed *tt_pair_other(const struct tt_pair *pair)
{
    return pair->swapped ? pair->a : pair->b;
}

static bool known(enum tt_dtype dtype)
{
    return tt_rounding_nominal(dtype) != 0.1;
}

bool tt_pair_known(const struct tt_pair *pair)
{
    return known(pair->a->tensor->dtype) && known(pair->b->tensor->dtype);
}

double tt_pair_nmse(const struct tt_pair_difference *d)
{
    return d->size > 0 ? d->error / d->size : d->error > 0 ? INFINITY : 0;
}

double tt_pair_expected(const struct tt_pair_difference *d)
{
    return d->size > 0 ? d->expected / d->size : 0;
}

/* A common factor is seen long before it adds to the error; coarse types shrink numbers by their own NMSE. */
static bool same_scale(const struct tt_pair_difference *d)
{
    double nmse = tt_pair_expected(d), fit = d->size > 0 ? d->product / d->size : 1;
    return fabs(fit - 1) <= 3 * nmse + 6 * sqrt(nmse / (double)d->count) + 1e-12;
}

bool tt_pair_equal(const struct tt_pair_difference *d)
{
    return !d->nonfinite && !d->bad && d->error <= TOO_MUCH * d->expected && same_scale(d);
}

/* ---- blocks ---- */

struct block_type {
    enum tt_dtype a, b;
    int64_t length;
};

struct sums {
    double error, size, left, product;
};

/* Numbers that are not finite are counted and left out. */
static struct sums sum_finite(const double *exact, const double *other, int64_t n, struct tt_pair_difference *d)
{
    struct sums s = {0};
    for (int64_t i = 0; i < n; i++) {
        double e = other[i] - exact[i];
        d->nonfinite += isfinite(other[i]) != isfinite(exact[i]);
        if (!isfinite(e))
            continue;
        s.error += e * e;
        s.size += exact[i] * exact[i];
        s.left += other[i] * other[i];
        s.product += exact[i] * other[i];
    }
    return s;
}

static struct sums sum_block(const double *exact, const double *other, int64_t n, struct tt_pair_difference *d)
{
    struct sums s = {0};
    for (int64_t i = 0; i < n; i++) {
        double e = other[i] - exact[i];
        s.error += e * e;
        s.size += exact[i] * exact[i];
        s.left += other[i] * other[i];
        s.product += exact[i] * other[i];
    }
    return isfinite(s.error + s.size + s.left) ? s : sum_finite(exact, other, n, d);
}

static void add_block(const struct block_type *type, const double *exact, const double *other, int64_t n, int64_t at,
                      struct tt_pair_difference *d)
{
    struct sums s = sum_block(exact, other, n, d);
    double expected = tt_rounding_error(type->a, exact, n) + tt_rounding_error(type->b, exact, n);
    bool bad = s.error > BAD_BLOCK * expected, zero = s.size > 0 && s.left == 0 && s.error > 2 * expected;
    if ((bad || zero) && d->at < 0)
        d->at = at;
    d->bad += bad || zero;
    d->zero += zero;
    d->blocks++;
    d->error += s.error;
    d->size += s.size;
    d->product += s.product;
    d->expected += isfinite(expected) ? expected : 0;
}

static void add_rows(const struct block_type *type, const double *exact, const double *other, int64_t rows, int64_t columns,
                     int64_t at, struct tt_pair_difference *d)
{
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < columns; c += type->length) {
            int64_t n = columns - c < type->length ? columns - c : type->length, first = r * columns + c;
            add_block(type, exact + first, other + first, n, at + first, d);
        }
    }
    d->count += rows * columns;
}

int tt_pair_measure(const struct tt_pair *pair, struct tt_pair_difference *d, struct tt_error *error)
{
    enum tt_dtype a = pair->a->tensor->dtype, b = pair->b->tensor->dtype;
    int64_t longer = tt_rounding_block(a) > tt_rounding_block(b) ? tt_rounding_block(a) : tt_rounding_block(b);
    struct block_type type = {a, b, longer > 1 ? longer : FLOATS};
    int64_t step = pair->columns < PART ? PART / pair->columns : 1;
    double *left = tt_alloc_array((size_t)(step * pair->columns), sizeof *left);
    double *right = tt_alloc_array((size_t)(step * pair->columns), sizeof *right);
    int failed = 0;
    *d = (struct tt_pair_difference){.at = -1};
    for (int64_t row = 0; row < pair->rows && !failed; row += step) {
        int64_t count = pair->rows - row < step ? pair->rows - row : step;
        failed = tt_placed_read(pair->a, pair->a, row, count, left, error) ||
                 tt_placed_read(pair->b, pair->a, row, count, right, error);
        if (!failed)
            add_rows(&type, pair->swapped ? right : left, pair->swapped ? left : right, count, pair->columns,
                     row * pair->columns, d);
    }
    free(left);
    free(right);
    return failed ? -1 : 0;
}
