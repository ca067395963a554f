/* SPDX-License-Identifier: Apache-2.0
 *
 * The forward pass over one chunk of tokens, with a cache of keys and values.
 */
#ifndef ENGINE_FORWARD_H
#define ENGINE_FORWARD_H

#include <stdbool.h>

#include "model.h"

struct cache {
    float *k, *v;    /* [rows, kv_heads · head_dim] */
    float *k_staged; /* [kv_heads · head_dim] last key row of prefill */
};

struct engine {
    const struct model *model;
    bool own_attention; /* QKᵀ and P·V by own loops */
    bool round_bf16;    /* every component's output is stored as bfloat16 */
    int max_chunk;      /* most tokens in one pass */
    int max_positions;

    struct cache *caches; /* [layers] */
    float *x;             /* [chunk, hidden] residual stream */
    float *normed;        /* [chunk, hidden] */
    float *branch;        /* [chunk, hidden] what a sublayer adds */
    float *q, *context;   /* [chunk, heads · head_dim] */
    float *k, *v;         /* [chunk, kv_heads · head_dim] */
    float *gate, *up;     /* [chunk, ffn] */
    float *scores;        /* [chunk, positions] of one head */
    float *cosine, *sine; /* [head_dim / 2] of one position */
    float *logits;        /* [chunk, vocab] */
};

struct pass {
    const int *tokens; /* [count] */
    int count;
    int first_position;
    int prompt_tokens; /* where decode begins */
    bool decoding;
    bool wants_logits, all_logits;
};

/* −1: out of memory. engine_free is due either way. */
int engine_init(struct engine *engine, const struct model *model, int max_chunk, int max_positions);
void engine_free(struct engine *engine);

/* Returns the rows of engine->logits that were computed: 0, 1 (the last token's) or pass->count. */
int engine_forward(struct engine *engine, const struct pass *pass);

#endif
