/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: check and list the tensors of one safetensors file.
 * Invariant: every listed tensor lies inside the file, and its bytes are those of its shape and dtype
 * (dtypes without an equal here are listed as TT_NONE with the extent that the header gives).
 * Holes between tensors are allowed: captures and interrupted writers leave them.
 */
#include "model/safetensors.h"

#include <math.h>
#include <stdlib.h>

#include "model/config.h"

static int damaged(const struct tt_file *file, const char *name, const char *what, struct tt_error *error)
{
    struct tt_printable tensor = tt_printable(name, strlen(name));
    return tt_fail(error, TT_EINPUT, "%s: tensor '%s': %s: the file is damaged; download or write it again",
                   file->path, tensor.text, what);
}

/* Names of dtypes as headers spell them; several have no entry in tt_dtype_info because captures never use
 * them. */
static enum tt_dtype dtype_of(const char *name)
{
    static const struct {
        const char *name;
        enum tt_dtype dtype;
    } others[] = {{"F8_E4M3", TT_F8_E4M3}, {"F8_E5M2", TT_F8_E5M2}, {"C64", TT_C64}};

    for (unsigned i = 1; i < TT_DTYPE_COUNT; i++) {
        const char *known = tt_dtype_info(i)->safetensors;
        if (known && strcmp(known, name) == 0)
            return (enum tt_dtype)i;
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(others[i].name, name) == 0)
            return others[i].dtype;
    return TT_NONE;
}

/* A non-negative integer that a double holds exactly. */
static bool exact_integer(const cJSON *item, int64_t *out)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) || item->valuedouble > 0x1p53 ||
        floor(item->valuedouble) != item->valuedouble)
        return false;
    *out = (int64_t)item->valuedouble;
    return true;
}

static int read_shape(const struct tt_file *file, const cJSON *entry, struct tt_model_tensor *tensor,
                      struct tt_error *error)
{
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(entry, "shape"), *item;

    if (!cJSON_IsArray(shape))
        return damaged(file, entry->string, "no list of dimensions in 'shape'", error);
    cJSON_ArrayForEach (item, shape) {
        if (tensor->rank == TT_TENSOR_RANK)
            return damaged(file, entry->string, "more than 8 dimensions", error);
        if (!exact_integer(item, &tensor->shape[tensor->rank++]))
            return damaged(file, entry->string, "a dimension is no whole number from 0 to 2^53", error);
    }
    return 0;
}

/* data: byte where offsets of this file start. */
static int read_extent(const struct tt_file *file, const cJSON *entry, uint64_t data,
                       struct tt_model_tensor *tensor, struct tt_error *error)
{
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(entry, "data_offsets");
    int64_t begin, end;

    if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 ||
        !exact_integer(cJSON_GetArrayItem(offsets, 0), &begin) ||
        !exact_integer(cJSON_GetArrayItem(offsets, 1), &end) || begin > end)
        return damaged(file, entry->string, "'data_offsets' is no pair [begin, end] of bytes", error);
    if ((uint64_t)end > file->size - data) {
        struct tt_printable name = tt_printable(entry->string, strlen(entry->string));
        return tt_fail(
            error, TT_EINPUT,
            "%s: tensor '%s' ends at byte %llu, but the file has %llu: it is truncated; download it again",
            file->path, name.text, (unsigned long long)((uint64_t)end + data),
            (unsigned long long)file->size);
    }
    tensor->offset = data + (uint64_t)begin;
    tensor->nbytes = (uint64_t)(end - begin);
    tensor->data = file->data + tensor->offset;
    return 0;
}

static int check_size(const struct tt_file *file, const struct tt_model_tensor *tensor, const char *name,
                      struct tt_error *error)
{
    const struct tt_dtype_info *info = tt_dtype_info(tensor->dtype);
    uint64_t count, bytes;

    if (!tt_shape_count(tensor->rank, tensor->shape, &count))
        return damaged(file, name, "the product of its dimensions overflows", error);
    if (tensor->dtype != TT_NONE &&
        (!tt_block_bytes(count, info->block, info->bytes, &bytes) || bytes != tensor->nbytes))
        return damaged(file, name, "'data_offsets' spans other than shape times dtype bytes", error);
    return 0;
}

static int read_tensor(const struct tt_file *file, const cJSON *entry, uint64_t data,
                       struct tt_tensors *tensors, struct tt_error *error)
{
    struct tt_model_tensor tensor = {.file = file->real};
    const char *dtype = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "dtype"));

    if (!dtype)
        return damaged(file, entry->string, "no string in 'dtype'", error);
    tensor.dtype = dtype_of(dtype);
    if (read_shape(file, entry, &tensor, error) != 0 || read_extent(file, entry, data, &tensor, error) != 0 ||
        check_size(file, &tensor, entry->string, error) != 0)
        return -1;
    tensor.name = tt_strdup(entry->string);
    tt_tensors_add(tensors, &tensor);
    return 0;
}

static int read_entries(const struct tt_file *file, cJSON *header, uint64_t data, struct tt_tensors *tensors,
                        cJSON **metadata, struct tt_error *error)
{
    const cJSON *entry;

    cJSON_ArrayForEach (entry, header) {
        if (strcmp(entry->string, "__metadata__") == 0)
            continue;
        if (read_tensor(file, entry, data, tensors, error) != 0)
            return -1;
    }
    if (metadata)
        *metadata = cJSON_DetachItemFromObjectCaseSensitive(header, "__metadata__");
    return 0;
}

/* Length of the JSON header, 0 with one line when the file cannot be one. */
static uint64_t header_length(const struct tt_file *file, struct tt_error *error)
{
    uint64_t length = file->size >= 8 ? tt_load_u64(file->data) : 0;

    if (file->size < 8) {
        tt_fail(error, TT_EINPUT,
                "%s has only %llu bytes: it is truncated or not a safetensors file; download it again",
                file->path, (unsigned long long)file->size);
    } else if (memcmp(file->data, "version ", 8) == 0) {
        length = 0;
        tt_fail(error, TT_EINPUT, "%s is a Git LFS pointer, not the weights; run git lfs pull beside it",
                file->path);
    } else if (length == 0) {
        tt_fail(error, TT_EINPUT, "%s has an empty safetensors header: it was never finished; write it again",
                file->path);
    } else if (length > file->size - 8) {
        tt_fail(error, TT_EINPUT,
                "safetensors header length %llu exceeds the file's %llu bytes: %s is truncated or not a "
                "safetensors file; download it again",
                (unsigned long long)length, (unsigned long long)file->size, file->path);
        length = 0;
    }
    return length;
}

int tt_safetensors_parse(const struct tt_file *file, struct tt_tensors *tensors, cJSON **metadata,
                         struct tt_error *error)
{
    int rc = -1;
    size_t first = tensors->count;
    uint64_t length = header_length(file, error);

    if (length == 0)
        return -1;
    char *what = tt_format("safetensors header of %s", file->path);
    cJSON *header = tt_json_parse_bytes(file->data + 8, length, what, error);
    if (header && !cJSON_IsObject(header))
        tt_fail(error, TT_EINPUT, "%s is no JSON object: it is not a safetensors file", what);
    else if (header)
        rc = read_entries(file, header, 8 + length, tensors, metadata, error);
    if (rc == 0)
        rc = tt_tensors_disjoint(tensors, first, file, error);
    cJSON_Delete(header);
    free(what);
    return rc;
}
