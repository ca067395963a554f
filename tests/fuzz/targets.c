/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: open a case as everything it could be and touch all that is then offered: metadata, values, digests,
 * the graph.
 */
#include "targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"
#include "model/arrays.h"
#include "model/identity.h"
#include "model/model.h"
#include "mutate.h"
#include "tokenizer/tokenizer.h"

#define MOST_ELEMENTS (1u << 20) /* read of a tensor: slices and transposes may be larger than their file */

static volatile unsigned char sink; /* keeps reads alive */

void require(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "model_fuzz: %s\n", what);
    abort();
}

static void require_line(const struct tt_error *error)
{
    require(error->code != TT_OK && error->message[0] && !strchr(error->message, '\n'),
            "no one-line message");
}

static uint64_t elements(int rank, const int64_t *shape)
{
    uint64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= (uint64_t)shape[i];
    return count;
}

/* ---- models ---- */

static void use_key(const struct tt_model *model, const char *key)
{
    const char *text;
    double number;
    size_t length;

    tt_model_number(model, key, &number);
    tt_model_string(model, key, &text);
    for (size_t j = 0; j <= tt_model_array_length(model, key) && j < 100; j++) {
        tt_model_array_number(model, key, j, &number);
        if (tt_model_array_string(model, key, j, &text, &length) && length > 0)
            sink = (unsigned char)text[length - 1];
    }
}

static void use_metadata(const struct tt_model *model)
{
    static const char *const keys[] = {
        "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "u64", "i64", "f64", "words", "nested", "a.b.c", "0",
        "string", "architectures", "rope_scaling", "rope_scaling.factor", "layer_types",
        "tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type"};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        use_key(model, keys[i]);
}

static void read_end(const struct tt_model_tensor *tensor, uint64_t count, double *values)
{
    struct tt_error error = {0};

    require(tt_model_read(tensor, count, 1, values, &error) != 0, "read past the end");
    require_line(&error);
}

static void use_tensor(struct tt_identity *identity, const struct tt_model_tensor *tensor)
{
    struct tt_error error = {0};
    struct tt_identity_match match;
    struct tt_digest digest = {{0}};
    uint64_t count = elements(tensor->rank, tensor->shape), part = count < MOST_ELEMENTS ? count : MOST_ELEMENTS;
    double *values = malloc((part + 1) * sizeof *values);

    require(values != NULL, "a tensor larger than memory");
    if (tt_model_read(tensor, 0, part, values, &error) != 0)
        require_line(&error);
    if (count > 1)
        tt_model_read(tensor, count - part / 2, part / 2, values, &error);
    read_end(tensor, count, values);
    tt_identity_find(identity, TT_F32, count, &digest, &match, 1);
    tt_identity_find(identity, tensor->dtype, count, &digest, &match, 1);
    tt_identity_at(identity, tensor->file, tensor->offset, &match);
    free(values);
}

static void use_graph(const struct tt_model *model, bool bare)
{
    struct tt_error error = {0};
    struct tt_graph_options options = {.bare = bare};
    struct tt_graph *graph = tt_graph_new_with(model, &options, &error);

    if (!graph)
        require_line(&error);
    for (int i = 0; graph && i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *node = tt_graph_node(graph, i);
        for (int j = 0; j < node->nin; j++)
            require(node->in[j] < tt_graph_nnodes(graph), "an input that is no node");
    }
    tt_graph_free(graph);
}

static int use_model(const char *path)
{
    static const int heads[] = {2, 4};
    struct tt_error error = {0};
    struct tt_model *model = tt_model_open(path, &error);

    if (!model) {
        require_line(&error);
        return 0;
    }
    struct tt_identity *identity = tt_identity_new(model, heads, 2);
    use_metadata(model);
    for (size_t i = 0; i < tt_model_ntensors(model); i++)
        use_tensor(identity, tt_model_tensor_at(model, i));
    tt_identity_free(identity);
    use_graph(model, false);
    use_graph(model, true);
    tt_model_close(model);
    return 1;
}

/* ---- arrays ---- */

static void use_array(const struct tt_array *array)
{
    struct tt_error error = {0};
    uint64_t count = array->dtype == TT_NONE ? 0 : elements(array->rank, array->shape);
    double *values = malloc((count + 1) * sizeof *values);

    require(values != NULL, "an array larger than memory");
    if (tt_array_read_f64(array, 0, count, values, &error) != 0)
        require_line(&error);
    free(values);
}

static int use_arrays(const char *path)
{
    struct tt_error error = {0};
    struct tt_arrays *arrays = tt_arrays_open(path, &error);

    if (!arrays) {
        require_line(&error);
        return 0;
    }
    for (size_t i = 0; i < tt_arrays_count(arrays); i++)
        use_array(tt_arrays_at(arrays, i));
    tt_arrays_metadata(arrays, "format");
    tt_arrays_close(arrays);
    return 1;
}

/* ---- adapters ---- */

/* A folder with an adapter and the model that it belongs to. */
static int use_adapter(const char *path)
{
    struct tt_error error = {0};
    char base[256];
    int added;

    snprintf(base, sizeof base, "%s/base.safetensors", path);
    struct tt_model *model = tt_model_open(base, &error);
    require(model != NULL, error.message);
    struct tt_identity *identity = tt_identity_new(model, NULL, 0);
    added = tt_model_add_adapter(model, path, 0.5, &error) == 0;
    if (!added)
        require_line(&error);
    for (size_t i = 0; i < tt_model_ntensors(model); i++)
        use_tensor(identity, tt_model_tensor_at(model, i));
    tt_identity_free(identity);
    tt_model_close(model);
    return added;
}

