/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: references that others wrote, whatever the container, as one list of named arrays.
 * Invariants: names are unique; data is row-major and little-endian.
 */
#include "model/arrays.h"

#include <stdlib.h>

#include <cjson/cJSON.h>

#include "model/names.h"
#include "model/npy.h"
#include "model/safetensors.h"
#include "model/torch.h"
#include "model/zip.h"

struct tt_arrays {
    struct tt_file *file;
    struct tt_array *items; /* [count]; names are owned */
    void **owned;           /* [count] the converted copy that an item's data is, else NULL */
    void **unpacked;        /* [count] the unpacked member that an item's data lies in, else NULL */
    size_t count;
    struct tt_names *names;
    cJSON *metadata;
    struct tt_torch torch; /* of a PyTorch archive: the storages that were unpacked */
};

static bool starts_with(const struct tt_file *file, const char *mark, size_t length)
{
    return file->size >= length && memcmp(file->data, mark, length) == 0;
}

static bool has_suffix(const char *text, size_t length, const char *suffix)
{
    size_t tail = strlen(suffix);
    return length >= tail && memcmp(text + length - tail, suffix, tail) == 0;
}

static void reserve(struct tt_arrays *arrays, size_t count)
{
    arrays->items = tt_alloc_array(count + 1, sizeof *arrays->items);
    arrays->owned = tt_alloc_array(count + 1, sizeof *arrays->owned);
    arrays->unpacked = tt_alloc_array(count + 1, sizeof *arrays->unpacked);
}

/* ---- safetensors ---- */

static int load_safetensors(struct tt_arrays *arrays, struct tt_error *error)
{
    struct tt_tensors tensors = {0};
    int rc = tt_safetensors_parse(arrays->file, &tensors, &arrays->metadata, error);

    reserve(arrays, rc == 0 ? tensors.count : 0);
    for (size_t i = 0; i < tensors.count && rc == 0; i++) {
        const struct tt_model_tensor *tensor = &tensors.items[i];
        struct tt_array *array = &arrays->items[arrays->count++];
        array->name = tt_strdup(tensor->name);
        array->dtype = tensor->dtype;
        array->rank = tensor->rank;
        memcpy(array->shape, tensor->shape, sizeof array->shape);
        array->data = tensor->data;
        array->nbytes = tensor->nbytes;
    }
    tt_tensors_free(&tensors);
    return rc;
}

/* ---- .npy ---- */

static int load_npy(struct tt_arrays *arrays, struct tt_error *error)
{
    const char *slash = strrchr(arrays->file->path, '/');
    const char *base = slash ? slash + 1 : arrays->file->path;
    size_t length = strlen(base);
    struct tt_array *array;

    reserve(arrays, 1);
    array = &arrays->items[arrays->count++];
    array->name = tt_format("%.*s", (int)(has_suffix(base, length, ".npy") ? length - 4 : length), base);
    if (tt_npy_parse(arrays->file->data, arrays->file->size, arrays->file->path, array, &arrays->owned[0],
                     error) != 0)
        return -1;
    if (array->dtype == TT_NONE)
        return tt_fail(
            error, TT_EINPUT,
            "%s holds text, objects, records or a type that NumPy has no name for; save numbers, bf16 as "
            "float32",
            arrays->file->path);
    return 0;
}

/* ---- PyTorch ---- */

#define LARGEST_REPEAT 256 /* times the file's bytes, of a tensor that repeats a few stored values */

/* Row-major elements of a tensor that is a view of others. NULL with one line. */
static void *gathered(const struct tt_arrays *arrays, const struct tt_torch_tensor *tensor, uint64_t count,
                      uint32_t width, struct tt_error *error)
{
    uint8_t *copy;

    if (count / LARGEST_REPEAT > arrays->file->size / width) {
        tt_fail(error, TT_EINPUT, "%s: tensor '%s' repeats few values to %llu; save it with .contiguous()",
                arrays->file->path, tt_printable(tensor->name, strlen(tensor->name)).text,
                (unsigned long long)count);
        return NULL;
    }
    copy = tt_alloc(count * width + 1);
    for (uint64_t i = 0; i < count; i++)
        memcpy(copy + i * width, tensor->storage + tt_torch_at(tensor, i) * width, width);
    return copy;
}

static int add_torch(struct tt_arrays *arrays, const struct tt_torch_tensor *tensor, struct tt_error *error)
{
    uint32_t width = tt_dtype_info(tensor->dtype)->bytes;
    struct tt_array *array = &arrays->items[arrays->count];
    void **owned = &arrays->owned[arrays->count];
    uint64_t count;

    tt_shape_count(tensor->rank, tensor->shape, &count);
    if (!tt_torch_contiguous(tensor) && width && !(*owned = gathered(arrays, tensor, count, width, error)))
        return -1;
    array->name = tt_strdup(tensor->name);
    array->dtype = tensor->dtype;
    array->rank = tensor->rank;
    memcpy(array->shape, tensor->shape, sizeof array->shape);
    array->data = *owned ? *owned : tensor->storage + tensor->first * width;
    array->nbytes = count * width;
    arrays->count++;
    return 0;
}

static int load_torch(struct tt_arrays *arrays, struct tt_error *error)
{
    int rc = tt_torch_read(arrays->file, false, &arrays->torch, error);

    reserve(arrays, arrays->torch.count);
    for (size_t i = 0; i < arrays->torch.count && rc == 0; i++)
        rc = add_torch(arrays, &arrays->torch.tensors[i], error);
    return rc;
}

/* ---- .npz ---- */

