/* SPDX-License-Identifier: Apache-2.0
 *
 * A loaded model: weights plus, beside each weight, what the forward pass is told to do with it.
 *
 * The forward pass takes every decision (pairing, epsilon, scale, mask, order of operands …) from these
 * structures and from nowhere else. A right model therefore is one filled in by model_load; a faulty
 * engine is the same engine with one wrong argument in here (see faults.c).
 * All weights are float, row-major [outputs, inputs].
 */
#ifndef ENGINE_MODEL_H
#define ENGINE_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels.h"
#include "problem.h"

struct config {
    char family[16];  /* "llama", "gemma" or "qwen2" */
    bool permuted;    /* q and k rows are stored for interleaved pairs (GGUF llama) */
    bool norm_folded; /* the file already holds 1 + w for families that add one */
    int layers, hidden, heads, kv_heads, head_dim, ffn, vocab;
    float eps, theta;
};

struct linear {
    const float *weight; /* [outputs, inputs] */
    const float *bias;   /* [outputs], NULL: none */
    int outputs, inputs;
    int inner;             /* how many of the inputs the product runs over */
    int leading_dimension; /* floats from one row of weight to the next */
    bool untransposed;     /* x·W in place of x·Wᵀ */
    float alpha;
};

struct norm {
    const float *weight; /* [size], NULL: no weight */
    int size;
    float offset, eps; /* y = x / rms · (offset + weight) */
    enum norm_kind kind;
};

struct rope {
    enum pairing pairing;
    float theta;
    float frequency_scale; /* multiplies every angle; its sign is the direction */
    int dims;              /* leading dimensions of a head that are rotated */
    int prefill_offset;    /* added to the positions of prefill */
    bool stuck;            /* decode stays at the last position of prefill */
    bool skipped, on_values;
};

enum head_map { HEADS_GROUPED, HEADS_STRIDED };

struct attention {
    float scale;
    float softcap; /* 0: none */
    int lookahead; /* keys after its own position that a query sees */
    int window;    /* keys up to its own position that a query sees */
    enum head_map head_map;
    enum softmax_kind softmax;
    bool mask_by_product; /* mask as (1 − allowed)·(−∞), which is NaN where allowed */
};

struct cache_rules {
    int shift;              /* rows between a key's position and where it is written */
    int unwritten_position; /* −1: none */
    bool frozen_staging;    /* decode appends the last key of prefill again and again */
    bool staged_in_row_zero;
};

struct mlp {
    enum activation activation;
    bool swapped, ungated, activates_up;
};

struct residual {
    float kept, added; /* x = kept·x + added·branch */
};

struct layer {
    struct norm attn_norm, ffn_norm;
    struct linear q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj;
    struct rope rope;
    struct attention attention;
    struct cache_rules cache;
    struct mlp mlp;
    struct residual attn_residual, ffn_residual;
};

struct embedding {
    const float *table; /* [vocab, hidden] */
    float scale;
    int row_shift;
};

struct model {
    struct config config;
    struct embedding embed;
    struct layer *layers; /* [config.layers] */
    struct norm final_norm;
    struct linear lm_head;
    float logits_scale;
    bool head_reads_first_row;

    struct checkpoint *checkpoint; /* the mapped file that weights may point into */
    float **owned;                 /* converted weights */
    size_t nowned;
};

/* `path`: a .gguf file or a folder with config.json and model.safetensors. With `round_bf16` the weights
 * are rounded to bfloat16. −1 with one line in *problem. */
int model_load(struct model *model, const char *path, bool round_bf16, struct problem *problem);
void model_unload(struct model *model);

/* `count` zeroed floats that live as long as the model. NULL: out of memory. */
float *model_own(struct model *model, size_t count);

#endif
