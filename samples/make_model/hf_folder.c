/* SPDX-License-Identifier: Apache-2.0
 *
 * The model as a Hugging Face folder: config.json and model.safetensors.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "maker.h"

struct family_words {
    const char *family, *class_name, *activation;
    int bos, eos;
};

static const struct family_words all_words[] = {
    {"llama", "LlamaForCausalLM", "silu", 1, 2},
    {"gemma", "GemmaForCausalLM", "gelu_pytorch_tanh", 2, 1},
    {"qwen2", "Qwen2ForCausalLM", "silu", 1, 2},
};

static const struct family_words *words_of(const char *family)
{
    const struct family_words *words = all_words;

    while (strcmp(words->family, family)) /* the options admit no other */
        words++;
    return words;
}

static const char *json_bool(bool value)
{
    return value ? "true" : "false";
}

static int write_config(FILE *file, const struct recipe *recipe)
{
    static const char *const types[] = {
        [TYPE_F32] = "float32", [TYPE_F16] = "float16", [TYPE_BF16] = "bfloat16"};
    const struct config *config = &recipe->config;
    const struct family_words *words = words_of(config->family);

    return fprintf(
               file,
               "{\n"
               "  \"architectures\": [\n    \"%s\"\n  ],\n"
               "  \"attention_bias\": %s,\n"
               "  \"attention_dropout\": 0.0,\n"
               "  \"bos_token_id\": %d,\n"
               "  \"dtype\": \"%s\",\n"
               "  \"eos_token_id\": %d,\n"
               "  \"head_dim\": %d,\n"
               "  \"hidden_act\": \"%s\",\n"
               "  \"hidden_size\": %d,\n"
               "  \"initializer_range\": 0.02,\n"
               "  \"intermediate_size\": %d,\n"
               "  \"max_position_embeddings\": %d,\n"
               "  \"mlp_bias\": false,\n"
               "  \"model_type\": \"%s\",\n"
               "  \"num_attention_heads\": %d,\n"
               "  \"num_hidden_layers\": %d,\n"
               "  \"num_key_value_heads\": %d,\n"
               "  \"pad_token_id\": 0,\n"
               "  \"rms_norm_eps\": %.7g,\n"
               "  \"rope_parameters\": {\n    \"rope_theta\": %.1f,\n    \"rope_type\": \"default\"\n  },\n"
               "  \"rope_theta\": %.1f,\n"
               "  \"tie_word_embeddings\": %s,\n"
               "  \"use_cache\": true,\n"
               "  \"vocab_size\": %d\n"
               "}\n",
               words->class_name, json_bool(recipe->bias), words->bos, types[recipe->type], words->eos,
               config->head_dim, words->activation, config->hidden, config->ffn, recipe->context,
               config->family, config->heads, config->layers, config->kv_heads, config->eps, config->theta,
               config->theta, json_bool(recipe->tied), config->vocab) < 0
               ? -1
               : 0;
}

static int write_header(FILE *file, const struct recipe *recipe, const struct sheet *sheets, size_t count)
{
    static const char *const types[] = {[TYPE_F32] = "F32", [TYPE_F16] = "F16", [TYPE_BF16] = "BF16"};
    size_t offset = 0, length = 0;
    char *text = NULL, name[96];
    int result = -1;
    FILE *header = open_memstream(&text, &length);

    if (!header)
        return -1;
    fprintf(header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < count; i++) {
        const struct sheet *sheet = &sheets[i];
        size_t bytes = (size_t)sheet->rows * sheet->columns * type_size(recipe->type);

        part_name(sheet->part, 0, sheet->layer, sheet->bias ? "bias" : "weight", name, sizeof(name));
        fprintf(header, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", name, types[recipe->type]);
        if (!sheet->bias && sheet->part->kind != PART_NORM)
            fprintf(header, "%d,", sheet->rows);
        fprintf(header, "%d],\"data_offsets\":[%zu,%zu]}", sheet->columns, offset, offset + bytes);
        offset += bytes;
    }
    fputc('}', header);
    fflush(header);
    for (size_t i = length; i % 8; i++) /* data starts at a multiple of 8 */
        fputc(' ', header);
    if (fclose(header) == 0) {
        uint64_t size = length;

        result = fwrite(&size, sizeof(size), 1, file) == 1 && fwrite(text, length, 1, file) == 1 ? 0 : -1;
    }
    free(text);
    return result;
}

static int write_weights(FILE *file, const struct recipe *recipe)
{
    size_t count;
    struct sheet *sheets = list_sheets(recipe, &count);
    int result = sheets ? write_header(file, recipe, sheets, count) : -1;

    for (size_t i = 0; result == 0 && i < count; i++) {
        size_t values = (size_t)sheets[i].rows * sheets[i].columns;
        float *buffer = malloc(values * sizeof(*buffer));

        if (!buffer) {
            result = -1;
            break;
        }
        fill_sheet(recipe, &sheets[i], buffer);
        result = write_values(file, buffer, values, recipe->type);
        free(buffer);
    }
    free(sheets);
    return result;
}

static int write_file(const struct recipe *recipe, const char *name,
                      int (*write)(FILE *, const struct recipe *), struct problem *problem)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s", recipe->out, name);
    FILE *file = fopen(path, "wb");
    if (!file)
        return fail(problem, "%s: %s", path, strerror(errno));
    int result = write(file, recipe);
    if (fclose(file) != 0 || result < 0)
        return fail(problem, "%s: write failed: %s", path, strerror(errno));
    return 0;
}

int write_folder(const struct recipe *recipe, struct problem *problem)
{
    if (mkdir(recipe->out, 0777) < 0 && errno != EEXIST)
        return fail(problem, "%s: %s", recipe->out, strerror(errno));
    if (write_file(recipe, "config.json", write_config, problem) < 0)
        return -1;
    return write_file(recipe, "model.safetensors", write_weights, problem);
}
