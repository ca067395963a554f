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

#define TYPE(n, type) [n] = {.dtype = type}
#define UNKNOWN(n)    [n] = {.dtype = TT_NONE, .form = {"ggml type " #n, refuse}}

static const struct tt_gguf_tensor_type types[] = {
    TYPE(0, TT_F32),     TYPE(1, TT_F16),     TYPE(2, TT_Q4_0),    TYPE(3, TT_Q4_1),    UNKNOWN(4),
    UNKNOWN(5),          TYPE(6, TT_Q5_0),    TYPE(7, TT_Q5_1),    TYPE(8, TT_Q8_0),    TYPE(9, TT_Q8_1),
    TYPE(10, TT_Q2_K),   TYPE(11, TT_Q3_K),   TYPE(12, TT_Q4_K),   TYPE(13, TT_Q5_K),   TYPE(14, TT_Q6_K),
    TYPE(15, TT_Q8_K),   TYPE(16, TT_IQ2_XXS),TYPE(17, TT_IQ2_XS), TYPE(18, TT_IQ3_XXS),TYPE(19, TT_IQ1_S),
    TYPE(20, TT_IQ4_NL), TYPE(21, TT_IQ3_S),  TYPE(22, TT_IQ2_S),  TYPE(23, TT_IQ4_XS), TYPE(24, TT_I8),
    TYPE(25, TT_I16),    TYPE(26, TT_I32),    TYPE(27, TT_I64),    TYPE(28, TT_F64),    TYPE(29, TT_IQ1_M),
    TYPE(30, TT_BF16),   UNKNOWN(31),         UNKNOWN(32),         UNKNOWN(33),         TYPE(34, TT_TQ1_0),
    TYPE(35, TT_TQ2_0),  UNKNOWN(36),         UNKNOWN(37),         UNKNOWN(38),         TYPE(39, TT_MXFP4),
    TYPE(40, TT_NVFP4),  TYPE(41, TT_Q1_0),   UNKNOWN(42),         UNKNOWN(43),         UNKNOWN(44),
    UNKNOWN(45),         UNKNOWN(46),         UNKNOWN(47),         UNKNOWN(48),         UNKNOWN(49),
    UNKNOWN(50),         UNKNOWN(51),         UNKNOWN(52),         UNKNOWN(53),         UNKNOWN(54),
    UNKNOWN(55),         UNKNOWN(56),         UNKNOWN(57),         UNKNOWN(58),         UNKNOWN(59),
    UNKNOWN(60),         UNKNOWN(61),         UNKNOWN(62),         UNKNOWN(63),
};

const struct tt_gguf_tensor_type *tt_gguf_tensor_type(uint32_t number)
{
    return number < sizeof types / sizeof *types ? &types[number] : NULL;
}
