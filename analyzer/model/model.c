/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: open a model whatever its container, find its tensors and metadata.
 * Invariants: tensor names are unique; tensors and metadata point into files mapped until tt_model_close.
 */
#include "model/model.h"

#include <stdlib.h>

#include "model/config.h"
#include "model/locate.h"
#include "model/parts.h"
#include "model/quantised.h"

void tt_model_own(struct tt_model *model, void *memory)
{
    model->owned = tt_grow(model->owned, model->nowned + 1, sizeof *model->owned);
    model->owned[model->nowned++] = memory;
}

void *tt_model_alloc(struct tt_model *model, size_t bytes)
{
    void *memory = tt_alloc(bytes);
    tt_model_own(model, memory);
    return memory;
}

const struct tt_file *tt_model_add_file(struct tt_model *model, const char *path, struct tt_error *error)
{
    struct tt_file *file = tt_file_map(path, error);

    if (file) {
        model->files = tt_grow(model->files, model->nfiles + 1, sizeof(struct tt_file *));
        model->files[model->nfiles++] = file;
    }
    return file;
}

static int index_names(struct tt_model *model, struct tt_error *error)
{
    for (size_t i = 0; i < model->tensors.count; i++) {
        const struct tt_model_tensor *tensor = &model->tensors.items[i];
        if (!tt_names_add(model->names, tensor->name, i)) {
            struct tt_printable name = tt_printable(tensor->name, strlen(tensor->name));
            return tt_fail(error, TT_EINPUT,
                           "%s holds tensor '%s' twice: it is damaged; convert or download it again",
                           tensor->file, name.text);
        }
    }
    return 0;
}

static int load(struct tt_model *model, enum tt_model_kind kind, struct tt_error *error)
{
    static int (*const loaders[])(struct tt_model *, const char *, struct tt_error *) = {
        [TT_MODEL_GGUF] = tt_model_load_gguf,
        [TT_MODEL_SAFETENSORS] = tt_model_load_safetensors,
        [TT_MODEL_TORCH] = tt_model_load_torch,
        [TT_MODEL_INDEX] = tt_model_load_index,
    };

    model->scheme = kind == TT_MODEL_GGUF ? "gguf" : "hf";
    if (loaders[kind](model, model->path, error) != 0 || index_names(model, error) != 0)
        return -1;
    return kind == TT_MODEL_GGUF ? 0 : tt_quantised_add(model, error);
}

struct tt_model *tt_model_open(const char *path, struct tt_error *error)
{
    struct tt_model_place place;
    if (tt_model_locate(path, &place, error) != 0)
        return NULL;
    struct tt_model *model = tt_alloc(sizeof *model);
    model->path = place.path;
    model->names = tt_names_new();
    if (load(model, place.kind, error) != 0) {
        tt_model_close(model);
        model = NULL;
    }
    return model;
}

void tt_model_close(struct tt_model *model)
{
    if (!model)
        return;
    for (size_t i = 0; i < model->nadapters; i++)
        tt_model_close(model->adapters[i]);
    free(model->adapters);
    for (size_t i = 0; i < model->nowned; i++)
        free(model->owned[i]);
    free(model->owned);
    tt_names_free(model->names);
    tt_tensors_free(&model->tensors);
    tt_gguf_free(&model->gguf);
    cJSON_Delete(model->config);
    for (size_t i = 0; i < model->nfiles; i++)
        tt_file_unmap(model->files[i]);
    free(model->files);
    free(model->path);
    free(model);
}

const char *tt_model_path(const struct tt_model *model)
{
    return model->path;
}

const char *tt_model_scheme(const struct tt_model *model)
{
    return model->scheme;
}

size_t tt_model_ntensors(const struct tt_model *model)
{
    return model->tensors.count;
}

const struct tt_model_tensor *tt_model_tensor_at(const struct tt_model *model, size_t index)
{
    return index < model->tensors.count ? &model->tensors.items[index] : NULL;
}

const struct tt_model_tensor *tt_model_tensor(const struct tt_model *model, const char *name)
{
    size_t index;
    return tt_names_find(model->names, name, &index) ? &model->tensors.items[index] : NULL;
}

static int outside(const struct tt_model_tensor *tensor, uint64_t first, uint64_t count, struct tt_error *error)
{
    return tt_fail(error, TT_EINPUT, "elements %llu to %llu are outside tensor '%s' of %s",
                   (unsigned long long)first, (unsigned long long)(first + count),
                   tt_printable(tensor->name, strlen(tensor->name)).text, tensor->file);
}

int tt_model_read(const struct tt_model_tensor *tensor, uint64_t first, uint64_t count, double *out,
                  struct tt_error *error)
{
    uint64_t total;

    if (!tt_shape_count(tensor->rank, tensor->shape, &total) || first > total || count > total - first)
        return outside(tensor, first, count, error);
    if (tensor->form)
        return tensor->form->read(tensor->form, first, count, out, error);
    if (tt_decode_range(tensor->dtype, tensor->data, first, count, out) == 0)
        return 0;
    return tt_fail(
        error, TT_EINPUT,
        "tensor '%s' of %s is stored as %s, which cannot be read yet; use a file in f16, bf16 or q8_0",
        tt_printable(tensor->name, strlen(tensor->name)).text, tensor->file, tt_dtype_info(tensor->dtype)->name);
}
