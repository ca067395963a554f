/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: ggml's block types to f32. Layouts after the ggml quantisation formats: a scale d (and minimum m)
 * in f16, then packed codes; low nibbles are the first half of a block, high nibbles the second.
 * Arithmetic is f32 in the order of the format's definition, so values are those of any engine, bit for bit.
 */
#include "model/decode_blocks.h"

#include "model/file.h"
#include "model/half.h"

static float scale_at(const uint8_t *at)
{
    return tt_f16_to_f32(tt_load_u16(at));
}

static void decode_q4_0(const uint8_t *block, float *restrict out)
{
    float d = scale_at(block);
    const uint8_t *codes = block + 2; /* [16] */

    for (int i = 0; i < 16; i++) {
        out[i] = (float)((codes[i] & 15) - 8) * d;
        out[i + 16] = (float)((codes[i] >> 4) - 8) * d;
    }
}

static void decode_q4_1(const uint8_t *block, float *restrict out)
{
    float d = scale_at(block), m = scale_at(block + 2);
    const uint8_t *codes = block + 4; /* [16] */

    for (int i = 0; i < 16; i++) {
        out[i] = (float)(codes[i] & 15) * d + m;
        out[i + 16] = (float)(codes[i] >> 4) * d + m;
    }
}

/* The codes of a five-bit block: a nibble and bit i of `high`. */
static inline void five_bits(const uint8_t *nibbles, uint32_t high, int32_t codes[32])
{
    for (int i = 0; i < 16; i++) {
        codes[i] = (nibbles[i] & 15) | (int32_t)(high >> i & 1) << 4;
        codes[i + 16] = nibbles[i] >> 4 | (int32_t)(high >> (i + 16) & 1) << 4;
    }
}

static void decode_q5_0(const uint8_t *block, float *restrict out)
{
    float d = scale_at(block);
    int32_t codes[32];

    five_bits(block + 6, tt_load_u32(block + 2), codes);
    for (int i = 0; i < 32; i++)
        out[i] = (float)(codes[i] - 16) * d;
}

static void decode_q5_1(const uint8_t *block, float *restrict out)
{
    float d = scale_at(block), m = scale_at(block + 2);
    int32_t codes[32];

    five_bits(block + 8, tt_load_u32(block + 4), codes);
    for (int i = 0; i < 32; i++)
        out[i] = (float)codes[i] * d + m;
}

static void decode_q8_0(const uint8_t *block, float *restrict out)
{
    float d = scale_at(block);

    for (int i = 0; i < 32; i++)
        out[i] = (float)(int8_t)block[2 + i] * d;
}

/* As Q8_0, with the sum of the codes behind d, which only products need. */
static void decode_q8_1(const uint8_t *block, float *restrict out)
{
    float d = scale_at(block);

    for (int i = 0; i < 32; i++)
        out[i] = (float)(int8_t)block[4 + i] * d;
}

tt_block_decoder *const tt_block_decoders[TT_DTYPE_COUNT] = {
    [TT_Q4_0] = decode_q4_0,        [TT_Q4_1] = decode_q4_1,        [TT_Q5_0] = decode_q5_0,
    [TT_Q5_1] = decode_q5_1,        [TT_Q8_0] = decode_q8_0,        [TT_Q8_1] = decode_q8_1,
    [TT_Q2_K] = tt_decode_q2_k,     [TT_Q3_K] = tt_decode_q3_k,     [TT_Q4_K] = tt_decode_q4_k,
    [TT_Q5_K] = tt_decode_q5_k,     [TT_Q6_K] = tt_decode_q6_k,     [TT_Q8_K] = tt_decode_q8_k,
    [TT_IQ4_NL] = tt_decode_iq4_nl, [TT_IQ4_XS] = tt_decode_iq4_xs, [TT_MXFP4] = tt_decode_mxfp4,
    [TT_NVFP4] = tt_decode_nvfp4,   [TT_TQ1_0] = tt_decode_tq1_0,   [TT_TQ2_0] = tt_decode_tq2_0,
};