/* ---- tokenisers ---- */

static void use_ids(const struct tt_tokenizer *tokenizer, const struct tt_tokens *tokens)
{
    struct tt_error error = {0};
    size_t length;
    int32_t *ids = malloc((tokens->count + 1) * sizeof *ids);

    for (size_t i = 0; i < tokens->count; i++)
        ids[i] = tokens->items[i].id;
    char *text = tt_detokenize(tokenizer, ids, tokens->count, &length, &error);
    if (!text)
        require_line(&error);
    else
        require(text[length] == '\0', "text that is not terminated");
    for (int32_t id = -1; id < 400; id++) {
        const char *piece = tt_token_piece(tokenizer, id, &length);
        if (piece && length > 0)
            sink = (unsigned char)piece[length - 1];
    }
    free(text);
    free(ids);
}

/* False: refused in every form; not every vocabulary has a token for the beginning. */
static bool use_text(const struct tt_tokenizer *tokenizer, const char *text, size_t length)
{
    bool taken = false;

    for (int form = 0; form < 4; form++) {
        struct tt_tokenize_options options = {form % 2 != 0, form < 2 ? TT_ENDS_AS_FILE : TT_ENDS_BOS};
        struct tt_tokens tokens = {0};
        struct tt_error error = {0};
        if (tt_tokenize(tokenizer, text, length, &options, &tokens, &error) != 0) {
            require_line(&error);
        } else {
            use_ids(tokenizer, &tokens);
            taken = true;
        }
        for (size_t i = 0; i < tokens.count; i++)
            require(tokens.items[i].start <= tokens.items[i].end && tokens.items[i].end <= length,
                    "a token beyond the text");
        free(tokens.items);
    }
    return taken;
}

static int use_tokenizer(const char *path)
{
    static const char text[] = "The quick\tbrown fox, 1234567 x\xc3\xa9 e\xcc\x81 \xe6\x97\xa5\xe6\x9c\xac "
                               "\xf0\x9f\x99\x82  </s>\r\n<s>[CLS] \xef\xb7\xba it's";
    struct tt_error error = {0};
    struct tt_tokenizer *tokenizer = tt_tokenizer_open(path, tt_data_directory(), &error);

    if (!tokenizer) {
        require_line(&error);
        return 0;
    }
    use_text(tokenizer, text, sizeof text - 1);
    use_text(tokenizer, "", 0);
    tt_tokenizer_free(tokenizer);
    return 1;
}

/* A folder with a good tokeniser and a damaged text. */
static int use_damaged_text(const char *path)
{
    static char text[LARGEST_CASE];
    struct tt_error error = {0};
    char name[256];

    snprintf(name, sizeof name, "%s/text", path);
    FILE *file = fopen(name, "rb");
    require(file != NULL, name);
    size_t length = fread(text, 1, sizeof text, file);
    fclose(file);
    struct tt_tokenizer *tokenizer = tt_tokenizer_open(path, tt_data_directory(), &error);
    require(tokenizer != NULL, error.message);
    char *copy = malloc(length + 1); /* of just this length, so that sanitizers see a byte too many */
    memcpy(copy, text, length);
    bool taken = use_text(tokenizer, copy, length);
    free(copy);
    tt_tokenizer_free(tokenizer);
    return taken;
}

const struct target targets[] = {
    {"gguf", "case.gguf", NULL, seed_gguf, NULL, {use_model, use_tokenizer}},
    {"safetensors", "model.safetensors", NULL, seed_safetensors, repair_safetensors, {use_model, use_arrays}},
    {"index", "model.safetensors.index.json", NULL, seed_index, NULL, {use_model}},
    {"config", "config.json", "", seed_config, NULL, {use_model}},
#define QUANTISED(name)                                                                                      \
    {name, "model.safetensors", NULL, NULL, repair_safetensors, {use_model}},                                \
        {name "_config", "config.json", "", NULL, NULL, {use_model}},
    QUANTISED("fp8") QUANTISED("gptq") QUANTISED("awq") QUANTISED("bnb")
#undef QUANTISED
    {"npy", "case.npy", NULL, seed_npy, NULL, {use_arrays}},
    {"npz", "case.npz", NULL, seed_npz, repair_zip, {use_arrays}},
    {"adapter", "adapter_model.safetensors", "", NULL, repair_safetensors, {use_adapter}},
    {"adapter_config", "adapter_config.json", "", NULL, NULL, {use_adapter}},
    {"tokenizer", "tokenizer.json", NULL, NULL, NULL, {use_tokenizer}},
#define TEXT(name) {name, "text", "", NULL, NULL, {use_damaged_text}},
    TEXT("text_byte_level") TEXT("text_word_piece") TEXT("text_sentence_piece") TEXT("text_unigram")
#undef TEXT
    {"pt", "pytorch_model.bin", NULL, NULL, repair_zip, {use_arrays, use_model}},
};
const size_t ntargets = sizeof targets / sizeof *targets;
