/* SPDX-License-Identifier: Apache-2.0
 *
 * The model as GGUF version 3, by llama.cpp's conventions: llama's q and k rows are reordered for
 * interleaved rotation pairs, gemma's norms have their one added, norms and biases stay f32.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "maker.h"

#define ALIGNMENT 32

enum { KEY_U32 = 4, KEY_I32 = 5, KEY_F32 = 6, KEY_STRING = 8, KEY_ARRAY = 9 };

struct output {
    FILE *file;
    const struct recipe *recipe;
    uint64_t nkeys; /* counted on the way, written into the header at last */
};

static void put(struct output *output, const void *bytes, size_t size)
{
    fwrite(bytes, 1, size, output->file); /* ferror is asked once, at the end */
}

static void put_u32(struct output *output, uint32_t value)
{
    put(output, &value, sizeof(value));
}

static void put_u64(struct output *output, uint64_t value)
{
    put(output, &value, sizeof(value));
}

static void put_text(struct output *output, const char *text)
{
    put_u64(output, strlen(text));
    put(output, text, strlen(text));
}

/* A key that starts with '.' belongs to the family. */
static void put_key(struct output *output, const char *key, uint32_t type)
{
    char full[128];

    snprintf(full, sizeof(full), "%s%s", *key == '.' ? output->recipe->config.family : "", key);
    put_text(output, full);
    put_u32(output, type);
    output->nkeys++;
}

static void put_key_u32(struct output *output, const char *key, uint32_t value)
{
    put_key(output, key, KEY_U32);
    put_u32(output, value);
}

static void put_key_f32(struct output *output, const char *key, float value)
{
    put_key(output, key, KEY_F32);
    put(output, &value, sizeof(value));
}

static void put_key_text(struct output *output, const char *key, const char *value)
{
    put_key(output, key, KEY_STRING);
    put_text(output, value);
}

static void put_key_array(struct output *output, const char *key, uint32_t type, uint64_t count)
{
    put_key(output, key, KEY_ARRAY);
    put_u32(output, type);
    put_u64(output, count);
}

static void put_config(struct output *output)
{
    static const uint32_t file_types[] = {[TYPE_F32] = 0, [TYPE_F16] = 1, [TYPE_BF16] = 32};
    const struct config *config = &output->recipe->config;

    put_key_text(output, "general.architecture", config->family);
    put_key_text(output, "general.name", "tensortap sample");
    put_key_u32(output, "general.file_type", file_types[output->recipe->type]);
    put_key_u32(output, "general.alignment", ALIGNMENT);
    put_key_u32(output, ".context_length", output->recipe->context);
    put_key_u32(output, ".embedding_length", config->hidden);
    put_key_u32(output, ".block_count", config->layers);
    put_key_u32(output, ".feed_forward_length", config->ffn);
    put_key_u32(output, ".attention.head_count", config->heads);
    put_key_u32(output, ".attention.head_count_kv", config->kv_heads);
    put_key_u32(output, ".attention.key_length", config->head_dim);
    put_key_u32(output, ".attention.value_length", config->head_dim);
    put_key_f32(output, ".attention.layer_norm_rms_epsilon", config->eps);
    put_key_f32(output, ".rope.freq_base", config->theta);
    put_key_u32(output, ".rope.dimension_count", config->head_dim);
    put_key_u32(output, ".vocab_size", config->vocab);
}

/* Token texts <unk>, <s>, </s>, then t3, t4 …: enough for readers that want a vocabulary. */
static void put_tokenizer(struct output *output)
{
    static const char *const special[] = {"<unk>", "<s>", "</s>"};
    int vocab = output->recipe->config.vocab;
    char text[32];

    put_key_text(output, "tokenizer.ggml.model", "llama");
    put_key_array(output, "tokenizer.ggml.tokens", KEY_STRING, vocab);
    for (int i = 0; i < vocab; i++) {
        snprintf(text, sizeof(text), "t%d", i);
        put_text(output, i < 3 ? special[i] : text);
    }
    put_key_array(output, "tokenizer.ggml.scores", KEY_F32, vocab);
    for (int i = 0; i < vocab; i++) {
        float score = -i;
        put(output, &score, sizeof(score));
    }
    put_key_array(output, "tokenizer.ggml.token_type", KEY_I32, vocab);
    for (int i = 0; i < vocab; i++)
        put_u32(output, i == 0 ? 2 : i < 3 ? 3 : 1); /* unknown, control, normal */
    put_key_u32(output, "tokenizer.ggml.bos_token_id", 1);
    put_key_u32(output, "tokenizer.ggml.eos_token_id", 2);
    put_key_u32(output, "tokenizer.ggml.unknown_token_id", 0);
}

static bool one_row(const struct sheet *sheet)
{
    return sheet->bias || sheet->part->kind == PART_NORM;
}

