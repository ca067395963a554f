/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: stored elements to f64. Exact for every plain type (64-bit integers round above 2^53); block types
 * give the f32 value that their definition gives, because that is what engines compute with.
 * Invariant: input may lie at any address; loops are plain so that the compiler vectorises them.
 */
#include "model/model.h"

#include <string.h>

#include "model/decode_blocks.h"
#include "model/half.h"
#include "model/tensors.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "model files are little-endian, as is the decoder");

#define PLAIN_TYPES(X)                                                                                       \
    X(f64, double)                                                                                           \
    X(f32, float)                                                                                            \
    X(i8, int8_t)                                                                                            \
    X(u8, uint8_t)                                                                                           \
    X(i16, int16_t)                                                                                          \
    X(u16, uint16_t)                                                                                         \
    X(i32, int32_t)                                                                                          \
    X(u32, uint32_t)                                                                                         \
    X(i64, int64_t)

#define X(name, type)                                                                                        \
    static void decode_##name(const uint8_t *bytes, uint64_t count, double *out)                             \
    {                                                                                                        \
        for (uint64_t i = 0; i < count; i++) {                                                               \
            type value;                                                                                      \
            memcpy(&value, bytes + i * sizeof value, sizeof value);                                          \
            out[i] = (double)value;                                                                          \
        }                                                                                                    \
    }
PLAIN_TYPES(X)
#undef X

/* Two exact halves and one rounding: there is no vector conversion from u64 before AVX-512. */
static void decode_u64(const uint8_t *bytes, uint64_t count, double *out)
{
    for (uint64_t i = 0; i < count; i++) {
        uint32_t half[2];
        memcpy(half, bytes + 8 * i, sizeof half);
        out[i] = (double)half[1] * 0x1p32 + (double)half[0];
    }
}

static void decode_bool(const uint8_t *bytes, uint64_t count, double *out)
{
    for (uint64_t i = 0; i < count; i++)
        out[i] = bytes[i] != 0;
}

static void decode_f16(const uint8_t *bytes, uint64_t count, double *out)
{
    for (uint64_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, bytes + 2 * i, sizeof half);
        out[i] = (double)tt_f16_to_f32(half);
    }
}

static void decode_bf16(const uint8_t *bytes, uint64_t count, double *out)
{
    for (uint64_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, bytes + 2 * i, sizeof half);
        out[i] = (double)tt_bf16_to_f32(half);
    }
}

static void decode_f8_e4m3(const uint8_t *bytes, uint64_t count, double *out)
{
    for (uint64_t i = 0; i < count; i++)
        out[i] = (double)tt_f8_e4m3_to_f32(bytes[i]);
}

/* E5M2 is the upper byte of an f16. */
static void decode_f8_e5m2(const uint8_t *bytes, uint64_t count, double *out)
{
    for (uint64_t i = 0; i < count; i++)
        out[i] = (double)tt_f16_to_f32((uint16_t)(bytes[i] << 8));
}

typedef void decode_function(const uint8_t *bytes, uint64_t count, double *out);

static decode_function *const plain_decoders[TT_DTYPE_COUNT] = {
    [TT_F64] = decode_f64,   [TT_F32] = decode_f32,         [TT_F16] = decode_f16,
    [TT_BF16] = decode_bf16, [TT_I8] = decode_i8,           [TT_U8] = decode_u8,
    [TT_I16] = decode_i16,   [TT_U16] = decode_u16,         [TT_I32] = decode_i32,
    [TT_U32] = decode_u32,   [TT_I64] = decode_i64,         [TT_U64] = decode_u64,
    [TT_BOOL] = decode_bool, [TT_F8_E4M3] = decode_f8_e4m3, [TT_F8_E5M2] = decode_f8_e5m2,
};

#define LARGEST_BLOCK 256 /* elements */

/* `count` elements from element `skip` of the first block on. */
static void decode_blocks(enum tt_dtype dtype, const uint8_t *at, uint64_t skip, uint64_t count, double *out)
{
    const struct tt_dtype_info *info = tt_dtype_info(dtype);
    tt_block_decoder *decode = tt_block_decoders[dtype];
    float values[LARGEST_BLOCK]; /* [block] */

    for (; count > 0; at += info->bytes, skip = 0) {
        uint64_t taken = info->block - skip < count ? info->block - skip : count;
        decode(at, values);
        for (uint64_t i = 0; i < taken; i++)
            out[i] = (double)values[skip + i];
        out += taken;
        count -= taken;
    }
}

int tt_decode_range(enum tt_dtype dtype, const void *data, uint64_t first, uint64_t count, double *out)
{
    const struct tt_dtype_info *info = tt_dtype_info(dtype);
    unsigned index = (unsigned)dtype < TT_DTYPE_COUNT ? (unsigned)dtype : TT_NONE;
    const uint8_t *at = (const uint8_t *)data + first / info->block * info->bytes;

    if (plain_decoders[index])
        plain_decoders[index](at, count, out);
    else if (tt_block_decoders[index])
        decode_blocks(dtype, at, first % info->block, count, out);
    else
        return -1;
    return 0;
}

int tt_decode_f64(enum tt_dtype dtype, const void *bytes, uint64_t count, double *out)
{
    return tt_decode_range(dtype, bytes, 0, count, out);
}
