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

static void decode_q4_0(const uint8_t *block, float *out)
{
    float d = scale_at(block);
    const uint8_t *codes = block + 2; /* [16] */

    for (int i = 0; i < 16; i++) {
        out[i] = (float)((codes[i] & 15) - 8) * d;
        out[i + 16] = (float)((codes[i] >> 4) - 8) * d;
    }
}

static void decode_q4_1(const uint8_t *block, float *out)
{
    float d = scale_at(block), m = scale_at(block + 2);
    const uint8_t *codes = block + 4; /* [16] */

    for (int i = 0; i < 16; i++) {
        out[i] = (float)(codes[i] & 15) * d + m;
        out[i + 16] = (float)(codes[i] >> 4) * d + m;
    }
}

/* Code i of a five-bit block: a nibble and bit i of `high`. */
static int five_bits(const uint8_t *codes, uint32_t high, int i)
{
    int nibble = i < 16 ? codes[i] & 15 : codes[i - 16] >> 4;
    return nibble | (int)(high >> i & 1) << 4;
}

static void decode_q5_0(const uint8_t *block, float *out)
{
    float d = scale_at(block);
    uint32_t high = tt_load_u32(block + 2);

    for (int i = 0; i < 32; i++)
        out[i] = (float)(five_bits(block + 6, high, i) - 16) * d;
}

static void decode_q5_1(const uint8_t *block, float *out)
{
    float d = scale_at(block), m = scale_at(block + 2);
    uint32_t high = tt_load_u32(block + 4);

    for (int i = 0; i < 32; i++)
        out[i] = (float)five_bits(block + 8, high, i) * d + m;
}

static void decode_q8_0(const uint8_t *block, float *out)
{
    float d = scale_at(block);

    for (int i = 0; i < 32; i++)
        out[i] = (float)(int8_t)block[2 + i] * d;
}

tt_block_decoder *const tt_block_decoders[TT_DTYPE_COUNT] = {
    [TT_Q4_0] = decode_q4_0,        [TT_Q4_1] = decode_q4_1,      [TT_Q5_0] = decode_q5_0,
    [TT_Q5_1] = decode_q5_1,        [TT_Q8_0] = decode_q8_0,      [TT_Q2_K] = tt_decode_q2_k,
    [TT_Q3_K] = tt_decode_q3_k,     [TT_Q4_K] = tt_decode_q4_k,   [TT_Q5_K] = tt_decode_q5_k,
    [TT_Q6_K] = tt_decode_q6_k,     [TT_Q8_K] = tt_decode_q8_k,   [TT_IQ4_NL] = tt_decode_iq4_nl,
    [TT_IQ4_XS] = tt_decode_iq4_xs, [TT_MXFP4] = tt_decode_mxfp4,
};
