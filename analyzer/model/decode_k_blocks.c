/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: ggml's K-quants, blocks of 256 in which groups of 16 or 32 have scales of their own, to f32.
 * Products are exact in f32 and are taken in the order of the format's definition, so values are those of any
 * engine, bit for bit. Offsets in comments are bytes from the start of the block.
 */
#include "model/decode_blocks.h"

#include "model/file.h"
#include "model/half.h"

static float scale_at(const uint8_t *at)
{
    return tt_f16_to_f32(tt_load_u16(at));
}

/* 0: scales [16], low nibble scale, high nibble minimum; 16: codes, two bits each [64]; 80: d; 82: minimum's
 * d */
void tt_decode_q2_k(const uint8_t *block, float *restrict out)
{
    float d = scale_at(block + 80), minimum = scale_at(block + 82);

    for (int group = 0; group < 16; group++, out += 16) {
        const uint8_t *codes = block + 16 + group / 8 * 32 + group % 2 * 16;
        int shift = group % 8 / 2 * 2;
        float scale = d * (float)(block[group] & 15), offset = minimum * (float)(block[group] >> 4);
        for (int i = 0; i < 16; i++)
            out[i] = scale * (float)(codes[i] >> shift & 3) - offset;
    }
}

/* Six bits: four in one of the first eight bytes, two in one of the last four. */
static int q3_k_scale(const uint8_t *scales, int group)
{
    int low = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
    int high = scales[8 + group % 4] >> (group / 4 * 2) & 3;
    return (low | high << 4) - 32;
}

/* 0: third bit of each code [32], clear means minus four; 32: codes, two bits each [64]; 96: scales [12];
 * 108: d */
void tt_decode_q3_k(const uint8_t *block, float *restrict out)
{
    float d = scale_at(block + 108);

    for (int group = 0; group < 16; group++, out += 16) {
        const uint8_t *third = block + group % 2 * 16;
        const uint8_t *codes = block + 32 + group / 8 * 32 + group % 2 * 16;
        int shift = group % 8 / 2 * 2;
        float scale = d * (float)q3_k_scale(block + 96, group);
        for (int i = 0; i < 16; i++)
            out[i] = scale * (float)((codes[i] >> shift & 3) - (third[i] >> (group / 2) & 1 ? 0 : 4));
    }
}

/* Scale and minimum of group 0…7, six bits each, packed into twelve bytes. */
static void six_bit_pair(const uint8_t *packed, int group, int *scale, int *minimum)
{
    if (group < 4) {
        *scale = packed[group] & 63;
        *minimum = packed[group + 4] & 63;
    } else {
        *scale = (packed[group + 4] & 15) | packed[group - 4] >> 6 << 4;
        *minimum = packed[group + 4] >> 4 | packed[group] >> 6 << 4;
    }
}

/* 0: d; 2: minimum's d; 4: scales and minima [12]; 16: codes, per 64 elements 32 low nibbles, then their high
 * ones */
void tt_decode_q4_k(const uint8_t *block, float *restrict out)
{
    float d = scale_at(block), minimum = scale_at(block + 2);

    for (int group = 0; group < 8; group++, out += 32) {
        const uint8_t *codes = block + 16 + group / 2 * 32;
        int shift = group % 2 * 4, scale, offset;
        six_bit_pair(block + 4, group, &scale, &offset);
        float step = d * (float)scale, base = minimum * (float)offset;
        for (int i = 0; i < 32; i++)
            out[i] = step * (float)(codes[i] >> shift & 15) - base;
    }
}

/* As Q4_K, with 16: fifth bit of each code, bit `group` of byte i [32]; 48: codes */
void tt_decode_q5_k(const uint8_t *block, float *restrict out)
{
    float d = scale_at(block), minimum = scale_at(block + 2);
    const uint8_t *fifth = block + 16;

    for (int group = 0; group < 8; group++, out += 32) {
        const uint8_t *codes = block + 48 + group / 2 * 32;
        int shift = group % 2 * 4, scale, offset;
        six_bit_pair(block + 4, group, &scale, &offset);
        float step = d * (float)scale, base = minimum * (float)offset;
        for (int i = 0; i < 32; i++)
            out[i] = step * (float)((codes[i] >> shift & 15) | (fifth[i] >> group & 1) << 4) - base;
    }
}

/* 16 elements of one scale. */
static inline void decode_q6_k_group(float step, const uint8_t *low, int low_shift, const uint8_t *high,
                                     int high_shift, float *restrict out)
{
    for (int i = 0; i < 16; i++) {
        int code = (low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4;
        out[i] = step * (float)(code - 32);
    }
}

/* 0: low nibbles [128]; 128: upper two bits [64]; 192: signed scales [16]; 208: d */
void tt_decode_q6_k(const uint8_t *block, float *restrict out)
{
    float d = scale_at(block + 208);

    for (int group = 0; group < 16; group++, out += 16) {
        int half = group / 8, line = group % 8 / 2, side = group % 2 * 16; /* lines of 32 elements */
        const uint8_t *low = block + half * 64 + line % 2 * 32 + side;
        const uint8_t *high = block + 128 + half * 32 + side;
        decode_q6_k_group(d * (float)(int8_t)block[192 + group], low, line / 2 * 4, high, line * 2, out);
    }
}

/* 0: d as f32; 4: codes [256]; 260: sums of groups, which only products need */
void tt_decode_q8_k(const uint8_t *block, float *restrict out)
{
    float d = tt_float_of_bits(tt_load_u32(block));

    for (int i = 0; i < 256; i++)
        out[i] = d * (float)(int8_t)block[4 + i];
}