static int load_member(struct tt_arrays *arrays, const struct tt_zip_member *member, struct tt_error *error)
{
    const struct tt_file *file = arrays->file;
    size_t index = arrays->count;
    struct tt_array *array = &arrays->items[index];
    size_t length = member->name_length - 4u; /* without .npy */

    if (memchr(member->name, 0, length) || !tt_utf8_valid(member->name, length))
        return tt_fail(error, TT_EINPUT, "%s: the name of member '%s' is no UTF-8 text; save it again",
                       file->path, tt_printable(member->name, length).text);
    const uint8_t *data = tt_zip_unpack(file, member, &arrays->unpacked[index], error);
    if (!data)
        return -1;
    array->name = tt_format("%.*s", (int)length, member->name);
    arrays->count++;
    char *what = tt_format("%s: member '%s'", file->path, tt_printable(member->name, length).text);
    int rc = tt_npy_parse(data, member->size, what, array, &arrays->owned[index], error);
    free(what);
    if (arrays->owned[index]) { /* a converted copy: what it was made of is not needed */
        free(arrays->unpacked[index]);
        arrays->unpacked[index] = NULL;
    }
    return rc;
}

/* PyTorch keeps its pickle in a zip archive too. */
static bool has_pickle(const struct tt_zip_member *members, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (has_suffix(members[i].name, members[i].name_length, "/data.pkl"))
            return true;
    return false;
}

static int load_zip(struct tt_arrays *arrays, struct tt_error *error)
{
    struct tt_zip_member *members;
    size_t count;
    int rc = tt_zip_list(arrays->file, &members, &count, error);

    if (rc == 0 && has_pickle(members, count)) {
        free(members);
        return load_torch(arrays, error);
    }
    reserve(arrays, rc == 0 ? count : 0);
    for (size_t i = 0; i < count && rc == 0; i++) {
        const struct tt_zip_member *member = &members[i];
        if (has_suffix(member->name, member->name_length, ".npy"))
            rc = load_member(arrays, member, error);
    }
    free(members);
    return rc;
}

/* ---- all ---- */

static int load(struct tt_arrays *arrays, struct tt_error *error)
{
    const struct tt_file *file = arrays->file;
    size_t length = strlen(file->path);

    if (starts_with(file, TT_NPY_MAGIC, TT_NPY_MAGIC_BYTES) || has_suffix(file->path, length, ".npy"))
        return load_npy(arrays, error);
    if (starts_with(file, "PK", 2) || has_suffix(file->path, length, ".npz"))
        return load_zip(arrays, error);
    if (has_suffix(file->path, length, ".pt") || has_suffix(file->path, length, ".pth") || tt_torch_is(file))
        return load_torch(arrays, error);
    if (starts_with(file, "GGUF", 4))
        return tt_fail(error, TT_EINPUT, "%s is a model, not a reference of values; name it with --model",
                       file->path);
    return load_safetensors(arrays, error);
}

static int index_names(struct tt_arrays *arrays, struct tt_error *error)
{
    for (size_t i = 0; i < arrays->count; i++) {
        const char *name = arrays->items[i].name;
        if (!tt_names_add(arrays->names, name, i))
            return tt_fail(error, TT_EINPUT, "%s holds '%s' twice; save it again", arrays->file->path,
                           tt_printable(name, strlen(name)).text);
    }
    return 0;
}

struct tt_arrays *tt_arrays_open(const char *path, struct tt_error *error)
{
    struct tt_file *file = tt_file_map(path, error);
    if (!file)
        return NULL;
    struct tt_arrays *arrays = tt_alloc(sizeof *arrays);
    arrays->file = file;
    arrays->names = tt_names_new();
    if (load(arrays, error) != 0 || index_names(arrays, error) != 0) {
        tt_arrays_close(arrays);
        arrays = NULL;
    }
    return arrays;
}

void tt_arrays_close(struct tt_arrays *arrays)
{
    if (!arrays)
        return;
    for (size_t i = 0; i < arrays->count; i++) {
        free((char *)arrays->items[i].name);
        free(arrays->owned[i]);
        free(arrays->unpacked[i]);
    }
    free(arrays->items);
    free(arrays->owned);
    free(arrays->unpacked);
    tt_names_free(arrays->names);
    cJSON_Delete(arrays->metadata);
    tt_torch_free(&arrays->torch);
    tt_file_unmap(arrays->file);
    free(arrays);
}

size_t tt_arrays_count(const struct tt_arrays *arrays)
{
    return arrays->count;
}

const struct tt_array *tt_arrays_at(const struct tt_arrays *arrays, size_t index)
{
    return index < arrays->count ? &arrays->items[index] : NULL;
}

const struct tt_array *tt_arrays_find(const struct tt_arrays *arrays, const char *name)
{
    size_t index;
    return tt_names_find(arrays->names, name, &index) ? &arrays->items[index] : NULL;
}

const char *tt_arrays_metadata(const struct tt_arrays *arrays, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(arrays->metadata, key));
}

int tt_array_read_f64(const struct tt_array *array, uint64_t first, uint64_t count, double *out,
                      struct tt_error *error)
{
    uint64_t total;

    if (!tt_shape_count(array->rank, array->shape, &total) || first > total || count > total - first)
        return tt_fail(error, TT_EINPUT, "elements %llu to %llu are outside array '%s'",
                       (unsigned long long)first, (unsigned long long)(first + count), array->name);
    if (tt_decode_range(array->dtype, array->data, first, count, out) != 0)
        return tt_fail(error, TT_EINPUT, "array '%s' is of a type that cannot be read; save it as float32",
                       array->name);
    return 0;
}
