/* SPDX-License-Identifier: Apache-2.0
 *
 * Element types and names for stub_blas.c and calls.c. The build defines
 *   PREFIX, CBLAS_SUFFIX, FORTRAN_SUFFIX, INT  (for example scipy_, 64_, _64_, int64_t).
 */
#ifndef BLAS_NAMES_H
#define BLAS_NAMES_H

#include <stdint.h>
#include <string.h>

#define JOIN4(a, b, c, d) a##b##c##d
#define JOIN(a, b, c, d)  JOIN4(a, b, c, d)
#define NAME_CBLAS(r)     JOIN(PREFIX, cblas_, r, CBLAS_SUFFIX)
#define NAME_FORTRAN(r)   JOIN(PREFIX, , r, FORTRAN_SUFFIX)

#define TYPE_F32  float
#define TYPE_F64  double
#define TYPE_F16  uint16_t
#define TYPE_BF16 uint16_t

static inline double from_bf16(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof(value));
    return value;
}

/* The test's values are small: truncation is exact for those with few bits, and rounds others down. */
static inline uint16_t to_bf16(double value)
{
    float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof(bits));
    return (uint16_t)(bits >> 16);
}

static inline double from_f16(uint16_t bits)
{
    int exponent = bits >> 10 & 31;
    double value = exponent ? 1.0 + (bits & 1023) / 1024.0 : (bits & 1023) / 1024.0;
    for (int i = exponent ? exponent : 1; i < 15; i++)
        value /= 2;
    for (int i = exponent; i > 15; i--)
        value *= 2;
    return bits >> 15 ? -value : value;
}

static inline uint16_t to_f16(double value)
{
    uint16_t sign = value < 0 ? 0x8000 : 0;
    int exponent = 15;
    value = value < 0 ? -value : value;
    if (value == 0)
        return sign;
    for (; value >= 2; exponent++)
        value /= 2;
    for (; value < 1; exponent--)
        value *= 2;
    return (uint16_t)(sign | exponent << 10 | (int)((value - 1) * 1024));
}

#define LOAD_F32(x)   ((double)(x))
#define LOAD_F64(x)   (x)
#define LOAD_F16(x)   from_f16(x)
#define LOAD_BF16(x)  from_bf16(x)
#define STORE_F32(x)  ((float)(x))
#define STORE_F64(x)  (x)
#define STORE_F16(x)  to_f16(x)
#define STORE_BF16(x) to_bf16(x)

#endif
