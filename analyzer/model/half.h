/* SPDX-License-Identifier: Apache-2.0
 *
 * Narrow floats to f32 and back. Widening is exact; narrowing rounds to nearest, ties to even, overflows
 * to infinity and keeps NaN a NaN, as hardware conversions do. Widening chooses by masks, for a
 * compiler makes branches of other choices between floats, and compares signed numbers, as SSE2 does: loops over it
 * vectorise.
 */
#ifndef TT_MODEL_HALF_H
#define TT_MODEL_HALF_H

#include <stdint.h>
#include <string.h>

static inline float tt_float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t tt_bits_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* `yes` where the condition holds, else `no`. */
static inline uint32_t tt_choose_bits(int condition, uint32_t yes, uint32_t no)
{
    uint32_t mask = -(uint32_t)condition;
    return (yes & mask) | (no & ~mask);
}

static inline float tt_f16_to_f32(uint16_t half)
{
    const uint32_t rebias = 112u << 23; /* 127 - 15 */
    uint32_t magnitude = half & 0x7fffu;
    uint32_t special = tt_choose_bits((int32_t)magnitude >= 0x7c00, rebias, 0); /* infinity and NaN: exponent 31 becomes 255 */
    uint32_t normal = (magnitude << 13) + rebias + special;
    uint32_t subnormal = tt_bits_of_float((float)(int32_t)magnitude * 0x1p-24f);
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    return tt_float_of_bits(sign | tt_choose_bits((int32_t)magnitude < 0x400, subnormal, normal));
}

static inline float tt_bf16_to_f32(uint16_t half)
{
    return tt_float_of_bits((uint32_t)half << 16);
}

/* The "fn" variant of OCP: no infinity, 0x7f and 0xff are NaN. */
static inline float tt_f8_e4m3_to_f32(uint8_t byte)
{
    uint32_t magnitude = byte & 0x7fu;
    uint32_t normal = (magnitude << 20) + (120u << 23); /* 127 - 7 */
    uint32_t subnormal = tt_bits_of_float((float)(int32_t)magnitude * 0x1p-9f);
    uint32_t finite = tt_choose_bits((int32_t)magnitude < 8, subnormal, normal);
    uint32_t bits = tt_choose_bits(magnitude == 0x7fu, 0x7fc00000u, finite);
    return tt_float_of_bits(bits | (uint32_t)(byte & 0x80u) << 24);
}

static inline uint16_t tt_f32_to_bf16(float value)
{
    uint32_t bits = tt_bits_of_float(value);

    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u); /* keep it a NaN when only low payload bits are set */
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static inline uint16_t tt_f32_to_f16(float value)
{
    uint32_t bits = tt_bits_of_float(value), magnitude = bits & 0x7fffffffu;
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);

    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x1ffu));
    if (magnitude >= 0x477ff000u) /* 65520 rounds up to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) { /* below 2^-14: adding 1/2 lets the adder round to multiples of 2^-24 */
        uint32_t rounded = tt_bits_of_float(tt_float_of_bits(magnitude) + 0.5f);
        return (uint16_t)(sign | (rounded - 0x3f000000u));
    }
    magnitude += 0xfffu + (magnitude >> 13 & 1u);
    return (uint16_t)(sign | ((magnitude - (112u << 23)) >> 13));
}

#endif
