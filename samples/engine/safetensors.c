/* SPDX-License-Identifier: Apache-2.0
 *
 * A Hugging Face folder: config.json for the sizes, model.safetensors for the weights.
 */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"

static double number(const cJSON *object, const char *key, double otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

/* Whole numbers that no int holds become 0, which config_check refuses. */
static int whole(const cJSON *object, const char *key, double otherwise)
{
    double value = number(object, key, otherwise);

    return value >= 0 && value < 1e9 ? (int)value : 0;
}

static int read_config(struct config *config, const cJSON *json, const char *path, struct problem *problem)
{
    const cJSON *family = cJSON_GetObjectItemCaseSensitive(json, "model_type");
    const cJSON *rope = cJSON_GetObjectItemCaseSensitive(json, "rope_parameters");
    static const char *const known[] = {"llama", "gemma", "qwen2"};

    for (size_t i = 0; cJSON_IsString(family) && i < sizeof(known) / sizeof(known[0]); i++)
        if (!strcmp(family->valuestring, known[i]))
            snprintf(config->family, sizeof(config->family), "%s", known[i]);
    if (!config->family[0])
        return fail(problem, "%s: model_type is missing or not supported (llama, gemma, qwen2)", path);
    config->layers = whole(json, "num_hidden_layers", 0);
    config->hidden = whole(json, "hidden_size", 0);
    config->heads = whole(json, "num_attention_heads", 0);
    config->kv_heads = whole(json, "num_key_value_heads", config->heads);
    config->head_dim = whole(json, "head_dim", config->heads ? config->hidden / config->heads : 0);
    config->ffn = whole(json, "intermediate_size", 0);
    config->vocab = whole(json, "vocab_size", 0);
    config->eps = number(json, "rms_norm_eps", 1e-6);
    /* transformers 5 writes rope_parameters, earlier releases a plain rope_theta. */
    config->theta = number(rope, "rope_theta", number(json, "rope_theta", 10000));
    return config_check(config, path, problem);
}

static int open_config(struct config *config, const char *folder, struct problem *problem)
{
    struct mapping file = {NULL, 0};
    char path[4096];
    int result = -1;

    snprintf(path, sizeof(path), "%s/config.json", folder);
    if (mapping_open(&file, path, problem) < 0)
        return -1;
    cJSON *json = cJSON_ParseWithLength((const char *)file.bytes, file.size);
    if (json)
        result = read_config(config, json, path, problem);
    else
        fail(problem, "%s: not valid JSON", path);
    cJSON_Delete(json);
    mapping_close(&file);
    return result;
}

static enum storage safetensors_storage(const cJSON *dtype)
{
    static const char *const names[] = {[STORED_F32] = "F32", [STORED_F16] = "F16", [STORED_BF16] = "BF16"};

    for (int i = 0; cJSON_IsString(dtype) && i < STORED_OTHER; i++)
        if (!strcmp(dtype->valuestring, names[i]))
            return i;
    return STORED_OTHER;
}

/* `data` and `available`: the bytes after the header. False when the entry makes no sense. */
static bool read_tensor(struct tensor *tensor, const cJSON *entry, const uint8_t *data, size_t available)
{
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(entry, "shape");
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(entry, "data_offsets");
    const cJSON *first = cJSON_GetArrayItem(offsets, 0), *end = cJSON_GetArrayItem(offsets, 1), *axis;
    double bytes;

    tensor->storage = safetensors_storage(cJSON_GetObjectItemCaseSensitive(entry, "dtype"));
    bytes = storage_size(tensor->storage);
    cJSON_ArrayForEach (axis, shape) {
        if (tensor->rank == 4 || !cJSON_IsNumber(axis) ||
            !(axis->valuedouble >= 1 && axis->valuedouble < 1 << 30))
            return false;
        tensor->shape[tensor->rank++] = axis->valuedouble;
        bytes *= axis->valuedouble;
    }
    if (!cJSON_IsNumber(first) || !cJSON_IsNumber(end) || !(first->valuedouble >= 0) ||
        !(end->valuedouble <= available) || !(end->valuedouble - first->valuedouble >= bytes) ||
        strlen(entry->string) >= sizeof(tensor->name))
        return false;
    strcpy(tensor->name, entry->string);
    tensor->data = data + (size_t)first->valuedouble;
    return true;
}

static int read_header(struct checkpoint *checkpoint, const cJSON *header, size_t header_size,
                       const char *path, struct problem *problem)
{
    const uint8_t *data = checkpoint->file.bytes + 8 + header_size;
    const cJSON *entry;

    checkpoint->tensors = calloc(cJSON_GetArraySize(header) + 1, sizeof(*checkpoint->tensors));
    if (!checkpoint->tensors)
        return fail(problem, "%s: out of memory", path);
    cJSON_ArrayForEach (entry, header) {
        if (!strcmp(entry->string, "__metadata__"))
            continue;
        if (!read_tensor(&checkpoint->tensors[checkpoint->ntensors++], entry, data,
                         checkpoint->file.size - 8 - header_size))
            return fail(problem, "%s: tensor %.100s does not fit the file (truncated?)", path, entry->string);
    }
    return 0;
}

int safetensors_open(struct checkpoint *checkpoint, const char *folder, struct problem *problem)
{
    char path[4096];
    uint64_t header_size;
    int result = -1;

    if (open_config(&checkpoint->config, folder, problem) < 0)
        return -1;
    snprintf(path, sizeof(path), "%s/model.safetensors", folder);
    if (mapping_open(&checkpoint->file, path, problem) < 0)
        return -1;
    memcpy(&header_size, checkpoint->file.bytes, sizeof(header_size));
    if (header_size > checkpoint->file.size - 8)
        return fail(problem, "%s: header of %llu bytes in a file of %zu", path,
                    (unsigned long long)header_size, checkpoint->file.size);
    cJSON *header = cJSON_ParseWithLength((const char *)checkpoint->file.bytes + 8, header_size);
    if (cJSON_IsObject(header))
        result = read_header(checkpoint, header, header_size, path, problem);
    else
        fail(problem, "%s: header is not valid JSON", path);
    cJSON_Delete(header);
    return result;
}
