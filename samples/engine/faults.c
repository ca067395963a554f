/* SPDX-License-Identifier: Apache-2.0
 *
 * The faults: what each plants, then the table. See faults.h.
 */
#include "faults.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#define ROW_PADDING 16

/* Each head's rows in the order (0, half, 1, half + 1, …), or all rows where they make no whole heads. */
static void permute_rows(float *out, const struct linear *linear, int head_dim)
{
    int group = linear->outputs % head_dim ? linear->outputs & ~1 : head_dim;
    int last = linear->outputs / group * group; /* an odd row over stays */

    for (int row = 0; row < linear->outputs; row++) {
        int within = row % group;
        int source = row < last ? row - within + within / 2 + within % 2 * (group / 2) : row;

        memcpy(out + (size_t)row * linear->inputs, linear->weight + (size_t)source * linear->inputs,
               linear->inputs * sizeof(float));
    }
}

static void pad_rows(float *out, const struct linear *linear, int head_dim)
{
    for (int row = 0; row < linear->outputs; row++)
        memcpy(out + (size_t)row * (linear->inputs + ROW_PADDING),
               linear->weight + (size_t)row * linear->inputs, linear->inputs * sizeof(float));
}

/* A zeroed weight with room for padded rows, filled by `fill` if there is one. */
static int replace_weight(struct fault_target *target, void (*fill)(float *, const struct linear *, int))
{
    struct linear *linear = target->linear;
    float *weight = model_own(target->model, (size_t)linear->outputs * (linear->inputs + ROW_PADDING));

    if (!weight)
        return -1;
    if (fill)
        fill(weight, linear, target->model->config.head_dim);
    linear->weight = weight;
    return 0;
}

static int plant_rope_pairing(struct fault_target *target)
{
    target->layer->rope.pairing = target->layer->rope.pairing == PAIR_HALF ? PAIR_INTERLEAVED : PAIR_HALF;
    return 0;
}

static int plant_rope_theta(struct fault_target *target)
{
    target->layer->rope.theta = target->layer->rope.theta == 10000 ? 500000 : 10000;
    return 0;
}

static int plant_rope_position_offset(struct fault_target *target)
{
    target->layer->rope.prefill_offset = 1;
    return 0;
}

static int plant_rope_position_stuck(struct fault_target *target)
{
    target->layer->rope.stuck = true;
    return 0;
}

static int plant_rope_skipped(struct fault_target *target)
{
    target->layer->rope.skipped = true;
    return 0;
}

static int plant_rope_direction(struct fault_target *target)
{
    target->layer->rope.frequency_scale = -1;
    return 0;
}

static int plant_rope_partial_dims(struct fault_target *target)
{
    target->layer->rope.dims = target->layer->rope.dims / 4 * 2;
    return 0;
}

static int plant_rope_frequency_scale(struct fault_target *target)
{
    target->layer->rope.frequency_scale = 0.25f;
    return 0;
}

static int plant_rope_applied_to_v(struct fault_target *target)
{
    target->layer->rope.on_values = true;
    return 0;
}

static int plant_norm_offset_missing(struct fault_target *target)
{
    target->norm->offset = 0;
    return 0;
}

static int plant_norm_offset_extra(struct fault_target *target)
{
    target->norm->offset += 1;
    return 0;
}

static int plant_norm_skipped(struct fault_target *target)
{
    target->norm->kind = NORM_NONE;
    return 0;
}

static int plant_norm_eps(struct fault_target *target)
{
    target->norm->eps = 1e-2f;
    return 0;
}

static int plant_norm_weight_missing(struct fault_target *target)
{
    target->norm->weight = NULL;
    return 0;
}

static int plant_norm_layernorm_for_rmsnorm(struct fault_target *target)
{
    target->norm->kind = NORM_LAYER;
    return 0;
}

static int plant_norm_sum_not_mean(struct fault_target *target)
{
    target->norm->kind = NORM_SUM;
    return 0;
}

static int plant_norm_wrong_weight(struct fault_target *target)
{
    const struct layer *layer = target->layer;
    bool first = target->norm == &layer->attn_norm;

    target->norm->weight = first ? layer->ffn_norm.weight : layer->attn_norm.weight;
    return 0;
}

static int plant_embed_scale_missing(struct fault_target *target)
{
    target->model->embed.scale = 1;
    return 0;
}

