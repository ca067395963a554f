/* SPDX-License-Identifier: Apache-2.0
 *
 * From a mapped weight file to a model that the forward pass can run.
 *
 * float weights are used in place, inside the mapping; everything else is converted once.
 */
#include "model.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "checkpoint.h"
#include "parts.h"

struct loading {
    struct model *model;
    bool round_bf16;
    const char *path;
    struct problem *problem;
};

float *model_own(struct model *model, size_t count)
{
    float **list = realloc(model->owned, (model->nowned + 1) * sizeof(*list));
    float *values = calloc(count, sizeof(*values));

    if (list)
        model->owned = list;
    if (!list || !values) {
        free(values);
        return NULL;
    }
    model->owned[model->nowned++] = values;
    return values;
}

/* [outputs, inputs], or [inputs] for outputs = 0. NULL with *problem empty: the file has no such tensor. */
static const float *load_tensor(struct loading *loading, const char *name, int outputs, int inputs)
{
    const struct tensor *tensor = checkpoint_find(loading->model->checkpoint, name);
    float *values;

    if (!tensor)
        return NULL;
    bool fits = outputs ? tensor->rank == 2 && tensor->shape[0] == outputs && tensor->shape[1] == inputs
                        : tensor->rank == 1 && tensor->shape[0] == inputs;
    if (!fits || tensor->storage == STORED_OTHER) {
        fail(loading->problem, "%s: tensor %s has an unexpected %s", loading->path, name,
             fits ? "type (f32, f16, bf16 are supported)" : "shape");
        return NULL;
    }
    if (tensor->storage == STORED_F32 && !loading->round_bf16 && (uintptr_t)tensor->data % sizeof(float) == 0)
        return tensor->data;
    values = model_own(loading->model, tensor_count(tensor));
    if (!values) {
        fail(loading->problem, "%s: out of memory", loading->path);
        return NULL;
    }
    tensor_to_float(tensor, values);
    if (loading->round_bf16)
        round_to_bf16(values, tensor_count(tensor));
    return values;
}

static void load_norm(struct loading *loading, struct norm *norm, const float *weight, int size)
{
    const struct config *config = &loading->model->config;
    bool adds_one = !strcmp(config->family, "gemma") && !config->norm_folded;

    *norm = (struct norm){weight, size, adds_one ? 1.0f : 0.0f, config->eps, NORM_RMS};
}

static void load_linear(struct linear *linear, const float *weight, const float *bias, int outputs,
                        int inputs)
{
    *linear = (struct linear){
        .weight = weight,
        .bias = bias,
        .outputs = outputs,
        .inputs = inputs,
        .inner = inputs,
        .leading_dimension = inputs,
        .alpha = 1.0f,
    };
}

/* `base`: the struct layer or struct model that the part lies in. */
static int load_part(struct loading *loading, const struct part *part, int layer, char *base)
{
    struct model *model = loading->model;
    int gguf = model->checkpoint->gguf;
    int inputs = dimension_size(&model->config, part->inputs);
    int outputs = part->kind == PART_NORM ? 0 : dimension_size(&model->config, part->outputs);
    char name[96];

    loading->problem->text[0] = '\0';
    part_name(part, gguf, layer, "weight", name, sizeof(name));
    const float *weight = load_tensor(loading, name, outputs, inputs);
    if (!weight && !loading->problem->text[0] && !strcmp(part->component, "lm_head"))
        weight = model->embed.table; /* tied */
    if (!weight && !loading->problem->text[0])
        fail(loading->problem, "%s: no tensor %s", loading->path, name);
    if (!weight)
        return -1;
    part_name(part, gguf, layer, "bias", name, sizeof(name));
    const float *bias = part->kind == PART_LINEAR ? load_tensor(loading, name, 0, outputs) : NULL;
    if (loading->problem->text[0])
        return -1;

    if (part->kind == PART_NORM)
        load_norm(loading, (struct norm *)(base + part->offset), weight, inputs);
    else if (part->kind == PART_LINEAR)
        load_linear((struct linear *)(base + part->offset), weight, bias, outputs, inputs);
    else
        ((struct embedding *)(base + part->offset))->table = weight;
    return 0;
}

/* How a right engine treats one layer of this model. */
static void set_layer(struct layer *layer, const struct config *config)
{
    bool gemma = !strcmp(config->family, "gemma");

    layer->rope = (struct rope){
        .pairing = config->permuted ? PAIR_INTERLEAVED : PAIR_HALF,
        .theta = config->theta,
        .frequency_scale = 1.0f,
        .dims = config->head_dim,
    };
    layer->attention = (struct attention){
        .scale = 1.0f / sqrtf(config->head_dim),
        .window = INT_MAX,
        .head_map = HEADS_GROUPED,
        .softmax = SOFTMAX_ROWS,
    };
    layer->cache = (struct cache_rules){.unwritten_position = -1};
    layer->mlp.activation = gemma ? ACTIVATE_GELU_TANH : ACTIVATE_SILU;
    layer->attn_residual = layer->ffn_residual = (struct residual){1.0f, 1.0f};
}

static int load_parts(struct loading *loading)
{
    struct model *model = loading->model;
    bool gemma = !strcmp(model->config.family, "gemma");

    for (size_t i = 0; i < nend_parts; i++)
        if (load_part(loading, &end_parts[i], -1, (char *)model) < 0)
            return -1;
    for (int l = 0; l < model->config.layers; l++) {
        for (size_t i = 0; i < nlayer_parts; i++)
            if (load_part(loading, &layer_parts[i], l, (char *)&model->layers[l]) < 0)
                return -1;
        set_layer(&model->layers[l], &model->config);
    }
    model->embed.scale = gemma ? sqrtf(model->config.hidden) : 1.0f;
    if (loading->round_bf16)
        round_to_bf16(&model->embed.scale, 1);
    model->logits_scale = 1.0f;
    return 0;
}

int model_load(struct model *model, const char *path, bool round_bf16, struct problem *problem)
{
    struct loading loading = {model, round_bf16, path, problem};
    struct stat status;
    int opened;

    memset(model, 0, sizeof(*model));
    model->checkpoint = calloc(1, sizeof(*model->checkpoint));
    if (!model->checkpoint)
        return fail(problem, "%s: out of memory", path);
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        opened = safetensors_open(model->checkpoint, path, problem);
    else
        opened = gguf_open(model->checkpoint, path, problem);
    if (opened < 0)
        return -1;
    model->config = model->checkpoint->config;
    model->layers = calloc(model->config.layers, sizeof(*model->layers));
    if (!model->layers)
        return fail(problem, "%s: out of memory", path);
    return load_parts(&loading);
}

void model_unload(struct model *model)
{
    for (size_t i = 0; i < model->nowned; i++)
        free(model->owned[i]);
    free(model->owned);
    free(model->layers);
    if (model->checkpoint)
        checkpoint_close(model->checkpoint);
    free(model->checkpoint);
    memset(model, 0, sizeof(*model));
}
