/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: check and list metadata and tensors of one GGUF file.
 * Invariants: nothing is read past the file's end; a count is believed only when the bytes that it needs
 * at least are there, so memory stays proportional to the file; every listed tensor lies inside the file.
 */
#include "model/gguf.h"

#include <stdlib.h>

#include "model/gguf_types.h"

struct cursor {
    const struct tt_file *file;
    uint64_t at; /* byte of the file */
    struct tt_error *error;
};

static int damaged(struct cursor *cursor, const char *what)
{
    return tt_fail(cursor->error, TT_EINPUT,
                   "%s: %s at byte %llu: the file is damaged; download or convert it again",
                   cursor->file->path, what, (unsigned long long)cursor->at);
}

/* `count` items of `size` bytes are there. */
static int need(struct cursor *cursor, uint64_t count, uint64_t size, const char *what)
{
    uint64_t left = cursor->file->size - cursor->at;

    if (count <= left / size)
        return 0;
    return tt_fail(
        cursor->error, TT_EINPUT,
        "%s: %s at byte %llu needs %llu items of at least %llu bytes, but only %llu bytes follow: the "
        "file is truncated or damaged; download it again",
        cursor->file->path, what, (unsigned long long)cursor->at, (unsigned long long)count,
        (unsigned long long)size, (unsigned long long)left);
}

static int take_u32(struct cursor *cursor, const char *what, uint32_t *out)
{
    if (need(cursor, 1, 4, what) != 0)
        return -1;
    *out = tt_load_u32(cursor->file->data + cursor->at);
    cursor->at += 4;
    return 0;
}

static int take_u64(struct cursor *cursor, const char *what, uint64_t *out)
{
    if (need(cursor, 1, 8, what) != 0)
        return -1;
    *out = tt_load_u64(cursor->file->data + cursor->at);
    cursor->at += 8;
    return 0;
}

static int skip_string(struct cursor *cursor, const char *what)
{
    uint64_t length;

    if (take_u64(cursor, what, &length) != 0 || need(cursor, length, 1, what) != 0)
        return -1;
    cursor->at += length;
    return 0;
}

/* A terminated copy, owned by the caller. Names must be text that C can hold. */
static int take_name(struct cursor *cursor, const char *what, char **out)
{
    uint64_t start = cursor->at;

    if (skip_string(cursor, what) != 0)
        return -1;
    const uint8_t *bytes = cursor->file->data + start + 8;
    uint64_t length = cursor->at - start - 8;
    cursor->at = start; /* a complaint names the start of the string */
    if (memchr(bytes, 0, length) || !tt_utf8_valid(bytes, length))
        return damaged(cursor, what);
    cursor->at = start + 8 + length;
    *out = tt_alloc(length + 1);
    memcpy(*out, bytes, length);
    return 0;
}

/* ---- metadata ---- */

static const uint8_t type_bytes[TT_GGUF_TYPE_COUNT] = {
    /* of one item, 0: not of fixed size */
    [TT_GGUF_U8] = 1,  [TT_GGUF_I8] = 1,  [TT_GGUF_U16] = 2, [TT_GGUF_I16] = 2,
    [TT_GGUF_U32] = 4, [TT_GGUF_I32] = 4, [TT_GGUF_F32] = 4, [TT_GGUF_BOOL] = 1,
    [TT_GGUF_U64] = 8, [TT_GGUF_I64] = 8, [TT_GGUF_F64] = 8,
};

static int take_type(struct cursor *cursor, enum tt_gguf_type *out)
{
    uint32_t type;

    if (take_u32(cursor, "metadata type", &type) != 0)
        return -1;
    if (type >= TT_GGUF_TYPE_COUNT) {
        cursor->at -= 4;
        return damaged(cursor, "unknown metadata type");
    }
    *out = (enum tt_gguf_type)type;
    return 0;
}

static int take_strings(struct cursor *cursor, struct tt_gguf_value *value)
{
    uint64_t start = cursor->at;

    if (need(cursor, value->count, 8, "array of strings") != 0)
        return -1;
    value->strings = tt_alloc_array(value->count + 1, sizeof *value->strings);
    for (uint64_t i = 0; i < value->count; i++) {
        value->strings[i] = cursor->at - start;
        if (skip_string(cursor, "string in an array") != 0)
            return -1;
    }
    return 0;
}

#define DEEPEST_ARRAY 4 /* arrays of arrays are legal and unheard of */

static int skip_items(struct cursor *cursor, enum tt_gguf_type type, uint64_t count, int depth);

static int skip_nested(struct cursor *cursor, int depth)
{
    enum tt_gguf_type type = TT_GGUF_U8;
    uint64_t count = 0;

    if (depth == DEEPEST_ARRAY)
        return damaged(cursor, "arrays nested deeper than 4");
    if (take_type(cursor, &type) != 0 || take_u64(cursor, "array length", &count) != 0)
        return -1;
    return skip_items(cursor, type, count, depth + 1);
}

