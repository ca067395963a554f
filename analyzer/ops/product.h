/* SPDX-License-Identifier: Apache-2.0
 *
 * The product of matrices under every op that sums over channels or keys.
 */
#ifndef TT_OPS_PRODUCT_H
#define TT_OPS_PRODUCT_H

#include "ops/op.h"

/* c[m, n] = a[m, k]·b, b being [k, n], or [n, k] when transposed; all row-major, lda… elements between rows. Without a term (k 0) c stays as it is. */
struct tt_matrices {
    bool transposed;
    int64_t m, n, k;
    const double *a, *b;
    int64_t lda, ldb;
    double *c;
    int64_t ldc;
};

/* The error of a sum of `terms` products: what each of them adds to the variance, over its own square, and what a sum with
 * a trend loses beyond a random walk, over the result's square. docs/error-model.md has the source. */
double tt_sum_term_variance(const struct tt_op_call *call, int64_t terms);
double tt_sum_drift_variance(const struct tt_op_call *call, int64_t terms);

/* Of variances: always in f64; `adds`: to what c holds. */
void tt_op_product_f64(const struct tt_matrices *product, bool adds);

/* Summed in f64; in f32, by a BLAS's sgemm, when the call is to compute as engines do (call->single). */
void tt_op_product(const struct tt_op_call *call, const struct tt_matrices *product);

#endif