static enum number_type stored_type(const struct recipe *recipe, const struct sheet *sheet)
{
    return one_row(sheet) ? TYPE_F32 : recipe->type;
}

static uint64_t stored_bytes(const struct recipe *recipe, const struct sheet *sheet)
{
    return (uint64_t)sheet->rows * sheet->columns * type_size(stored_type(recipe, sheet));
}

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void put_table(struct output *output, const struct sheet *sheets, size_t count)
{
    static const uint32_t tensor_types[] = {[TYPE_F32] = 0, [TYPE_F16] = 1, [TYPE_BF16] = 30};
    uint64_t offset = 0;
    char name[96];

    for (size_t i = 0; i < count; i++) {
        const struct sheet *sheet = &sheets[i];

        part_name(sheet->part, 1, sheet->layer, sheet->bias ? "bias" : "weight", name, sizeof(name));
        put_text(output, name);
        put_u32(output, one_row(sheet) ? 1 : 2);
        put_u64(output, sheet->columns); /* innermost first */
        if (!one_row(sheet))
            put_u64(output, sheet->rows);
        put_u32(output, tensor_types[stored_type(output->recipe, sheet)]);
        put_u64(output, offset);
        offset += aligned(stored_bytes(output->recipe, sheet));
    }
}

static void put_padding(struct output *output)
{
    static const char zeros[ALIGNMENT];
    long at = ftell(output->file);

    if (at > 0)
        put(output, zeros, aligned(at) - at);
}

/* Rows of each head from (i, i + half) to (2i, 2i + 1) order; a bias counts as rows of one value. */
static void permute_heads(float *values, float *scratch, int rows, int columns, int head_dim)
{
    int half = head_dim / 2;

    memcpy(scratch, values, sizeof(*values) * rows * columns);
    for (int r = 0; r < rows; r++) {
        int within = r % head_dim;
        int target = r - within + (within < half ? 2 * within : 2 * (within - half) + 1);

        memcpy(values + (size_t)target * columns, scratch + (size_t)r * columns, sizeof(*values) * columns);
    }
}

static void convert(const struct recipe *recipe, const struct sheet *sheet, float *values, float *scratch)
{
    bool llama = !strcmp(recipe->config.family, "llama"), gemma = !strcmp(recipe->config.family, "gemma");
    const char *component = sheet->part->component;
    size_t count = (size_t)sheet->rows * sheet->columns;

    if (gemma && sheet->part->kind == PART_NORM)
        for (size_t i = 0; i < count; i++)
            values[i] += 1.0f;
    if (llama && (!strcmp(component, "attn.q_proj") || !strcmp(component, "attn.k_proj")))
        permute_heads(values, scratch, sheet->bias ? sheet->columns : sheet->rows,
                      sheet->bias ? 1 : sheet->columns, recipe->config.head_dim);
}

static int put_data(struct output *output, const struct sheet *sheets, size_t count)
{
    size_t most = 0;
    int result = -1;

    for (size_t i = 0; i < count; i++)
        if ((size_t)sheets[i].rows * sheets[i].columns > most)
            most = (size_t)sheets[i].rows * sheets[i].columns;
    float *values = calloc(most, sizeof(*values)), *scratch = calloc(most, sizeof(*scratch));
    if (!values || !scratch)
        goto out;
    for (size_t i = 0; i < count; i++) {
        put_padding(output);
        fill_sheet(output->recipe, &sheets[i], values);
        convert(output->recipe, &sheets[i], values, scratch);
        if (write_values(output->file, values, (size_t)sheets[i].rows * sheets[i].columns,
                         stored_type(output->recipe, &sheets[i])) < 0)
            goto out;
    }
    put_padding(output);
    result = 0;
out:
    free(values);
    free(scratch);
    return result;
}

int write_gguf(const struct recipe *recipe, struct problem *problem)
{
    struct output output = {fopen(recipe->out, "wb"), recipe, 0};
    size_t count;
    struct sheet *sheets = list_sheets(recipe, &count);
    int result = -1;

    if (!output.file || !sheets) {
        fail(problem, "%s: %s", recipe->out, strerror(errno));
        goto out;
    }
    put(&output, "GGUF", 4);
    put_u32(&output, 3);
    put_u64(&output, count);
    put_u64(&output, 0);
    put_config(&output);
    put_tokenizer(&output);
    put_table(&output, sheets, count);
    if (put_data(&output, sheets, count) < 0 || fseek(output.file, 16, SEEK_SET) < 0) {
        fail(problem, "%s: %s", recipe->out, strerror(errno));
        goto out;
    }
    put_u64(&output, output.nkeys);
    result = ferror(output.file) ? fail(problem, "%s: write failed", recipe->out) : 0;
out:
    if (output.file && fclose(output.file) != 0 && result == 0)
        result = fail(problem, "%s: %s", recipe->out, strerror(errno));
    free(sheets);
    return result;
}