static int skip_items(struct cursor *cursor, enum tt_gguf_type type, uint64_t count, int depth)
{
    uint64_t least = type_bytes[type] ? type_bytes[type] : type == TT_GGUF_STRING ? 8 : 12;

    if (need(cursor, count, least, "metadata value") != 0)
        return -1;
    if (type_bytes[type]) {
        cursor->at += count * type_bytes[type];
        return 0;
    }
    for (uint64_t i = 0; i < count; i++)
        if ((type == TT_GGUF_STRING ? skip_string(cursor, "string") : skip_nested(cursor, depth)) != 0)
            return -1;
    return 0;
}

static int take_text(struct cursor *cursor, struct tt_gguf_value *value)
{
    if (skip_string(cursor, "string") != 0)
        return -1;
    uint64_t length = tt_load_u64(value->data);
    value->text = tt_alloc(length + 1);
    memcpy(value->text, value->data + 8, length);
    return 0;
}

static int take_value(struct cursor *cursor, struct tt_gguf_value *value)
{
    value->count = 1;
    if (take_type(cursor, &value->type) != 0)
        return -1;
    if (value->type == TT_GGUF_ARRAY) {
        value->array = true;
        if (take_type(cursor, &value->type) != 0 || take_u64(cursor, "array length", &value->count) != 0)
            return -1;
    }
    value->data = cursor->file->data + cursor->at;
    if (value->type != TT_GGUF_STRING)
        return skip_items(cursor, value->type, value->count, 0);
    return value->array ? take_strings(cursor, value) : take_text(cursor, value);
}

static int take_metadata(struct cursor *cursor, struct tt_gguf *gguf, uint64_t count)
{
    if (need(cursor, count, 8 + 4 + 1, "list of metadata") != 0)
        return -1;
    gguf->values = tt_alloc_array(count + 1, sizeof *gguf->values);
    for (; gguf->nvalues < count; gguf->nvalues++) {
        struct tt_gguf_value *value = &gguf->values[gguf->nvalues];
        uint64_t start = cursor->at;
        if (take_name(cursor, "metadata key", &value->key) != 0)
            return -1;
        if (!tt_names_add(gguf->keys, value->key, gguf->nvalues)) {
            cursor->at = start;
            return damaged(cursor, "metadata key that was there before");
        }
        if (take_value(cursor, value) != 0)
            return -1;
    }
    return 0;
}

static int check_alignment(struct cursor *cursor, struct tt_gguf *gguf)
{
    const struct tt_gguf_value *value = tt_gguf_find(gguf, "general.alignment");
    double alignment = 32;

    if (value && (!tt_gguf_number(value, 0, &alignment) || !(alignment >= 1 && alignment <= 0x1p30) ||
                  ((uint64_t)alignment & ((uint64_t)alignment - 1)) != 0))
        return damaged(cursor, "general.alignment is no power of two, before the tensors");
    gguf->alignment = (uint64_t)alignment;
    return 0;
}

/* ---- tensors ---- */

static int tensor_error(struct cursor *cursor, const struct tt_model_tensor *tensor, const char *what)
{
    struct tt_printable name = tt_printable(tensor->name, strlen(tensor->name));
    return tt_fail(cursor->error, TT_EINPUT,
                   "%s: tensor '%s': %s, before byte %llu: download or convert it again", cursor->file->path,
                   name.text, what, (unsigned long long)cursor->at);
}

static int take_shape(struct cursor *cursor, struct tt_model_tensor *tensor)
{
    uint32_t rank;
    uint64_t count;

    if (take_u32(cursor, "number of dimensions", &rank) != 0)
        return -1;
    if (rank > 4)
        return tensor_error(cursor, tensor, "more than 4 dimensions");
    tensor->rank = (int)rank;
    for (int i = tensor->rank - 1; i >= 0; i--) { /* the file lists the innermost first */
        uint64_t length;
        if (take_u64(cursor, "dimension", &length) != 0)
            return -1;
        if (length > INT64_MAX)
            return tensor_error(cursor, tensor, "a dimension is above 2^63");
        tensor->shape[i] = (int64_t)length;
    }
    if (!tt_shape_count(tensor->rank, tensor->shape, &count))
        return tensor_error(cursor, tensor, "the product of its dimensions overflows");
    return 0;
}

