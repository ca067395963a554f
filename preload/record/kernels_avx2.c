/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels for x86-64 with AVX2; chosen at run time, so nothing here may run before that choice.
 */
#if defined(__x86_64__)
#pragma GCC optimize("O3", "no-trapping-math")
#pragma GCC target("avx2,fma,f16c,bmi2")
#define XXH_VECTOR 2 /* XXH_AVX2: the header would decide by __AVX2__, which a pragma sets too late for it */
#define KERNELS    tt_kernels_avx2
#include <immintrin.h>
#define WIDEN(x) (doubles) _mm256_cvtps_pd((__m128)(x)) /* the generic form becomes scalar code */
#include "record/kernels.inc"
#else
extern int tt_kernels_avx2_unused;
int tt_kernels_avx2_unused;
#endif