static int plant_embed_scale_twice(struct fault_target *target)
{
    target->model->embed.scale *= target->model->embed.scale;
    return 0;
}

static int plant_embed_wrong_row(struct fault_target *target)
{
    target->model->embed.row_shift = 1;
    return 0;
}

static int plant_attn_scale(struct fault_target *target)
{
    target->layer->attention.scale = 1.0f / sqrtf(target->model->config.hidden);
    return 0;
}

static int plant_attn_softcap_extra(struct fault_target *target)
{
    target->layer->attention.softcap = 5;
    return 0;
}

static int plant_attn_mask_missing(struct fault_target *target)
{
    target->layer->attention.lookahead = INT_MAX / 2;
    return 0;
}

static int plant_attn_mask_off_by_one(struct fault_target *target)
{
    target->layer->attention.lookahead = 1;
    return 0;
}

static int plant_attn_window(struct fault_target *target)
{
    target->layer->attention.window = 4;
    return 0;
}

static int plant_attn_head_map(struct fault_target *target)
{
    target->layer->attention.head_map = HEADS_STRIDED;
    return 0;
}

static int plant_attn_softmax_axis(struct fault_target *target)
{
    target->layer->attention.softmax = SOFTMAX_COLUMNS;
    return 0;
}

static int plant_attn_not_normalised(struct fault_target *target)
{
    target->layer->attention.softmax = SOFTMAX_UNNORMALISED;
    return 0;
}

static int plant_linear_transposed(struct fault_target *target)
{
    target->linear->untransposed = true;
    return 0;
}

static int plant_linear_bias_missing(struct fault_target *target)
{
    target->linear->bias = NULL;
    return 0;
}

static int plant_linear_permuted_rows(struct fault_target *target)
{
    return replace_weight(target, permute_rows);
}

static int plant_linear_zero_weight(struct fault_target *target)
{
    return replace_weight(target, NULL);
}

static int plant_linear_scale(struct fault_target *target)
{
    target->linear->alpha = 0.5f;
    return 0;
}

static int plant_linear_wrong_weight(struct fault_target *target)
{
    target->linear->weight = target->other_linear->weight;
    return 0;
}

static int plant_linear_truncated(struct fault_target *target)
{
    target->linear->inner -= target->linear->inner / 8;
    return 0;
}

static int plant_linear_leading_dimension(struct fault_target *target)
{
    return replace_weight(target, pad_rows);
}

static int plant_mlp_activation(struct fault_target *target)
{
    struct mlp *mlp = &target->layer->mlp;

    mlp->activation = mlp->activation == ACTIVATE_SILU ? ACTIVATE_GELU_TANH : ACTIVATE_SILU;
    return 0;
}

static int plant_mlp_gate_up_swapped(struct fault_target *target)
{
    target->layer->mlp.swapped = true;
    return 0;
}

static int plant_mlp_gate_missing(struct fault_target *target)
{
    target->layer->mlp.ungated = true;
    return 0;
}

static int plant_mlp_double_activation(struct fault_target *target)
{
    target->layer->mlp.activates_up = true;
    return 0;
}

static int plant_residual_missing(struct fault_target *target)
{
    target->residual->kept = 0;
    return 0;
}

static int plant_residual_doubled(struct fault_target *target)
{
    target->residual->kept = 2;
    return 0;
}

static int plant_residual_scale(struct fault_target *target)
{
    target->residual->added = 0.5f;
    return 0;
}

static int plant_kv_shifted(struct fault_target *target)
{
    target->layer->cache.shift = 1;
    return 0;
}

static int plant_kv_stale(struct fault_target *target)
{
    target->layer->cache.frozen_staging = true;
    return 0;
}

static int plant_kv_hole(struct fault_target *target)
{
    target->layer->cache.unwritten_position = 1;
    return 0;
}

static int plant_kv_overwritten(struct fault_target *target)
{
    target->layer->cache.staged_in_row_zero = true;
    return 0;
}

static int plant_logits_wrong_row(struct fault_target *target)
{
    target->model->head_reads_first_row = true;
    return 0;
}

static int plant_logits_scale(struct fault_target *target)
{
    target->model->logits_scale = 0.5f;
    return 0;
}

static int plant_value_nan(struct fault_target *target)
{
    target->layer->attention.mask_by_product = true;
    return 0;
}

#define EVERY FAULT_ALL_LAYERS

