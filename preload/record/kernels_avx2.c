/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels for x86-64 with AVX2; chosen at run time, so nothing here may run before that choice. The instruction
 * set comes from the build (CMakeLists.txt): compilers have no pragma in common.
 */
#if defined(__x86_64__)
#define KERNELS tt_kernels_avx2
#include <immintrin.h>
#define WIDEN(x) (doubles) _mm256_cvtps_pd((__m128)(x)) /* the generic form becomes scalar code */
#include "record/kernels.inc"
#else
extern int tt_kernels_avx2_unused;
int tt_kernels_avx2_unused;
#endif
