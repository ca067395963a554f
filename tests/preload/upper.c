/* SPDX-License-Identifier: Apache-2.0
 *
 * Upper-case Fortran names, as MKL exports them.
 */
#include <stdint.h>
#include <stdio.h>

void SGEMM(const char *ta, const char *tb, const int32_t *m, const int32_t *n, const int32_t *k, const float *alpha,
           const float *a, const int32_t *lda, const float *b, const int32_t *ldb, const float *beta, float *c,
           const int32_t *ldc);
double DDOT(const int32_t *n, const double *x, const int32_t *incx, const double *y, const int32_t *incy);

int main(void)
{
    float a[6] = {1, 2, 3, 4, 5, 6}, c[4], one = 1, zero = 0;
    double x[3] = {1, 2, 3};
    int32_t two = 2, three = 3, step = 1;
    SGEMM("N", "T", &two, &two, &three, &one, a, &two, a, &two, &zero, c, &two);
    printf("%g %g %g %g %g\n", c[0], c[1], c[2], c[3], DDOT(&three, x, &step, x, &step));
    return 0;
}
