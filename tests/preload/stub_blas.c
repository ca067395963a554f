/* SPDX-License-Identifier: Apache-2.0
 *
 * A small BLAS by plain loops, exported under any of the names that libraries use: NAME_CBLAS(r) and
 * NAME_FORTRAN(r) make the names, INT is the integer. It stands in for the renamed and 64-bit libraries that
 * a test machine does not have. C interface and Fortran interface both work on one strided form; as in real
 * libraries, the CBLAS entry of gemm calls the Fortran entry for column-major calls (nested calls).
 *
 * TAG, when set, is added to every result of dot: two such libraries in one process can be told apart.
 */
#include "blas_names.h"

#include <stddef.h>
#include <string.h>

#ifndef TAG
#define TAG 0
#endif

/* Libraries of different layout: what was bound in one must not be called in another at the same address. */
#if TAG == 100
__asm__(".text\n.skip 20000, 0xcc\n");
#endif

#define EXPORT __attribute__((visibility("default")))

/* [i, j] of op(X): strides of the logical matrix. */
struct matrix {
    long row, column;
};

static struct matrix logical(int row_major, int transposed, long leading)
{
    struct matrix stored = {row_major ? leading : 1, row_major ? 1 : leading};
    struct matrix flipped = {stored.column, stored.row};
    return transposed ? flipped : stored;
}

static int is_transposed(int cblas)
{
    return cblas == 112 || cblas == 113;
}

static int is_letter_transposed(char letter)
{
    return letter == 'T' || letter == 't' || letter == 'C' || letter == 'c';
}

static long start(long n, long increment)
{
    return increment < 0 ? (1 - n) * increment : 0;
}

#define GEMM_BODY(r, S, A, B, C)                                                                             \
    static void gemm_##r(struct matrix sa, struct matrix sb, struct matrix sc, long m, long n, long k,       \
                         double alpha, const TYPE_##A *a, const TYPE_##B *b, double beta, TYPE_##C *c)       \
    {                                                                                                        \
        for (long i = 0; i < m; i++) {                                                                       \
            for (long j = 0; j < n; j++) {                                                                   \
                TYPE_##C *out = &c[i * sc.row + j * sc.column];                                              \
                double sum = 0;                                                                              \
                for (long l = 0; l < k; l++)                                                                 \
                    sum += LOAD_##A(a[i * sa.row + l * sa.column]) * LOAD_##B(b[l * sb.row + j * sb.column]);\
                *out = STORE_##C(alpha * sum + (beta != 0 ? beta * LOAD_##C(*out) : 0));                     \
            }                                                                                                \
        }                                                                                                    \
    }

