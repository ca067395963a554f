/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of a run in f32, f16 or bf16 are f32 numbers, so the conversion to float loses nothing; what such a run adds is
 * the rounding of its sums.
 */
#include "ops/product.h"

#include <cblas.h>
#include <stdlib.h>

#include "ops/support.h"

static float *as_floats(const double *from, int64_t rows, int64_t columns, int64_t ld)
{
    float *to = tt_alloc_array((size_t)(rows * columns) + 1, sizeof *to);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < columns; i++)
            to[r * columns + i] = (float)from[r * ld + i];
    return to;
}

static void single_product(const struct tt_matrices *p)
{
    int64_t rows = p->transposed ? p->n : p->k, columns = p->transposed ? p->k : p->n;
    float *a = as_floats(p->a, p->m, p->k, p->lda), *b = as_floats(p->b, rows, columns, p->ldb);
    float *c = tt_alloc_array((size_t)(p->m * p->n) + 1, sizeof *c);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, p->transposed ? CblasTrans : CblasNoTrans, (int)p->m, (int)p->n, (int)p->k, 1,
                a, (int)p->k, b, (int)columns, 0, c, (int)p->n);
    for (int64_t r = 0; r < p->m; r++)
        for (int64_t i = 0; i < p->n; i++)
            p->c[r * p->ldc + i] = (double)c[r * p->n + i];
    free(a);
    free(b);
    free(c);
}

double tt_sum_term_variance(const struct tt_op_call *call, int64_t terms)
{
    double u = call->numerics.u_acc;
    return u * u * (TT_ROUNDING_VARIANCE + 0.09 * (double)terms);
}

double tt_sum_drift_variance(const struct tt_op_call *call, int64_t terms)
{
    double u = call->numerics.u_acc;
    return 0.06 * (double)terms * u * u;
}

void tt_op_product_f64(const struct tt_matrices *p, bool adds)
{
    if (!p->m || !p->n || !p->k)
        return;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, p->transposed ? CblasTrans : CblasNoTrans, (int)p->m, (int)p->n, (int)p->k, 1,
                p->a, (int)p->lda, p->b, (int)p->ldb, adds, p->c, (int)p->ldc);
}

void tt_op_product(const struct tt_op_call *call, const struct tt_matrices *p)
{
    if (!p->m || !p->n || !p->k)
        return;
    if (call->single) {
        single_product(p);
        return;
    }
    tt_op_product_f64(p, false);
}
