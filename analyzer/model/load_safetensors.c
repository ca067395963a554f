/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: a model out of one safetensors file, or of the shards that an index lists (safetensors or PyTorch), with
 * config.json beside.
 */
#include "model/parts.h"

#include <stdlib.h>
#include <unistd.h>

#include "model/config.h"
#include "model/locate.h"
#include "model/safetensors.h"
#include "model/torch.h"

/* Weights without a config.json are a model without metadata, which is no error here. */
int tt_model_load_config(struct tt_model *model, const char *path, struct tt_error *error)
{
    int rc = 0;
    char *config = tt_config_beside(path);

    if (access(config, F_OK) == 0) {
        model->config = tt_json_read(config, error);
        rc = model->config ? 0 : -1;
    }
    free(config);
    return rc;
}

int tt_model_add_tensors(struct tt_model *model, const char *path, struct tt_error *error)
{
    const struct tt_file *file = tt_model_add_file(model, path, error);

    if (!file)
        return -1;
    return tt_torch_is(file) ? tt_torch_add(model, file, error)
                             : tt_safetensors_parse(file, &model->tensors, NULL, error);
}

int tt_model_load_safetensors(struct tt_model *model, const char *path, struct tt_error *error)
{
    return tt_model_add_tensors(model, path, error) == 0 ? tt_model_load_config(model, path, error) : -1;
}

static bool has_control(const char *text)
{
    while (*text && (unsigned char)*text >= 0x20 && *text != 0x7f)
        text++;
    return *text != '\0';
}

/* Shards lie beside their index: a name that leads elsewhere, or would spoil a message, is an attack or a
 * mistake. */
static int check_shard_name(const char *index, const cJSON *entry, struct tt_error *error)
{
    const char *shard = cJSON_GetStringValue(entry);
    struct tt_printable name = tt_printable(entry->string, strlen(entry->string));

    if (shard && *shard && !strchr(shard, '/') && shard[0] != '.' && !has_control(shard))
        return 0;
    return tt_fail(error, TT_EINPUT, "%s: the file of tensor '%s' is no plain file name in the same folder",
                   index, name.text);
}

/* Shards in the order of first mention. */
static int list_shards(const char *index, const cJSON *map, struct tt_names *shards, const char **list,
                       size_t *count, struct tt_error *error)
{
    const cJSON *entry;

    *count = 0;
    cJSON_ArrayForEach (entry, map) {
        if (check_shard_name(index, entry, error) != 0)
            return -1;
        if (tt_names_add(shards, entry->valuestring, *count))
            list[(*count)++] = entry->valuestring;
    }
    return 0;
}

/* Of the tensors in a shard only those count that the index places there: leftovers of another layout stay
 * out. */
static void keep_indexed(struct tt_model *model, size_t first, const struct tt_names *placed,
                         const cJSON *const *entries, const char *shard)
{
    size_t kept = first, number;

    for (size_t i = first; i < model->tensors.count; i++) {
        struct tt_model_tensor *tensor = &model->tensors.items[i];
        if (tt_names_find(placed, tensor->name, &number) && strcmp(entries[number]->valuestring, shard) == 0)
            model->tensors.items[kept++] = *tensor;
        else
            free((char *)tensor->name);
    }
    model->tensors.count = kept;
}

struct index {
    const char *path;
    const cJSON *map;        /* tensor -> shard */
    struct tt_names *placed; /* tensor -> place in entries */
    const cJSON **entries;
    struct tt_names *shards;
    const char **list; /* [nshards] */
    size_t nshards;
};

static int load_shards(struct tt_model *model, const struct index *index, struct tt_error *error)
{
    for (size_t i = 0; i < index->nshards; i++) {
        size_t first = model->tensors.count;
        char *path = tt_path_beside(index->path, index->list[i]);
        int rc = tt_model_add_tensors(model, path, error);
        free(path);
        if (rc != 0)
            return -1;
        keep_indexed(model, first, index->placed, index->entries, index->list[i]);
    }
    return 0;
}

static int check_complete(const struct tt_model *model, const struct index *index, struct tt_error *error)
{
    struct tt_names *present = tt_names_new();
    const cJSON *entry;
    size_t number;
    int rc = 0;

    for (size_t i = 0; i < model->tensors.count; i++)
        tt_names_add(present, model->tensors.items[i].name, i);
    cJSON_ArrayForEach (entry, index->map) {
        if (rc == 0 && !tt_names_find(present, entry->string, &number)) {
            struct tt_printable name = tt_printable(entry->string, strlen(entry->string));
            rc = tt_fail(error, TT_EINPUT, "%s places tensor '%s' in %s, which lacks it; download both again",
                         index->path, name.text,
                         tt_printable(entry->valuestring, strlen(entry->valuestring)).text);
        }
    }
    tt_names_free(present);
    return rc;
}

static int place_entries(struct index *index, struct tt_error *error)
{
    size_t count = 0;
    const cJSON *entry;

    cJSON_ArrayForEach (entry, index->map) {
        struct tt_printable name = tt_printable(entry->string, strlen(entry->string));
        index->entries[count] = entry;
        if (!tt_names_add(index->placed, entry->string, count++))
            return tt_fail(error, TT_EINPUT, "%s lists tensor '%s' twice; download it again", index->path,
                           name.text);
    }
    return 0;
}

static int load_map(struct tt_model *model, const char *path, const cJSON *map, struct tt_error *error)
{
    size_t count = (size_t)cJSON_GetArraySize(map);
    struct index index = {.path = path, .map = map, .placed = tt_names_new(), .shards = tt_names_new()};
    int rc = -1;

    index.entries = tt_alloc_array(count + 1, sizeof *index.entries);
    index.list = tt_alloc_array(count + 1, sizeof *index.list);
    if (place_entries(&index, error) == 0 &&
        list_shards(path, map, index.shards, index.list, &index.nshards, error) == 0 &&
        load_shards(model, &index, error) == 0)
        rc = check_complete(model, &index, error);
    free(index.list);
    free(index.entries);
    tt_names_free(index.placed);
    tt_names_free(index.shards);
    return rc;
}

int tt_model_load_index(struct tt_model *model, const char *path, struct tt_error *error)
{
    cJSON *json = tt_json_read(path, error);
    const cJSON *map = cJSON_GetObjectItemCaseSensitive(json, "weight_map");
    int rc = -1;

    if (json && !cJSON_IsObject(map))
        tt_fail(error, TT_EINPUT,
                "%s has no \"weight_map\": it is no index of shards; name the folder", path);
    else if (json)
        rc = load_map(model, path, map, error);
    cJSON_Delete(json);
    return rc == 0 ? tt_model_load_config(model, path, error) : -1;
}
