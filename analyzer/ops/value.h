/* SPDX-License-Identifier: Apache-2.0
 *
 * Values with an error bar: what an op should have computed, and how far a right implementation in the
 * engine's precision may be from it. See docs/error-model.md.
 */
#ifndef TT_OPS_VALUE_H
#define TT_OPS_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TT_VALUE_RANK 4

#define TT_UNKNOWN_VARIANCE 1e300 /* of elements that nothing determines: never judged */
static inline bool tt_unknown(double variance)
{
    return !(variance <= 1e200); /* what NaN and Inf made of it is as unknown */
}

struct tt_value {
    int rank;
    int64_t shape[TT_VALUE_RANK]; /* row-major, e.g. [tokens, hidden], [tokens, heads, head_dim], [tokens, heads, keys] */
    double *v;                    /* [count] exact-arithmetic value on the inputs given */
    double *var;                  /* [count] variance of the engine's independent rounding errors; NULL: exact */
    double *row_var;              /* [count / last axis] variance of one *relative* error common to the row (norms, softmax
                                     denominators); NULL: none */
};

/* Shape only -> allocated v (zeroed), var and row_var NULL. */
struct tt_value tt_value_new(int rank, const int64_t *shape);
/* The same with v not zeroed: for values that are filled at once. */
struct tt_value tt_value_unset(int rank, const int64_t *shape);
void tt_value_free(struct tt_value *value); /* frees the arrays, zeroes the struct; safe on a zeroed one */
struct tt_value tt_value_copy(const struct tt_value *value);

static inline int64_t tt_value_count(const struct tt_value *value)
{
    int64_t n = 1;
    for (int i = 0; i < value->rank; i++)
        n *= value->shape[i];
    return n;
}

/* Length of the last axis; number of rows. */
static inline int64_t tt_value_width(const struct tt_value *value)
{
    return value->rank ? value->shape[value->rank - 1] : 1;
}
static inline int64_t tt_value_rows(const struct tt_value *value)
{
    int64_t width = tt_value_width(value);
    return width ? tt_value_count(value) / width : 0;
}

/* Allocates var (zeroed) if it is NULL and returns it. */
double *tt_value_need_var(struct tt_value *value);
double *tt_value_need_row_var(struct tt_value *value);
/* Total variance of element i: var + row_var·v². */
double tt_value_variance(const struct tt_value *value, int64_t i);

/* x rounded to nearest even with unit round-off `unit` (2^-8 for bf16); 0: x. Exponent range is not limited. */
double tt_round_to_unit(double x, double unit);

#endif