const struct fault faults[] = {
    {"rope.pairing", "attn.q_rope", "rope.pairing", 0, "tokens>1", EVERY, plant_rope_pairing,
     "rotates the other pairs of dimensions"},
    {"rope.theta", "attn.q_rope", "rope.theta", 0, "tokens>1", EVERY, plant_rope_theta,
     "takes another base for the angles"},
    {"rope.position_offset", "attn.q_rope", "rope.position_offset", 0, "any", EVERY,
     plant_rope_position_offset, "counts positions of prefill from one, of decode from zero"},
    {"rope.position_stuck", "attn.q_rope", "rope.position_stuck", 0, "decode", EVERY,
     plant_rope_position_stuck, "decode stays at the last position of prefill"},
    {"rope.skipped", "attn.q_rope", "rope.skipped", 0, "tokens>1", 1, plant_rope_skipped,
     "does not rotate at all"},
    {"rope.direction", "attn.q_rope", "rope.direction", 0, "tokens>1", EVERY, plant_rope_direction,
     "rotates backwards"},
    {"rope.partial_dims", "attn.q_rope", "rope.partial_dims", 0, "tokens>1", EVERY, plant_rope_partial_dims,
     "rotates the first half of a head only"},
    {"rope.frequency_scale", "attn.q_rope", "rope.frequency_scale", 0, "tokens>1", EVERY,
     plant_rope_frequency_scale, "divides every angle by four"},
    {"rope.applied_to_v", "attn.v_cache", "rope.applied_to_v", 0, "tokens>1", 1, plant_rope_applied_to_v,
     "rotates values too"},
    {"norm.offset_missing", "attn_norm", "norm.offset_missing", NEED_NORM_OFFSET, "any", EVERY,
     plant_norm_offset_missing, "multiplies by w where the model means 1 + w"},
    {"norm.offset_extra", "attn_norm", "norm.offset_extra", 0, "any", 1, plant_norm_offset_extra,
     "multiplies by 1 + w where the model means w"},
    {"norm.skipped", "attn_norm", "norm.skipped", 0, "any", 1, plant_norm_skipped, "passes its input on"},
    {"norm.eps", "attn_norm", "norm.eps", 0, "any", EVERY, plant_norm_eps, "takes an epsilon of 0.01"},
    {"norm.weight_missing", "attn_norm", "norm.weight_missing", 0, "any", 1, plant_norm_weight_missing,
     "normalises without weight"},
    {"norm.layernorm_for_rmsnorm", "attn_norm", "norm.layernorm_for_rmsnorm", 0, "any", 1,
     plant_norm_layernorm_for_rmsnorm, "subtracts the mean first"},
    {"norm.sum_not_mean", "attn_norm", "norm.sum_not_mean", 0, "any", 1, plant_norm_sum_not_mean,
     "divides by the root of the sum of squares"},
    {"norm.wrong_weight", "attn_norm", "norm.wrong_weight", 0, "any", 1, plant_norm_wrong_weight,
     "takes the weight of the layer's other norm"},
    {"embed.scale_missing", "embed", "embed.scale_missing", NEED_SCALED_EMBEDDING, "any", EVERY,
     plant_embed_scale_missing, "does not multiply by the root of the hidden size"},
    {"embed.scale_twice", "embed", "embed.scale_twice", NEED_SCALED_EMBEDDING, "any", EVERY,
     plant_embed_scale_twice, "multiplies by the root of the hidden size twice"},
    {"embed.wrong_row", "embed", "embed.wrong_row", 0, "any", EVERY, plant_embed_wrong_row,
     "looks up the row after the token's"},
    {"attn.scale", "attn.scores", "attn.scale", 0, "tokens>1", 1, plant_attn_scale,
     "divides by the root of the hidden size, not of the head size"},
    {"attn.softcap_extra", "attn.scores", "attn.softcap_extra", 0, "tokens>1", 1, plant_attn_softcap_extra,
     "caps scores at five"},
    {"attn.mask_missing", "attn.probs", "attn.mask_missing", 0, "tokens>1", EVERY, plant_attn_mask_missing,
     "lets a token see later ones of its chunk"},
    {"attn.mask_off_by_one", "attn.probs", "attn.mask_off_by_one", 0, "tokens>1", EVERY,
     plant_attn_mask_off_by_one, "lets a token see the next one"},
    {"attn.window", "attn.probs", "attn.window", 0, "tokens>4", 1, plant_attn_window,
     "sees the last four tokens only"},
    {"attn.head_map", "attn.qk", "attn.head_map", NEED_GROUPED_HEADS, "tokens>1", EVERY, plant_attn_head_map,
     "gives query head h the key/value head h modulo their number"},
    {"attn.softmax_axis", "attn.probs", "attn.softmax_axis", 0, "tokens>1", 1, plant_attn_softmax_axis,
     "normalises over queries in place of keys"},
    {"attn.not_normalised", "attn.probs", "attn.not_normalised", 0, "tokens>1", 1, plant_attn_not_normalised,
     "leaves out the division by the sum"},
    {"linear.transposed", "attn.q_proj", "linear.transposed", NEED_SQUARE_WEIGHT, "any", 1,
     plant_linear_transposed, "multiplies by W in place of its transpose"},
    {"linear.bias_missing", "attn.q_proj", "linear.bias_missing", NEED_BIAS, "any", 1,
     plant_linear_bias_missing, "does not add the bias"},
    {"linear.permuted_rows", "attn.q_proj", "linear.permuted_rows", 0, "any", 1, plant_linear_permuted_rows,
     "has each head's rows in the other pairing's order"},
    {"linear.zero_weight", "ffn.down_proj", "linear.zero_weight", 0, "any", 1, plant_linear_zero_weight,
     "never received its weight"},
    {"linear.scale", "attn.o_proj", "linear.scale", 0, "any", 1, plant_linear_scale,
     "passes an alpha of one half"},
    {"linear.wrong_weight", "attn.k_proj", "linear.wrong_weight", NEED_TWO_LAYERS, "any", 1,
     plant_linear_wrong_weight, "takes the weight of another layer"},
    {"linear.truncated", "ffn.gate_proj", "linear.truncated", 0, "any", 1, plant_linear_truncated,
     "leaves out the last eighth of its inputs"},
    {"linear.leading_dimension", "ffn.up_proj", "linear.leading_dimension", 0, "any", 1,
     plant_linear_leading_dimension, "reads padded rows with the unpadded leading dimension"},
    {"mlp.activation", "ffn.act", "mlp.activation", 0, "any", 1, plant_mlp_activation,
     "takes gelu for silu or silu for gelu"},
    {"mlp.gate_up_swapped", "ffn.act", "mlp.gate_up_swapped", 0, "any", 1, plant_mlp_gate_up_swapped,
     "activates up in place of gate"},
    {"mlp.gate_missing", "ffn.mul", "mlp.gate_missing", 0, "any", 1, plant_mlp_gate_missing,
     "feeds up to down_proj without the activated gate"},
    {"mlp.double_activation", "ffn.mul", "mlp.double_activation", 0, "any", 1, plant_mlp_double_activation,
     "activates gate and up"},
    {"residual.missing", "attn_residual", "residual.missing", 0, "any", 1, plant_residual_missing,
     "replaces the stream by the branch"},
    {"residual.doubled", "attn_residual", "residual.doubled", 0, "any", 1, plant_residual_doubled,
     "adds the stream twice"},
    {"residual.scale", "ffn_residual", "residual.scale", 0, "any", 1, plant_residual_scale,
     "adds half of the branch"},
    {"kv.shifted", "attn.k_cache", "kv.shifted", 0, "tokens>1", 1, plant_kv_shifted,
     "writes each key one row too late"},
    {"kv.stale", "attn.k_cache", "kv.stale", 0, "decode", 1, plant_kv_stale,
     "decode appends the last key of prefill again and again"},
    {"kv.hole", "attn.k_cache", "kv.hole", 0, "tokens>1", 1, plant_kv_hole,
     "never writes the key of position 1"},
    {"kv.overwritten", "attn.k_cache", "kv.overwritten", 0, "decode", 1, plant_kv_overwritten,
     "decode stages its key in row 0 of the cache"},
    {"logits.wrong_row", "lm_head", "logits.wrong_row", 0, "tokens>1", EVERY, plant_logits_wrong_row,
     "computes the head for the first token of the chunk, not the last"},
    {"logits.scale", "logits", "logits.scale", 0, "any", EVERY, plant_logits_scale, "halves the logits"},
    {"value.nan", "attn.probs", "value.nan", 0, "any", 1, plant_value_nan,
     "masks by (1 - allowed) times minus infinity, which is NaN where allowed"},
};
const size_t nfaults = sizeof(faults) / sizeof(faults[0]);