#define GEMM(r, S, A, B, C)                                                                                  \
    GEMM_BODY(r, S, A, B, C)                                                                                 \
    EXPORT void NAME_FORTRAN(r)(const char *ta, const char *tb, const INT *m, const INT *n, const INT *k,    \
                                const TYPE_##S *alpha, const TYPE_##A *a, const INT *lda, const TYPE_##B *b, \
                                const INT *ldb, const TYPE_##S *beta, TYPE_##C *c, const INT *ldc)           \
    {                                                                                                        \
        gemm_##r(logical(0, is_letter_transposed(*ta), *lda), logical(0, is_letter_transposed(*tb), *ldb),   \
                 logical(0, 0, *ldc), *m, *n, *k, LOAD_##S(*alpha), a, b, LOAD_##S(*beta), c);               \
    }                                                                                                        \
    EXPORT void NAME_CBLAS(r)(int order, int ta, int tb, INT m, INT n, INT k, TYPE_##S alpha,                \
                              const TYPE_##A *a, INT lda, const TYPE_##B *b, INT ldb, TYPE_##S beta,         \
                              TYPE_##C *c, INT ldc)                                                          \
    {                                                                                                        \
        if (order == 102) {                                                                                  \
            NAME_FORTRAN(r)(is_transposed(ta) ? "T" : "N", is_transposed(tb) ? "T" : "N", &m, &n, &k,        \
                            &alpha, a, &lda, b, &ldb, &beta, c, &ldc);                                       \
            return;                                                                                          \
        }                                                                                                    \
        gemm_##r(logical(1, is_transposed(ta), lda), logical(1, is_transposed(tb), ldb), logical(1, 0, ldc), \
                 m, n, k, LOAD_##S(alpha), a, b, LOAD_##S(beta), c);                                         \
    }

#define STRIDED(r, gemm, S)                                                                                  \
    EXPORT void NAME_FORTRAN(r)(const char *ta, const char *tb, const INT *m, const INT *n, const INT *k,    \
                                const TYPE_##S *alpha, const TYPE_##S *a, const INT *lda, const INT *step_a, \
                                const TYPE_##S *b, const INT *ldb, const INT *step_b, const TYPE_##S *beta,  \
                                TYPE_##S *c, const INT *ldc, const INT *step_c, const INT *batch)            \
    {                                                                                                        \
        for (INT i = 0; i < *batch; i++)                                                                     \
            NAME_FORTRAN(gemm)(ta, tb, m, n, k, alpha, a + i * *step_a, lda, b + i * *step_b, ldb, beta,     \
                               c + i * *step_c, ldc);                                                        \
    }                                                                                                        \
    EXPORT void NAME_CBLAS(r)(int order, int ta, int tb, INT m, INT n, INT k, TYPE_##S alpha,                \
                              const TYPE_##S *a, INT lda, INT step_a, const TYPE_##S *b, INT ldb,            \
                              INT step_b, TYPE_##S beta, TYPE_##S *c, INT ldc, INT step_c, INT batch)        \
    {                                                                                                        \
        for (INT i = 0; i < batch; i++)                                                                      \
            NAME_CBLAS(gemm)(order, ta, tb, m, n, k, alpha, a + i * step_a, lda, b + i * step_b, ldb, beta,  \
                             c + i * step_c, ldc);                                                           \
    }

#define BATCH(r, gemm, S)                                                                                    \
    EXPORT void NAME_FORTRAN(r)(const char *ta, const char *tb, const INT *m, const INT *n, const INT *k,    \
                                const TYPE_##S *alpha, const TYPE_##S **a, const INT *lda,                   \
                                const TYPE_##S **b, const INT *ldb, const TYPE_##S *beta, TYPE_##S **c,      \
                                const INT *ldc, const INT *groups, const INT *size)                          \
    {                                                                                                        \
        long at = 0;                                                                                         \
        for (INT g = 0; g < *groups; g++)                                                                    \
            for (INT i = 0; i < size[g]; i++, at++)                                                          \
                NAME_FORTRAN(gemm)(ta + g, tb + g, m + g, n + g, k + g, alpha + g, a[at], lda + g, b[at],    \
                                   ldb + g, beta + g, c[at], ldc + g);                                       \
    }                                                                                                        \
    EXPORT void NAME_CBLAS(r)(int order, const int *ta, const int *tb, const INT *m, const INT *n,           \
                              const INT *k, const TYPE_##S *alpha, const TYPE_##S **a, const INT *lda,       \
                              const TYPE_##S **b, const INT *ldb, const TYPE_##S *beta, TYPE_##S **c,        \
                              const INT *ldc, INT groups, const INT *size)                                   \
    {                                                                                                        \
        long at = 0;                                                                                         \
        for (INT g = 0; g < groups; g++)                                                                     \
            for (INT i = 0; i < size[g]; i++, at++)                                                          \
                NAME_CBLAS(gemm)(order, ta[g], tb[g], m[g], n[g], k[g], alpha[g], a[at], lda[g], b[at],      \
                                 ldb[g], beta[g], c[at], ldc[g]);                                            \
    }

#define GEMV(r, S, A, B, C)                                                                                  \
    static void gemv_##r(struct matrix sa, long m, long n, double alpha, const TYPE_##A *a,                  \
                         const TYPE_##B *x, long incx, double beta, TYPE_##C *y, long incy)                  \
    {                                                                                                        \
        for (long i = 0; i < m; i++) {                                                                       \
            TYPE_##C *out = &y[start(m, incy) + i * incy];                                                   \
            double sum = 0;                                                                                  \
            for (long j = 0; j < n; j++)                                                                     \
                sum += LOAD_##A(a[i * sa.row + j * sa.column]) * LOAD_##B(x[start(n, incx) + j * incx]);     \
            *out = STORE_##C(alpha * sum + (beta != 0 ? beta * LOAD_##C(*out) : 0));                         \
        }                                                                                                    \
    }                                                                                                        \
    EXPORT void NAME_FORTRAN(r)(const char *t, const INT *m, const INT *n, const TYPE_##S *alpha,            \
                                const TYPE_##A *a, const INT *lda, const TYPE_##B *x, const INT *incx,       \
                                const TYPE_##S *beta, TYPE_##C *y, const INT *incy)                          \
    {                                                                                                        \
        int flip = is_letter_transposed(*t);                                                                 \
        gemv_##r(logical(0, flip, *lda), flip ? *n : *m, flip ? *m : *n, *alpha, a, x, *incx, *beta, y,      \
                 *incy);                                                                                     \
    }                                                                                                        \
    EXPORT void NAME_CBLAS(r)(int order, int t, INT m, INT n, TYPE_##S alpha, const TYPE_##A *a, INT lda,    \
                              const TYPE_##B *x, INT incx, TYPE_##S beta, TYPE_##C *y, INT incy)             \
    {                                                                                                        \
        int flip = is_transposed(t);                                                                         \
        gemv_##r(logical(order == 101, flip, lda), flip ? n : m, flip ? m : n, alpha, a, x, incx, beta, y,   \
                 incy);                                                                                      \
    }

#define DOT(r, S, A)                                                                                         \
    EXPORT TYPE_##S NAME_CBLAS(r)(INT n, const TYPE_##A *x, INT incx, const TYPE_##A *y, INT incy)           \
    {                                                                                                        \
        double sum = TAG;                                                                                    \
        for (long i = 0; i < n; i++)                                                                         \
            sum += LOAD_##A(x[start(n, incx) + i * incx]) * LOAD_##A(y[start(n, incy) + i * incy]);          \
        return (TYPE_##S)sum;                                                                                \
    }                                                                                                        \
    EXPORT TYPE_##S NAME_FORTRAN(r)(const INT *n, const TYPE_##A *x, const INT *incx, const TYPE_##A *y,     \
                                    const INT *incy)                                                         \
    {                                                                                                        \
        return NAME_CBLAS(r)(*n, x, *incx, y, *incy);                                                        \
    }

#define AXPY(r, S)                                                                                           \
    EXPORT void NAME_CBLAS(r)(INT n, TYPE_##S alpha, const TYPE_##S *x, INT incx, TYPE_##S *y, INT incy)     \
    {                                                                                                        \
        for (long i = 0; i < n; i++)                                                                         \
            y[start(n, incy) + i * incy] += alpha * x[start(n, incx) + i * incx];                            \
    }                                                                                                        \
    EXPORT void NAME_FORTRAN(r)(const INT *n, const TYPE_##S *alpha, const TYPE_##S *x, const INT *incx,     \
                                TYPE_##S *y, const INT *incy)                                                \
    {                                                                                                        \
        NAME_CBLAS(r)(*n, *alpha, x, *incx, y, *incy);                                                       \
    }

#define SCAL(r, S)                                                                                           \
    EXPORT void NAME_CBLAS(r)(INT n, TYPE_##S alpha, TYPE_##S *x, INT incx)                                  \
    {                                                                                                        \
        for (long i = 0; i < n && incx > 0; i++)                                                             \
            x[i * incx] *= alpha;                                                                            \
    }                                                                                                        \
    EXPORT void NAME_FORTRAN(r)(const INT *n, const TYPE_##S *alpha, TYPE_##S *x, const INT *incx)           \
    {                                                                                                        \
        NAME_CBLAS(r)(*n, *alpha, x, *incx);                                                                 \
    }

GEMM(sgemm, F32, F32, F32, F32)
GEMM(dgemm, F64, F64, F64, F64)
GEMM(sbgemm, F32, BF16, BF16, F32)
GEMM(bgemm, BF16, BF16, BF16, BF16)
GEMM(shgemm, F32, F16, F16, F32)
GEMM(hgemm, F16, F16, F16, F16)
GEMM(gemm_bf16bf16f32, F32, BF16, BF16, F32)
GEMM(gemm_f16f16f32, F32, F16, F16, F32)
GEMV(sgemv, F32, F32, F32, F32)
GEMV(dgemv, F64, F64, F64, F64)
GEMV(sbgemv, F32, BF16, BF16, F32)
DOT(sdot, F32, F32)
DOT(ddot, F64, F64)
DOT(sbdot, F32, BF16)
AXPY(saxpy, F32)
AXPY(daxpy, F64)
SCAL(sscal, F32)
SCAL(dscal, F64)
STRIDED(sgemm_batch_strided, sgemm, F32)
STRIDED(dgemm_batch_strided, dgemm, F64)
BATCH(sgemm_batch, sgemm, F32)
BATCH(dgemm_batch, dgemm, F64)
