/* SPDX-License-Identifier: Apache-2.0
 *
 * Embedding, layers, final norm, head: top to bottom in the order in which data flows.
 */
#include "forward.h"

#include <stdlib.h>
#include <string.h>

#include "kernels.h"
#include "products.h"

/* A component's output is complete: an engine that stores bfloat16 rounds it here. */
static void store(const struct engine *engine, float *values, size_t count)
{
    if (engine->round_bf16)
        round_to_bf16(values, count);
}

static void run_embedding(struct engine *engine, const struct pass *pass)
{
    const struct embedding *embed = &engine->model->embed;
    const struct config *config = &engine->model->config;

    embed_rows(engine->x, embed->table, pass->tokens, pass->count, config->hidden, config->vocab,
               embed->row_shift, embed->scale);
    store(engine, engine->x, (size_t)pass->count * config->hidden);
}

static void run_norm(struct engine *engine, float *out, const float *x, const struct norm *norm, int rows)
{
    norm_rows(out, x, norm->weight, rows, norm->size, norm->offset, norm->eps, norm->kind);
    store(engine, out, (size_t)rows * norm->size);
}

static void run_linear(struct engine *engine, float *y, const float *x, const struct linear *linear, int rows)
{
    linear_forward(y, x, linear, rows);
    store(engine, y, (size_t)rows * linear->outputs);
}

static int rope_position(const struct rope *rope, const struct pass *pass, int token)
{
    if (pass->decoding)
        return rope->stuck ? pass->prompt_tokens - 1 : pass->first_position + token;
    return pass->first_position + token + rope->prefill_offset;
}

static void run_rope(struct engine *engine, const struct rope *rope, const struct pass *pass)
{
    const struct config *config = &engine->model->config;
    size_t q_row = (size_t)config->heads * config->head_dim;
    size_t kv_row = (size_t)config->kv_heads * config->head_dim;

    if (rope->skipped)
        return;
    for (int t = 0; t < pass->count; t++) {
        rope_angles(engine->cosine, engine->sine, rope->dims, rope->theta, rope->frequency_scale,
                    rope_position(rope, pass, t));
        rope_row(engine->q + t * q_row, engine->cosine, engine->sine, config->heads, config->head_dim,
                 rope->dims, rope->pairing);
        rope_row(engine->k + t * kv_row, engine->cosine, engine->sine, config->kv_heads, config->head_dim,
                 rope->dims, rope->pairing);
        if (rope->on_values)
            rope_row(engine->v + t * kv_row, engine->cosine, engine->sine, config->kv_heads, config->head_dim,
                     rope->dims, rope->pairing);
    }
    store(engine, engine->q, pass->count * q_row);
    store(engine, engine->k, pass->count * kv_row);
    if (rope->on_values)
        store(engine, engine->v, pass->count * kv_row);
}

/* Appends the chunk's keys and values; a row that falls outside the cache is dropped. */
static void write_cache(struct engine *engine, struct cache *cache, const struct cache_rules *rules,
                        const struct pass *pass)
{
    const struct config *config = &engine->model->config;
    size_t row = (size_t)config->kv_heads * config->head_dim;

    if (!pass->decoding || !rules->frozen_staging)
        memcpy(cache->k_staged, engine->k + (pass->count - 1) * row, row * sizeof(float));
    for (int t = 0; t < pass->count; t++) {
        int position = pass->first_position + t;
        const float *key = pass->decoding && rules->frozen_staging ? cache->k_staged : engine->k + t * row;

        memcpy(cache->v + position * row, engine->v + t * row, row * sizeof(float));
        if (position != rules->unwritten_position && position + rules->shift < engine->max_positions)
            memcpy(cache->k + (position + rules->shift) * row, key, row * sizeof(float));
        if (pass->decoding && rules->staged_in_row_zero)
            memcpy(cache->k, key, row * sizeof(float));
    }
}

static int key_value_head(const struct config *config, enum head_map map, int head)
{
    return map == HEADS_GROUPED ? head / (config->heads / config->kv_heads) : head % config->kv_heads;
}

/* Raw scores of one head to probabilities. */
static void run_scores(struct engine *engine, const struct attention *attention, const struct head *head,
                       int first_position)
{
    size_t count = (size_t)head->rows * head->keys;

    store(engine, head->scores, count);
    scale_values(head->scores, count, attention->scale);
    if (attention->softcap > 0)
        softcap_values(head->scores, count, attention->softcap);
    store(engine, head->scores, count);
    mask_scores(head->scores, head->rows, head->keys, first_position, attention->lookahead, attention->window,
                attention->mask_by_product);
    softmax_scores(head->scores, head->rows, head->keys, attention->softmax);
    store(engine, head->scores, count);
}

static void run_attention(struct engine *engine, const struct layer *layer, const struct cache *cache,
                          const struct pass *pass)
{
    const struct config *config = &engine->model->config;
    struct head head = {
        .scores = engine->scores,
        .rows = pass->count,
        .keys = pass->first_position + pass->count,
        .head_dim = config->head_dim,
        .q_stride = config->heads * config->head_dim,
        .kv_stride = config->kv_heads * config->head_dim,
        .own = engine->own_attention,
    };

    for (int h = 0; h < config->heads; h++) {
        int kv_head = key_value_head(config, layer->attention.head_map, h);

        head.q = engine->q + h * config->head_dim;
        head.k = cache->k + kv_head * config->head_dim;
        head.v = cache->v + kv_head * config->head_dim;
        head.context = engine->context + h * config->head_dim;
        head_scores(&head);
        run_scores(engine, &layer->attention, &head, pass->first_position);
        head_context(&head);
    }
    store(engine, engine->context, (size_t)pass->count * head.q_stride);
}

