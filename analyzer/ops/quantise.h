/* SPDX-License-Identifier: Apache-2.0
 *
 * What engines make of activations before they multiply them with a weight: blocks of small integers with a scale (the
 * formats of ggml's kernels), or narrower floats. Definitions: ggml's reference quantisers, IEEE 754.
 */
#ifndef TT_OPS_QUANTISE_H
#define TT_OPS_QUANTISE_H

#include "ops/op.h"

/* Runs `multiply` with input 0 of the call as its attribute "activations" says that the engine holds it:
 *   "plain"  as it is (the default)
 *   "q8_0"   blocks of 32 numbers, scale amax/127 kept in f16
 *   "q8_1"   the same, with the block's sum in f16 beside it, whose error meets the minimum of each block of a weight
 *   "q8_k"   blocks of 256 numbers, scale in f32
 *   "int8"   whole rows, scale amax/127 in f32
 *   "f16" "bf16" "tf32"   every number rounded; "tf32": the weight's too
 * Rows are as long as the last axis of weight 0. -1 with *error for another name or rows that are no whole blocks. */
int tt_quantised_forward(const struct tt_op_call *call,
                         int (*multiply)(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error),
                         struct tt_value *out, struct tt_error *error);

/* Those formats as benign forms of an op that multiplies; ends with cause NULL. */
extern const struct tt_variant tt_activation_formats[];

#endif
