/* SPDX-License-Identifier: Apache-2.0
 *
 * The product of matrices under every op that sums over channels or keys.
 */
#ifndef TT_OPS_PRODUCT_H
#define TT_OPS_PRODUCT_H

#include "ops/op.h"

/* c[m, n] = a[m, k]·b, b being [k, n], or [n, k] when transposed; all row-major, lda… elements between rows. */
struct tt_matrices {
    bool transposed;
    int64_t m, n, k;
    const double *a, *b;
    int64_t lda, ldb;
    double *c;
    int64_t ldc;
};

/* Summed in f64; in f32, by a BLAS's sgemm, when the call is to compute as engines do (call->single). */
void tt_op_product(const struct tt_op_call *call, const struct tt_matrices *product);

#endif
