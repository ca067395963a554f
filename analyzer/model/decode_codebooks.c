/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: block types whose codes are looked up or are three-valued, to f32: ggml's IQ4, TQ, MXFP4 and NVFP4.
 * Products are taken in f32 in the order of the format's definition, so values are those of any engine, bit for
 * bit. Offsets in comments are bytes from the start of the block.
 */
#include "model/decode_blocks.h"

#include "model/file.h"
#include "model/half.h"

static float scale_at(const uint8_t *at)
{
    return tt_f16_to_f32(tt_load_u16(at));
}

/* `half` bytes: their low nibbles are the first half of the elements, the high ones the second. */
static inline void decode_nibbles(float d, const int8_t values[16], const uint8_t *codes, int half, float *out)
{
    for (int i = 0; i < half; i++) {
        out[i] = d * (float)values[codes[i] & 15];
        out[i + half] = d * (float)values[codes[i] >> 4];
    }
}

/* The codebook of the "non-linear" four-bit types. */
static const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};

/* 0: d; 2: codes [16] */
void tt_decode_iq4_nl(const uint8_t *block, float *out)
{
    decode_nibbles(scale_at(block), iq4_values, block + 2, 16, out);
}

/* 0: d; 2: upper two bits of the scales; 4: their low nibbles [4]; 8: codes [128] */
void tt_decode_iq4_xs(const uint8_t *block, float *out)
{
    float d = scale_at(block);
    int high = tt_load_u16(block + 2);

    for (int group = 0; group < 8; group++, out += 32) {
        int scale = (block[4 + group / 2] >> (group % 2 * 4) & 15) | (high >> (2 * group) & 3) << 4;
        decode_nibbles(d * (float)(scale - 32), iq4_values, block + 8 + 16 * group, 16, out);
    }
}

/* E2M1 of OCP MX 1.0, doubled to be whole; scales are halved for it. */
static const int8_t e2m1_doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* 0: exponent, a power of two; 1: codes [16] */
void tt_decode_mxfp4(const uint8_t *block, float *out)
{
    uint32_t exponent = block[0];
    uint32_t bits = exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23; /* 2^(exponent - 128) */

    decode_nibbles(tt_float_of_bits(bits), e2m1_doubled, block + 1, 16, out);
}

/* Half the value of a scale in unsigned E4M3, whose code 0x7f is no NaN but zero. */
static float half_e4m3(uint8_t code)
{
    int exponent = code >> 3 & 15, mantissa = code & 7;

    if (code == 0x7f)
        return 0;
    return exponent == 0 ? (float)mantissa * 0x1p-10f
                         : (float)(8 + mantissa) * tt_float_of_bits((uint32_t)(exponent + 127 - 11) << 23);
}

/* 0: scales of 16 elements each [4]; 4: codes [32] */
void tt_decode_nvfp4(const uint8_t *block, float *out)
{
    for (int group = 0; group < 4; group++)
        decode_nibbles(half_e4m3(block[group]), e2m1_doubled, block + 4 + 8 * group, 8, out + 16 * group);
}

/* `digits` base-3 digits of each of `count` bytes, which hold them as a fraction of 256: multiplied by a power of
 * three, its first digit is the part above 1. Digit n of all bytes comes before digit n + 1. */
static inline void decode_ternary(float d, const uint8_t *codes, int count, int digits, float *restrict out)
{
    unsigned power = 1;

    for (int n = 0; n < digits; n++, power *= 3)
        for (int i = 0; i < count; i++)
            out[n * count + i] = d * (float)((int)((uint8_t)(codes[i] * power) * 3u >> 8) - 1);
}

/* 0: bytes of five digits [32], then [16]; 48: of four digits [4]; 52: d */
void tt_decode_tq1_0(const uint8_t *block, float *restrict out)
{
    float d = scale_at(block + 52);

    decode_ternary(d, block, 32, 5, out);
    decode_ternary(d, block + 32, 16, 5, out + 160);
    decode_ternary(d, block + 48, 4, 4, out + 240);
}

/* 0: codes, two bits each, per 128 elements the lowest pairs of 32 bytes first [64]; 64: d */
void tt_decode_tq2_0(const uint8_t *block, float *restrict out)
{
    float d = scale_at(block + 64);

    for (int group = 0; group < 8; group++, out += 32) {
        const uint8_t *codes = block + group / 4 * 32;
        for (int i = 0; i < 32; i++)
            out[i] = d * (float)((codes[i] >> (group % 4 * 2) & 3) - 1);
    }
}
