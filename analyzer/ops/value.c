/* SPDX-License-Identifier: Apache-2.0
 *
 * Allocation of values. A value owns its three arrays; an absent variance array means "exact".
 */
#include "ops/value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static double *duplicate(const double *from, int64_t count)
{
    if (!from)
        return NULL;
    double *copy = tt_alloc_array((size_t)count, sizeof *copy);
    memcpy(copy, from, (size_t)count * sizeof *copy);
    return copy;
}

struct tt_value tt_value_new(int rank, const int64_t *shape)
{
    struct tt_value value = {.rank = rank};
    memcpy(value.shape, shape, (size_t)rank * sizeof *shape);
    value.v = tt_alloc_array((size_t)tt_value_count(&value), sizeof *value.v);
    return value;
}

struct tt_value tt_value_unset(int rank, const int64_t *shape)
{
    struct tt_value value = {.rank = rank};
    memcpy(value.shape, shape, (size_t)rank * sizeof *shape);
    value.v = tt_grow(NULL, (size_t)tt_value_count(&value) + 1, sizeof *value.v);
    return value;
}

void tt_value_free(struct tt_value *value)
{
    free(value->v);
    free(value->var);
    free(value->row_var);
    memset(value, 0, sizeof *value);
}

struct tt_value tt_value_copy(const struct tt_value *value)
{
    struct tt_value copy = *value;
    copy.v = duplicate(value->v, tt_value_count(value));
    copy.var = duplicate(value->var, tt_value_count(value));
    copy.row_var = duplicate(value->row_var, tt_value_rows(value));
    return copy;
}

double *tt_value_need_var(struct tt_value *value)
{
    if (!value->var)
        value->var = tt_alloc_array((size_t)tt_value_count(value), sizeof *value->var);
    return value->var;
}

double *tt_value_need_row_var(struct tt_value *value)
{
    if (!value->row_var)
        value->row_var = tt_alloc_array((size_t)tt_value_rows(value), sizeof *value->row_var);
    return value->row_var;
}

double tt_value_variance(const struct tt_value *value, int64_t i)
{
    double variance = value->var ? value->var[i] : 0;
    if (value->row_var)
        variance += value->row_var[i / tt_value_width(value)] * value->v[i] * value->v[i];
    return variance;
}

double tt_round_to_unit(double x, double unit)
{
    int exponent;
    double fraction = frexp(x, &exponent);
    if (!(unit > 0) || x == 0 || !isfinite(x))
        return x;
    return ldexp(nearbyint(fraction / unit) * unit, exponent);
}
