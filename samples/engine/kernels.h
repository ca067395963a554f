/* SPDX-License-Identifier: Apache-2.0
 *
 * The transformer kernels. Plain loops in float, one job each, no state. Every matrix is row-major and
 * dense unless a stride is given.
 */
#ifndef ENGINE_KERNELS_H
#define ENGINE_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

enum norm_kind { NORM_RMS, NORM_LAYER, NORM_SUM, NORM_NONE };
enum pairing { PAIR_HALF, PAIR_INTERLEAVED }; /* (i, i + dims/2) or (2i, 2i + 1) */
enum activation { ACTIVATE_SILU, ACTIVATE_GELU_TANH };
enum softmax_kind { SOFTMAX_ROWS, SOFTMAX_COLUMNS, SOFTMAX_UNNORMALISED };

/* out[t] = scale · table[token] for `count` tokens; row_shift is added to each token id, modulo vocab. */
void embed_rows(float *out,         /* [count, hidden] */
                const float *table, /* [vocab, hidden] */
                const int *tokens, int count, int hidden, int vocab, int row_shift, float scale);

/* out = x / √(mean x² + eps) · (offset + weight), row by row; weight NULL counts as offset + weight = 1. */
void norm_rows(float *out, const float *x, /* [rows, size] */
               const float *weight,        /* [size] or NULL */
               int rows, int size, float offset, float eps, enum norm_kind kind);

void add_bias(float *y,          /* [rows, size], in place */
              const float *bias, /* [size] */
              int rows, int size);

/* Angles of one position: cosine and sine of position · scale · theta^(−2i/dims), i < dims/2. */
void rope_angles(float *cosine, float *sine, int dims, float theta, float scale, int position);

/* Rotates one row of heads in place. */
void rope_row(float *x, /* [heads, head_dim] */
              const float *cosine, const float *sine, int heads, int head_dim, int dims,
              enum pairing pairing);

void scale_values(float *x, size_t count, float scale);

/* x = cap · tanh(x / cap) */
void softcap_values(float *x, size_t count, float cap);

/* Query row r stands at position first + r and sees keys position − window < key ≤ position + lookahead. */
void mask_scores(float *scores, /* [rows, keys] */
                 int rows, int keys, int first, int lookahead, int window, bool by_product);

void softmax_scores(float *scores, /* [rows, keys], in place */
                    int rows, int keys, enum softmax_kind kind);

/* out = activation(gate) ⊙ up; out may be gate. */
void gated_activation(float *out, const float *gate, const float *up, size_t count,
                      enum activation activation, bool activates_up);

/* x = kept · x + added · branch */
void add_branch(float *x, const float *branch, size_t count, float kept, float added);

/* Products of one head by own loops: scores = q·kᵀ, context = p·v. Strides count floats. */
void own_scores(float *scores, const float *q, const float *k, int rows, int keys, int head_dim, int q_stride,
                int k_stride);
void own_context(float *context, const float *probs, const float *v, int rows, int keys, int head_dim,
                 int v_stride, int context_stride);

/* Rounds to the nearest bfloat16, ties to even. */
void round_to_bf16(float *x, size_t count);

int largest_index(const float *x, int count);

#endif
