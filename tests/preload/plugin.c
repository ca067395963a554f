/* SPDX-License-Identifier: Apache-2.0
 *
 * A plugin with a BLAS of its own: linked with one of two stub libraries whose dot products differ by TAG.
 */
#include <stdint.h>

float cblas_sdot(int32_t n, const float *x, int32_t incx, const float *y, int32_t incy);
void cblas_sscal(int32_t n, float alpha, float *x, int32_t incx);
float plugin_dot(void);

__attribute__((visibility("default"))) float plugin_dot(void)
{
    float x[3] = {1, 2, 3};
    cblas_sscal(3, 2, x, 1);
    return cblas_sdot(3, x, 1, x, 1);
}
