/* SPDX-License-Identifier: Apache-2.0
 *
 * A BLAS that computes wrongly in one way, WRONG_BLAS, for tests of kernel faults:
 *   none        nothing is wrong
 *   tail        the last n mod 4 columns of gemm and the last m mod 4 results of gemv are not written
 *   f16, bf16   sums are rounded to that type after every step
 *   tf32        operands are rounded to 11 significant bits on the way in, which right libraries do, too
 *   alpha, beta the factor is not applied
 *   half        the result is halved
 *   nan         one element is NaN
 *   noise       one element is wrong
 * WRONG_BLAS_COLUMNS: only products with so many columns are hit. WRONG_BLAS_EXTRA: as the program starts a product of its
 * own, [5, 16]·[16, 7], which belongs to no model.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

struct product {
    long m, n, k;
    const float *a, *b;
    long a_row, a_column, b_row, b_column, c_row, c_column;
    float alpha, beta, *c;
};

EXPORT void cblas_sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda,
                        const float *b, int ldb, float beta, float *c, int ldc);
EXPORT void cblas_sgemv(int order, int ta, int m, int n, float alpha, const float *a, int lda, const float *x, int incx,
                        float beta, float *y, int incy);
EXPORT float cblas_sdot(int n, const float *x, int incx, const float *y, int incy);

static int wrong(const char *how, const struct product *p)
{
    const char *chosen = getenv("WRONG_BLAS"), *columns = getenv("WRONG_BLAS_COLUMNS");
    return chosen && strcmp(chosen, how) == 0 && (!columns || atol(columns) == p->n);
}

/* Nearest number with `bits` significant bits. */
static double rounded(double x, int bits)
{
    int exponent;
    double fraction = frexp(x, &exponent);
    return ldexp(nearbyint(ldexp(fraction, bits)), exponent - bits);
}

static double sum(const struct product *p, long i, long j)
{
    int steps = wrong("f16", p) ? 11 : wrong("bf16", p) ? 8 : 24, operands = wrong("tf32", p) ? 11 : 24;
    double total = 0;
    for (long l = 0; l < p->k; l++)
        total = rounded(total + rounded(p->a[i * p->a_row + l * p->a_column], operands) *
                                    rounded(p->b[l * p->b_row + j * p->b_column], operands),
                        steps);
    return total;
}

static void multiply(const struct product *p)
{
    double alpha = wrong("alpha", p) ? 1 : wrong("half", p) ? p->alpha / 2 : p->alpha, beta = wrong("beta", p) ? 0 : p->beta;
    long last = wrong("tail", p) ? p->n - p->n % 4 : p->n;
    for (long i = 0; i < p->m; i++) {
        for (long j = 0; j < last; j++) {
            float *c = &p->c[i * p->c_row + j * p->c_column];
            double y = alpha * sum(p, i, j) + (beta != 0 ? beta * *c : 0);
            if (i == p->m - 1 && j == p->n / 2)
                y = wrong("nan", p) ? NAN : wrong("noise", p) ? y * 1.5 + 1 : y;
            *c = (float)y;
        }
    }
}

void cblas_sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                 int ldb, float beta, float *c, int ldc)
{
    int rows = order == 101, a_by_row = rows == (ta == 111), b_by_row = rows == (tb == 111);
    multiply(&(struct product){m, n, k, a, b, a_by_row ? lda : 1, a_by_row ? 1 : lda, b_by_row ? ldb : 1, b_by_row ? 1 : ldb,
                               rows ? ldc : 1, rows ? 1 : ldc, alpha, beta, c});
}

/* y as the one row of a product: its elements are the columns. */
void cblas_sgemv(int order, int ta, int m, int n, float alpha, const float *a, int lda, const float *x, int incx, float beta,
                 float *y, int incy)
{
    int plain = ta == 111, by_row = (order == 101) == plain;
    multiply(&(struct product){1, plain ? m : n, plain ? n : m, x, a, 0, incx, by_row ? 1 : lda, by_row ? lda : 1, 0, incy,
                               alpha, beta, y});
}

float cblas_sdot(int n, const float *x, int incx, const float *y, int incy)
{
    float out = 0;
    multiply(&(struct product){1, 1, n, x, y, 0, incx, incy, 0, 0, 0, 1, 0, &out});
    return out;
}

__attribute__((constructor)) static void multiply_once(void)
{
    float a[5 * 16], b[16 * 7], c[5 * 7];
    for (int i = 0; i < 5 * 16; i++)
        a[i] = (float)(i % 11) - 4.7f;
    for (int i = 0; i < 16 * 7; i++)
        b[i] = (float)(i % 13) - 5.3f;
    if (getenv("WRONG_BLAS_EXTRA"))
        cblas_sgemm(101, 111, 111, 5, 7, 16, 1, a, 16, b, 7, 0, c, 7);
}