static int take_dtype(struct cursor *cursor, struct tt_model_tensor *tensor)
{
    uint32_t number;
    uint64_t count;
    int64_t row = tensor->rank ? tensor->shape[tensor->rank - 1] : 1;

    if (take_u32(cursor, "tensor type", &number) != 0)
        return -1;
    const struct tt_gguf_tensor_type *type = tt_gguf_tensor_type(number);
    if (!type) {
        cursor->at -= 4;
        return tensor_error(cursor, tensor, "its type is none of ggml's");
    }
    const struct tt_dtype_info *info = tt_dtype_info(type->dtype);
    tensor->dtype = type->dtype;
    tensor->form = type->dtype == TT_NONE ? &type->form : NULL;
    tt_shape_count(tensor->rank, tensor->shape, &count);
    if (row % info->block != 0)
        return tensor_error(cursor, tensor, "its rows are no whole number of blocks");
    if (!tt_block_bytes(count, info->block, info->bytes, &tensor->nbytes))
        return tensor_error(cursor, tensor, "its size in bytes overflows");
    return 0;
}

/* Leaves tensor->offset relative to the data section, whose start is known only after the last entry. */
static int take_tensor(struct cursor *cursor, const struct tt_gguf *gguf, struct tt_tensors *tensors)
{
    struct tt_model_tensor tensor = {.file = cursor->file->real};
    char *name = NULL;

    if (take_name(cursor, "tensor name", &name) != 0)
        return -1;
    tensor.name = name;
    if (take_shape(cursor, &tensor) != 0 || take_dtype(cursor, &tensor) != 0 ||
        take_u64(cursor, "tensor offset", &tensor.offset) != 0) {
        free(name);
        return -1;
    }
    tt_tensors_add(tensors, &tensor);
    if (tensor.offset % gguf->alignment != 0)
        return tensor_error(cursor, &tensor, "its offset is not aligned");
    return 0;
}

static int place_tensor(struct cursor *cursor, uint64_t data, struct tt_model_tensor *tensor)
{
    uint64_t room = cursor->file->size > data ? cursor->file->size - data : 0;

    if (tensor->offset > room || tensor->nbytes > room - tensor->offset) {
        struct tt_printable name = tt_printable(tensor->name, strlen(tensor->name));
        return tt_fail(
            cursor->error, TT_EINPUT,
            "%s: tensor '%s' with %llu bytes at %llu + %llu does not fit the file's %llu bytes: it is "
            "truncated; download it again",
            cursor->file->path, name.text, (unsigned long long)tensor->nbytes, (unsigned long long)data,
            (unsigned long long)tensor->offset, (unsigned long long)cursor->file->size);
    }
    tensor->offset += data;
    tensor->data = cursor->file->data + tensor->offset;
    return 0;
}

static int take_tensors(struct cursor *cursor, const struct tt_gguf *gguf, uint64_t count,
                        struct tt_tensors *tensors)
{
    size_t first = tensors->count;

    if (need(cursor, count, 8 + 4 + 4 + 8, "list of tensors") != 0)
        return -1;
    for (uint64_t i = 0; i < count; i++)
        if (take_tensor(cursor, gguf, tensors) != 0)
            return -1;
    uint64_t data = (cursor->at + gguf->alignment - 1) & ~(gguf->alignment - 1);
    for (size_t i = first; i < tensors->count; i++)
        if (place_tensor(cursor, data, &tensors->items[i]) != 0)
            return -1;
    return tt_tensors_disjoint(tensors, first, cursor->file, cursor->error);
}

static int take_version(struct cursor *cursor, uint32_t *version)
{
    const struct tt_file *file = cursor->file;

    if (file->size < 4 || memcmp(file->data, "GGUF", 4) != 0)
        return tt_fail(cursor->error, TT_EINPUT, "%s does not start with GGUF: it is no GGUF file%s",
                       file->path,
                       file->size >= 8 && memcmp(file->data, "version ", 8) == 0
                           ? " but a Git LFS pointer; run git lfs pull beside it"
                           : "; download it again");
    cursor->at = 4;
    if (take_u32(cursor, "version", version) != 0)
        return -1;
    if (*version == 2 || *version == 3)
        return 0;
    if ((*version & 0xffffu) == 0)
        return tt_fail(cursor->error, TT_EINPUT, "%s is big-endian GGUF; convert it with gguf-convert-endian",
                       file->path);
    return tt_fail(cursor->error, TT_EINPUT, "%s is GGUF version %u, 2 and 3 are known; convert it again",
                   file->path, *version);
}

int tt_gguf_parse(const struct tt_file *file, struct tt_gguf *gguf, struct tt_tensors *tensors,
                  struct tt_error *error)
{
    struct cursor cursor = {file, 0, error};
    uint64_t ntensors, nvalues;

    gguf->keys = tt_names_new();
    if (take_version(&cursor, &gguf->version) != 0 || take_u64(&cursor, "tensor count", &ntensors) != 0 ||
        take_u64(&cursor, "metadata count", &nvalues) != 0 || take_metadata(&cursor, gguf, nvalues) != 0 ||
        check_alignment(&cursor, gguf) != 0)
        return -1;
    return take_tensors(&cursor, gguf, ntensors, tensors);
}
