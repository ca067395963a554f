/* SPDX-License-Identifier: Apache-2.0
 *
 * rope: rotary position embedding of x [tokens, heads, head_dim] (or [tokens, heads·head_dim] with attribute
 * head_dim).
 *
 *   theta            base of the frequencies (10000)
 *   pairing          "half" (i, i + dims/2) | "interleaved" (2i, 2i + 1)
 *   dims             first dims that rotate (head_dim)
 *   scaling          "none" | "linear" | "llama3" | "yarn" | "dynamic" | "longrope", with factor, low_freq_factor,
 *                    high_freq_factor, original_context, beta_fast, beta_slow, truncate (1: yarn's ramp begins
 *                    and ends at whole pairs), max_context (dynamic: theta grows beyond it), attn_factor (of yarn
 *                    and longrope; 0: by factor)
 *   magnitude        multiplier of the result (1)
 *   weights          freq_factors, long_factors [dims/2]: frequencies are divided by them; by the second ones when
 *                    scaling is longrope and the sequence is longer than original_context
 *   long             -1; 1, 0: the second, the first ones whatever the length
 *   angle_error      c in (c·u·|angle|·partner)²: 3 for a table of frequencies, 45 for theta iterated by products
 *   table_unit       unit round-off of a cos/sin table, -1: that of stored values
 *   table_bits       significant bits of cos and sin where the family defines them so (bf16 8), 0: exact
 * Faults:
 *   position_offset  0 · position_scale 1 · frequency_scale 1 · direction 1 (-1 turns the other way) · skip ·
 * twice · stuck_position   every row takes this position · stuck_row: every row takes the position of this
 * row · position_bits, frequency_bits   significant bits of positions and of frequencies (bf16 8, f16 11), 0:
 * exact
 */
#ifndef TT_OPS_ROPE_H
#define TT_OPS_ROPE_H

#include "ops/op.h"

struct tt_rope {
    const struct tt_value *x;
    int64_t tokens, heads, depth; /* x's shape */
    int64_t dims;                 /* rotated */
    bool interleaved;
    double magnitude;
};

int tt_rope_read(const struct tt_op_call *call, struct tt_rope *rope, struct tt_error *error);
/* Radians per position of each pair, scaling and freq_factors applied, frequency_scale and direction not:
 * [dims/2]. *attention: the multiplier that YaRN puts on the result, else 1. */
int tt_rope_frequencies(const struct tt_op_call *call, int64_t dims, double *frequency, double *attention,
                        struct tt_error *error);
/* The two elements of pair i within a head. */
void tt_rope_pair(bool interleaved, int64_t dims, int64_t i, int64_t *first, int64_t *second);

int tt_rope_recover(const struct tt_op_call *call, const struct tt_value *observed, struct tt_recovery *found,
                    int most);

#endif
