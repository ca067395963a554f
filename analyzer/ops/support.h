/* SPDX-License-Identifier: Apache-2.0
 *
 * What the primitives share: reading attributes, checking operands, and the elementary rounding errors from
 * which every forward error is put together. See docs/error-model.md.
 */
#ifndef TT_OPS_SUPPORT_H
#define TT_OPS_SUPPORT_H

#include "ops/op.h"

#define TT_ROUNDING_VARIANCE 0.18 /* of one rounding to nearest, in (u·y)², averaged over the mantissa */

double tt_op_number(const struct tt_op_call *call, const char *name, double fallback);
const char *tt_op_string(const struct tt_op_call *call, const char *name, const char *fallback);

/* -1 with a message unless the call has `nin` inputs. */
int tt_op_expect_inputs(const struct tt_op_call *call, const char *op, int nin, struct tt_error *error);
/* `count` elements of weight `role` from element `first` (row-major): in place where the weight is held, else read into
 * `buffer` [count]. NULL with *error when they cannot be read. */
const double *tt_op_weight_rows(const struct tt_op_call *call, int role, uint64_t first, uint64_t count, double *buffer,
                                struct tt_error *error);
/* A value of the shape of `like`. */
struct tt_value tt_value_like(const struct tt_value *like);
/* Elements of one row along the first axis. */
int64_t tt_value_stride0(const struct tt_value *value);
/* Length of the first axis (1 for scalars). */
int64_t tt_value_length0(const struct tt_value *value);

/* Variance of storing y in the engine's activation format, underflow of f16 included. */
double tt_store_variance(const struct tt_numerics *numerics, double y);
/* Variance of one rounding of y in the engine's inner arithmetic. */
double tt_inner_variance(const struct tt_numerics *numerics, double y);
/* Variance of input element i, its row's common factor counted as if independent. */
double tt_input_variance(const struct tt_value *x, int64_t i);
/* Adds the storing error to every element of `out`. */
void tt_add_store_variance(const struct tt_op_call *call, struct tt_value *out);
/* Adds the floor (1.7·u_acc·rms of the row)² that reductions need where their terms cancel. */
void tt_add_row_floor(const struct tt_op_call *call, struct tt_value *out);
/* Where v is not finite an error bar means nothing: var becomes 0, so that no NaN leaks into sums over var.
 */
void tt_clear_nonfinite(struct tt_value *out);

/* The last three, for an op whose elements are sums. */
void tt_finish_sums(const struct tt_op_call *call, struct tt_value *out);

/* x rounded to nearest even with `bits` significant bits (bf16 8, f16 11, f32 24); 0 bits: unchanged. */
double tt_round_bits(double x, int bits);

/* Nearest number that people write (1, 2, 2.5, 5 × 10ⁿ, powers of two, small integers and their inverses) if
 * it lies within `tolerance` (relative) of x, else x itself. */
double tt_snap(double x, double tolerance);

/* Which key head a query head reads: head_map "group" (h / (H/G)), "tile" (h mod G) or "first" (0). */
int tt_head_map(const struct tt_op_call *call, const char *op, int64_t heads, int64_t kv_heads, int64_t *map,
                struct tt_error *error);

#endif
