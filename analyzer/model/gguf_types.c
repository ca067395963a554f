/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: tensor types by their number in a GGUF file. Block sizes come from the dtype; a number that has none
 * (withdrawn, or newer than this program) still has a name, so that the rest of its file can be read.
 */
#include "model/gguf_types.h"

static int refuse(const struct tt_tensor_form *form, uint64_t first, uint64_t count, double *out,
                  struct tt_error *error)
{
    return tt_fail(error, TT_EINPUT,
                   "the tensor is stored as %s, a withdrawn type or one newer than this program; convert it to "
                   "another",
                   form->name);
}

#define UNKNOWN(n) [n] = {.dtype = TT_NONE, .form = {"ggml type " #n, refuse}}

static const struct tt_gguf_tensor_type types[] = {
    [0] = {TT_F32},      [1] = {TT_F16},      [2] = {TT_Q4_0},     [3] = {TT_Q4_1},    UNKNOWN(4),
    UNKNOWN(5),          [6] = {TT_Q5_0},     [7] = {TT_Q5_1},     [8] = {TT_Q8_0},    [9] = {TT_Q8_1},
    [10] = {TT_Q2_K},    [11] = {TT_Q3_K},    [12] = {TT_Q4_K},    [13] = {TT_Q5_K},   [14] = {TT_Q6_K},
    [15] = {TT_Q8_K},    [16] = {TT_IQ2_XXS}, [17] = {TT_IQ2_XS},  [18] = {TT_IQ3_XXS}, [19] = {TT_IQ1_S},
    [20] = {TT_IQ4_NL},  [21] = {TT_IQ3_S},   [22] = {TT_IQ2_S},   [23] = {TT_IQ4_XS}, [24] = {TT_I8},
    [25] = {TT_I16},     [26] = {TT_I32},     [27] = {TT_I64},     [28] = {TT_F64},    [29] = {TT_IQ1_M},
    [30] = {TT_BF16},    UNKNOWN(31),         UNKNOWN(32),         UNKNOWN(33),        [34] = {TT_TQ1_0},
    [35] = {TT_TQ2_0},   UNKNOWN(36),         UNKNOWN(37),         UNKNOWN(38),        [39] = {TT_MXFP4},
    [40] = {TT_NVFP4},   [41] = {TT_Q1_0},    UNKNOWN(42),         UNKNOWN(43),        UNKNOWN(44),
    UNKNOWN(45),         UNKNOWN(46),         UNKNOWN(47),         UNKNOWN(48),        UNKNOWN(49),
    UNKNOWN(50),         UNKNOWN(51),         UNKNOWN(52),         UNKNOWN(53),        UNKNOWN(54),
    UNKNOWN(55),         UNKNOWN(56),         UNKNOWN(57),         UNKNOWN(58),        UNKNOWN(59),
    UNKNOWN(60),         UNKNOWN(61),         UNKNOWN(62),         UNKNOWN(63),
};

const struct tt_gguf_tensor_type *tt_gguf_tensor_type(uint32_t number)
{
    return number < sizeof types / sizeof *types ? &types[number] : NULL;
}
