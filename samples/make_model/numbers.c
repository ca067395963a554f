/* SPDX-License-Identifier: Apache-2.0
 *
 * Rounding to and writing of f32, f16 and bf16, little-endian.
 */
#include <math.h>
#include <string.h>

#include "maker.h"

size_t type_size(enum number_type type)
{
    return type == TYPE_F32 ? 4 : 2;
}

static uint16_t float_to_bf16(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static float bf16_to_float(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* Finite values up to 65504 in magnitude; nearbyint rounds ties to even. */
static uint16_t float_to_f16(float value)
{
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    int exponent;

    value = fabsf(value);
    if (value == 0)
        return sign;
    frexpf(value, &exponent); /* value = m · 2^exponent, ½ ≤ m < 1 */
    if (exponent < -13)
        return sign | (uint16_t)nearbyintf(ldexpf(value, 24)); /* subnormal: units of 2⁻²⁴ */
    /* A mantissa that rounds up to 2048 carries into the exponent by itself. */
    return sign + ((exponent + 13) << 10) + (uint16_t)nearbyintf(ldexpf(value, 11 - exponent));
}

static float f16_to_float(uint16_t bits)
{
    int exponent = bits >> 10 & 31;
    float mantissa = bits & 1023;
    float value = exponent ? ldexpf(1024 + mantissa, exponent - 25) : ldexpf(mantissa, -24);

    return bits >> 15 ? -value : value;
}

void round_values(float *values, size_t count, enum number_type type)
{
    for (size_t i = 0; i < count; i++) {
        if (type == TYPE_F16)
            values[i] = f16_to_float(float_to_f16(values[i]));
        else if (type == TYPE_BF16)
            values[i] = bf16_to_float(float_to_bf16(values[i]));
    }
}

int write_values(FILE *file, const float *values, size_t count, enum number_type type)
{
    if (type == TYPE_F32)
        return fwrite(values, sizeof(*values), count, file) == count ? 0 : -1;
    for (size_t i = 0; i < count; i++) {
        uint16_t bits = type == TYPE_F16 ? float_to_f16(values[i]) : float_to_bf16(values[i]);

        if (fwrite(&bits, sizeof(bits), 1, file) != 1)
            return -1;
    }
    return 0;
}
