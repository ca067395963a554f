/* SPDX-License-Identifier: Apache-2.0
 *
 * A library with functions of its own that happen to be called like BLAS routines, with arguments of their
 * own, integer and floating-point, in registers and on the stack.
 */
__attribute__((visibility("default"))) double saxpy(int n, float a, float *x, float *y);
__attribute__((visibility("default"))) double sgemm(int m, double a, int n, double b, int k, double c, int p, int q,
                                                    int r, int s, double d, double e, double f, double g,
                                                    double h, double i, long last);

double saxpy(int n, float a, float *x, float *y)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (y[i] += a * x[i]);
    return sum;
}

double sgemm(int m, double a, int n, double b, int k, double c, int p, int q, int r, int s, double d, double e,
             double f, double g, double h, double i, long last)
{
    return m + 2 * a + 3 * n + 4 * b + 5 * k + 6 * c + 7 * p + 8 * q + 9 * r + 10 * s + 11 * d + 12 * e + 13 * f +
           14 * g + 15 * h + 16 * i + 17 * (double)last;
}
