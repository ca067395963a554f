/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls the functions of own_names.c.
 */
#include <stdio.h>

double saxpy(int n, float a, float *x, float *y);
double sgemm(int m, double a, int n, double b, int k, double c, int p, int q, int r, int s, double d, double e,
             double f, double g, double h, double i, long last);

int main(void)
{
    float x[3] = {1, 2, 3}, y[3] = {10, 20, 30};
    printf("%.17g\n", saxpy(3, 0.5f, x, y));
    printf("%.17g\n", sgemm(1, 2.5, 3, 4.5, 5, 6.5, 7, 8, 9, 10, 11.5, 12.5, 13.5, 14.5, 15.5, 16.5, 1L << 40));
    return 0;
}
