/* SPDX-License-Identifier: Apache-2.0
 *
 * Element types of operands, one table for the tap, the capture and the analyzer.
 *
 * Values are written into captures: the list is append-only, a number is never reused.
 * Block types (ggml) hold `block` elements in `bytes` bytes; plain types have block 1.
 */
#ifndef TENSORTAP_DTYPE_H
#define TENSORTAP_DTYPE_H

#include <stddef.h>
#include <stdint.h>

/*        id  enum    name        elements/block  bytes/block  safetensors name (NULL: stored as U8) */
#define TT_DTYPES(X)                                                                               \
    X(0, NONE, "none", 1, 0, NULL)                                                                 \
    X(1, F64, "f64", 1, 8, "F64")                                                                  \
    X(2, F32, "f32", 1, 4, "F32")                                                                  \
    X(3, F16, "f16", 1, 2, "F16")                                                                  \
    X(4, BF16, "bf16", 1, 2, "BF16")                                                               \
    X(5, I8, "i8", 1, 1, "I8")                                                                     \
    X(6, U8, "u8", 1, 1, "U8")                                                                     \
    X(7, I16, "i16", 1, 2, "I16")                                                                  \
    X(8, I32, "i32", 1, 4, "I32")                                                                  \
    X(9, I64, "i64", 1, 8, "I64")                                                                  \
    X(10, BOOL, "bool", 1, 1, "BOOL")                                                              \
    X(11, C64, "c64", 1, 8, NULL)                                                                  \
    X(12, C128, "c128", 1, 16, NULL)                                                               \
    X(13, U16, "u16", 1, 2, "U16")                                                                 \
    X(14, U32, "u32", 1, 4, "U32")                                                                 \
    X(15, U64, "u64", 1, 8, "U64")                                                                 \
    X(16, F8_E4M3, "f8_e4m3", 1, 1, NULL)                                                          \
    X(17, F8_E5M2, "f8_e5m2", 1, 1, NULL)                                                          \
    X(18, Q4_0, "q4_0", 32, 18, NULL)                                                              \
    X(19, Q4_1, "q4_1", 32, 20, NULL)                                                              \
    X(20, Q5_0, "q5_0", 32, 22, NULL)                                                              \
    X(21, Q5_1, "q5_1", 32, 24, NULL)                                                              \
    X(22, Q8_0, "q8_0", 32, 34, NULL)                                                              \
    X(23, Q2_K, "q2_k", 256, 84, NULL)                                                             \
    X(24, Q3_K, "q3_k", 256, 110, NULL)                                                            \
    X(25, Q4_K, "q4_k", 256, 144, NULL)                                                            \
    X(26, Q5_K, "q5_k", 256, 176, NULL)                                                            \
    X(27, Q6_K, "q6_k", 256, 210, NULL)                                                            \
    X(28, Q8_K, "q8_k", 256, 292, NULL)                                                            \
    X(29, IQ4_NL, "iq4_nl", 32, 18, NULL)                                                          \
    X(30, IQ4_XS, "iq4_xs", 256, 136, NULL)                                                        \
    X(31, MXFP4, "mxfp4", 32, 17, NULL)                                                            \
    X(32, Q8_1, "q8_1", 32, 36, NULL)                                                              \
    X(33, TQ1_0, "tq1_0", 256, 54, NULL)                                                           \
    X(34, TQ2_0, "tq2_0", 256, 66, NULL)                                                           \
    X(35, NVFP4, "nvfp4", 64, 36, NULL)                                                            \
    X(36, IQ2_XXS, "iq2_xxs", 256, 66, NULL)                                                       \
    X(37, IQ2_XS, "iq2_xs", 256, 74, NULL)                                                         \
    X(38, IQ2_S, "iq2_s", 256, 82, NULL)                                                           \
    X(39, IQ3_XXS, "iq3_xxs", 256, 98, NULL)                                                       \
    X(40, IQ3_S, "iq3_s", 256, 110, NULL)                                                          \
    X(41, IQ1_S, "iq1_s", 256, 50, NULL)                                                           \
    X(42, IQ1_M, "iq1_m", 256, 56, NULL)                                                           \
    X(43, Q1_0, "q1_0", 128, 18, NULL)

enum tt_dtype {
#define X(id, sym, name, block, bytes, st) TT_##sym = id,
    TT_DTYPES(X)
#undef X
        TT_DTYPE_COUNT
};

struct tt_dtype_info {
    const char *name;        /* as in JSON and reports */
    uint32_t block;          /* elements per block */
    uint32_t bytes;          /* bytes per block */
    const char *safetensors; /* dtype in a safetensors header, NULL if it has none */
};

/* Never NULL: an id from a newer writer gives the entry of TT_NONE. */
static inline const struct tt_dtype_info *tt_dtype_info(unsigned dtype)
{
    static const struct tt_dtype_info table[] = {
#define X(id, sym, name, block, bytes, st) [id] = {name, block, bytes, st},
        TT_DTYPES(X)
#undef X
    };
    return &table[dtype < TT_DTYPE_COUNT ? dtype : TT_NONE];
}

#endif