static void run_mlp(struct engine *engine, const struct layer *layer, int rows)
{
    const struct mlp *mlp = &layer->mlp;
    size_t count = (size_t)rows * layer->gate_proj.outputs;
    float *hidden = engine->gate; /* [rows, ffn] */

    run_linear(engine, engine->gate, engine->normed, &layer->gate_proj, rows);
    run_linear(engine, engine->up, engine->normed, &layer->up_proj, rows);
    if (mlp->ungated)
        hidden = engine->up;
    else if (mlp->swapped)
        gated_activation(hidden, engine->up, engine->gate, count, mlp->activation, mlp->activates_up);
    else
        gated_activation(hidden, engine->gate, engine->up, count, mlp->activation, mlp->activates_up);
    store(engine, hidden, count);
    run_linear(engine, engine->branch, hidden, &layer->down_proj, rows);
}

static void run_residual(struct engine *engine, const struct residual *residual, int rows)
{
    size_t count = (size_t)rows * engine->model->config.hidden;

    add_branch(engine->x, engine->branch, count, residual->kept, residual->added);
    store(engine, engine->x, count);
}

static void run_layer(struct engine *engine, const struct layer *layer, struct cache *cache,
                      const struct pass *pass)
{
    run_norm(engine, engine->normed, engine->x, &layer->attn_norm, pass->count);
    run_linear(engine, engine->q, engine->normed, &layer->q_proj, pass->count);
    run_linear(engine, engine->k, engine->normed, &layer->k_proj, pass->count);
    run_linear(engine, engine->v, engine->normed, &layer->v_proj, pass->count);
    run_rope(engine, &layer->rope, pass);
    write_cache(engine, cache, &layer->cache, pass);
    run_attention(engine, layer, cache, pass);
    run_linear(engine, engine->branch, engine->context, &layer->o_proj, pass->count);
    run_residual(engine, &layer->attn_residual, pass->count);
    run_norm(engine, engine->normed, engine->x, &layer->ffn_norm, pass->count);
    run_mlp(engine, layer, pass->count);
    run_residual(engine, &layer->ffn_residual, pass->count);
}

static int run_head(struct engine *engine, const struct pass *pass)
{
    const struct model *model = engine->model;
    int rows = pass->all_logits ? pass->count : 1;
    int first = pass->all_logits || model->head_reads_first_row ? 0 : pass->count - 1;
    size_t hidden = model->config.hidden;

    run_norm(engine, engine->normed, engine->x + first * hidden, &model->final_norm, rows);
    run_linear(engine, engine->logits, engine->normed, &model->lm_head, rows);
    if (model->logits_scale != 1.0f)
        scale_values(engine->logits, (size_t)rows * model->config.vocab, model->logits_scale);
    return rows;
}

int engine_forward(struct engine *engine, const struct pass *pass)
{
    run_embedding(engine, pass);
    for (int l = 0; l < engine->model->config.layers; l++)
        run_layer(engine, &engine->model->layers[l], &engine->caches[l], pass);
    return pass->wants_logits || pass->all_logits ? run_head(engine, pass) : 0;
}

int engine_init(struct engine *engine, const struct model *model, int max_chunk, int max_positions)
{
    const struct config *config = &model->config;
    size_t chunk = max_chunk, q_row = (size_t)config->heads * config->head_dim;
    size_t kv_row = (size_t)config->kv_heads * config->head_dim;
    const struct {
        float **buffer;
        size_t count;
    } buffers[] = {
        {&engine->x, chunk * config->hidden},
        {&engine->normed, chunk * config->hidden},
        {&engine->branch, chunk * config->hidden},
        {&engine->q, chunk * q_row},
        {&engine->context, chunk * q_row},
        {&engine->k, chunk * kv_row},
        {&engine->v, chunk * kv_row},
        {&engine->gate, chunk * config->ffn},
        {&engine->up, chunk * config->ffn},
        {&engine->scores, chunk * max_positions},
        {&engine->cosine, config->head_dim / 2},
        {&engine->sine, config->head_dim / 2},
        {&engine->logits, chunk * config->vocab},
    };

    memset(engine, 0, sizeof(*engine));
    engine->model = model;
    engine->max_chunk = max_chunk;
    engine->max_positions = max_positions;
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++)
        if (!(*buffers[i].buffer = calloc(buffers[i].count, sizeof(float))))
            return -1;
    engine->caches = calloc(config->layers, sizeof(*engine->caches));
    for (int l = 0; engine->caches && l < config->layers; l++) {
        struct cache *cache = &engine->caches[l];

        cache->k = calloc((size_t)max_positions * kv_row, sizeof(float));
        cache->v = calloc((size_t)max_positions * kv_row, sizeof(float));
        cache->k_staged = calloc(kv_row, sizeof(float));
        if (!cache->k || !cache->v || !cache->k_staged)
            return -1;
    }
    return engine->caches ? 0 : -1;
}

void engine_free(struct engine *engine)
{
    float *buffers[] = {engine->x,      engine->normed, engine->branch, engine->q,  engine->context,
                        engine->k,      engine->v,      engine->gate,   engine->up, engine->scores,
                        engine->cosine, engine->sine,   engine->logits};

    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++)
        free(buffers[i]);
    for (int l = 0; engine->caches && l < engine->model->config.layers; l++) {
        free(engine->caches[l].k);
        free(engine->caches[l].v);
        free(engine->caches[l].k_staged);
    }
    free(engine->caches);
    memset(engine, 0, sizeof(*engine));
}
