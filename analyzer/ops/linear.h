/* SPDX-License-Identifier: Apache-2.0
 *
 * linear: y = scale·x·Wᵀ + bias; the ways in which W's bytes may be read are attributes.
 *
 *   transpose       1: y = x·W for square W; else W's bytes are read as [K, N]: W'[n, k] = flat[k·N + n]
 *   use_bias, bias_scale   1
 *   scale           multiplier of the product (1)
 *   zero            1: the weight counts as zeros
 *   truncate        only inputs k < truncate are used; 0: all
 *   ld, base        W'[n, k] = flat[base + n·ld + k] (zero outside the weight); ld 0: K
 *   permute_block, permute_inner, permute_rotate   output rows rearranged in blocks: with block B, inner I, J
 * = B/I: W'[b·B + i·J + j] = W[b·B + (j·I + i + rotate) mod B]; block 0: none swap_first, swap_second,
 * swap_count   two runs of output rows exchanged; count 0: none tail_columns, tail_rows   last outputs, last
 * tokens left zero
 */
#ifndef TT_OPS_LINEAR_H
#define TT_OPS_LINEAR_H

#include "ops/op.h"

struct tt_linear {
    const struct tt_op_call *call;
    const struct tt_value *x;
    const double *weight;     /* [outputs, inputs] as in the file */
    const double *weight_var; /* same, or NULL */
    const double *bias;       /* [outputs] or NULL */
    double bias_scale;
    int64_t rows, inputs, outputs;
    int64_t truncate, ld, base;
    int64_t block, inner, rotate;
    int64_t swap[2], swap_count;
    int64_t tail_columns, tail_rows;
    double scale;
    bool transpose, zero;
    bool plain; /* W is used as it lies */
};

int tt_linear_read(const struct tt_op_call *call, struct tt_linear *linear, struct tt_error *error);
/* W'[n, k] under the attributes; rows [first, first + count) into block [count, inputs]. */
void tt_linear_rows(const struct tt_linear *linear, const double *from, int64_t first, int64_t count,
                    double *block);
/* Which row of W output n is computed from. */
int64_t tt_linear_source_row(const struct tt_linear *linear, int64_t n);

int tt_linear_recover(const struct tt_op_call *call, const struct tt_value *observed,
                      struct tt_recovery *found, int most);

#endif
