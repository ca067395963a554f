/* SPDX-License-Identifier: Apache-2.0
 *
 * A program without a model: products in a few shapes and orders, results printed so that they are used.
 */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>

static float a[24 * 96], b[96 * 24], c[24 * 24];

static void fill(float *v, int n, unsigned state)
{
    for (int i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        v[i] = (float)(state >> 8) * 0x1p-23f - 1;
    }
}

int main(void)
{
    fill(a, 24 * 96, 1);
    fill(b, 96 * 24, 2);
    fill(c, 24 * 24, 3);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, 20, 23, 96, 1, a, 96, b, 96, 0, c, 24);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, 20, 23, 96, 0.25f, a, 96, b, 24, 0.5f, c, 24);
    cblas_sgemm(CblasColMajor, CblasTrans, CblasNoTrans, 20, 23, 96, 0.25f, a, 96, b, 96, 2, c, 24);
    cblas_sgemv(CblasRowMajor, CblasNoTrans, 23, 96, 3, b, 96, a, 1, 0, c, 1);
    float dot = cblas_sdot(96, a, 1, b, 1);
    printf("%g %g\n", (double)c[0], (double)dot);
    return 0;
}
