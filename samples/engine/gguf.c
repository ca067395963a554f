/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF (version 2 and 3, little-endian): header, key/value pairs, tensor table, aligned data.
 * Every read goes through a cursor that cannot leave the file.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
};

static const size_t type_size[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

struct cursor {
    const uint8_t *at, *end;
    bool broken; /* sticky: a read went past the end or met nonsense */
};

struct text {
    const char *bytes;
    size_t length;
};

struct entry {
    struct text key;
    uint32_t type;
    const uint8_t *value;
};

struct metadata {
    struct entry *entries;
    size_t nentries;
    const char *family; /* prefix of the keys */
};

static const uint8_t *take(struct cursor *cursor, uint64_t bytes)
{
    static const uint8_t zeros[16];
    const uint8_t *at = cursor->at;

    if (cursor->broken || bytes > (uint64_t)(cursor->end - at)) {
        cursor->broken = true;
        return zeros;
    }
    cursor->at += bytes;
    return at;
}

static uint32_t take_u32(struct cursor *cursor)
{
    uint32_t value;

    memcpy(&value, take(cursor, sizeof(value)), sizeof(value));
    return value;
}

static uint64_t take_u64(struct cursor *cursor)
{
    uint64_t value;

    memcpy(&value, take(cursor, sizeof(value)), sizeof(value));
    return value;
}

static struct text take_text(struct cursor *cursor)
{
    uint64_t length = take_u64(cursor);
    const uint8_t *bytes = take(cursor, length);

    return (struct text){(const char *)bytes, cursor->broken ? 0 : length};
}

static void skip_value(struct cursor *cursor, uint32_t type)
{
    if (type == GGUF_STRING) {
        take_text(cursor);
    } else if (type == GGUF_ARRAY) {
        uint32_t element = take_u32(cursor);
        uint64_t count = take_u64(cursor);

        if (element == GGUF_ARRAY || element > GGUF_F64)
            cursor->broken = true; /* nested arrays occur in no model */
        else if (element == GGUF_STRING)
            for (uint64_t i = 0; i < count && !cursor->broken; i++)
                take_text(cursor);
        else if (count > (uint64_t)(cursor->end - cursor->at))
            cursor->broken = true;
        else
            take(cursor, count * type_size[element]);
    } else if (type <= GGUF_F64) {
        take(cursor, type_size[type]);
    } else {
        cursor->broken = true;
    }
}

static bool text_is(struct text text, const char *other)
{
    return text.length == strlen(other) && !memcmp(text.bytes, other, text.length);
}

static const struct entry *find_entry(const struct metadata *metadata, const char *key)
{
    for (size_t i = 0; i < metadata->nentries; i++)
        if (text_is(metadata->entries[i].key, key))
            return &metadata->entries[i];
    return NULL;
}

/* Value of "<family>.<key>", `otherwise` when it is absent or no number. */
static double number(const struct metadata *metadata, const char *key, double otherwise)
{
    char full[128];
    uint32_t u32;
    uint64_t u64;
    float f32;

    snprintf(full, sizeof(full), "%s.%s", metadata->family, key);
    const struct entry *entry = find_entry(metadata, full);
    if (!entry)
        return otherwise;
    switch (entry->type) {
    case GGUF_U32:
    case GGUF_I32:
        memcpy(&u32, entry->value, sizeof(u32));
        return u32;
    case GGUF_U64:
    case GGUF_I64:
        memcpy(&u64, entry->value, sizeof(u64));
        return u64;
    case GGUF_F32:
        memcpy(&f32, entry->value, sizeof(f32));
        return f32;
    }
    return otherwise;
}

/* Whole numbers that no int holds become 0, which config_check refuses. */
static int whole(const struct metadata *metadata, const char *key, double otherwise)
{
    double value = number(metadata, key, otherwise);

    return value >= 0 && value < 1e9 ? (int)value : 0;
}

static int read_family(struct checkpoint *checkpoint, struct metadata *metadata, const char *path,
                       struct problem *problem)
{
    const struct entry *entry = find_entry(metadata, "general.architecture");
    static const char *const known[] = {"llama", "gemma", "qwen2"};
    struct cursor cursor = {NULL, NULL, false};

    if (!entry || entry->type != GGUF_STRING)
        return fail(problem, "%s: no general.architecture", path);
    cursor.at = entry->value;
    cursor.end = checkpoint->file.bytes + checkpoint->file.size;
    struct text family = take_text(&cursor);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (text_is(family, known[i]))
            metadata->family = known[i];
    if (!metadata->family)
        return fail(problem, "%s: architecture \"%.*s\" is not supported (llama, gemma, qwen2)", path,
                    (int)(family.length < 40 ? family.length : 40), family.bytes);
    return 0;
}

static void read_config(struct checkpoint *checkpoint, const struct metadata *metadata)
{
    struct config *config = &checkpoint->config;
    const struct tensor *embedding = checkpoint_find(checkpoint, "token_embd.weight");

    snprintf(config->family, sizeof(config->family), "%s", metadata->family);
    config->permuted = !strcmp(metadata->family, "llama");
    config->norm_folded = true;
    config->layers = whole(metadata, "block_count", 0);
    config->hidden = whole(metadata, "embedding_length", 0);
    config->heads = whole(metadata, "attention.head_count", 0);
    config->kv_heads = whole(metadata, "attention.head_count_kv", config->heads);
    config->head_dim =
        whole(metadata, "attention.key_length", config->heads ? config->hidden / config->heads : 0);
    config->ffn = whole(metadata, "feed_forward_length", 0);
    config->vocab = embedding && embedding->shape[0] < 1 << 30 ? (int)embedding->shape[0] : 0;
    config->eps = number(metadata, "attention.layer_norm_rms_epsilon", 1e-5);
    config->theta = number(metadata, "rope.freq_base", 10000);
}

static enum storage gguf_storage(uint32_t type)
{
    return type == 0 ? STORED_F32 : type == 1 ? STORED_F16 : type == 30 ? STORED_BF16 : STORED_OTHER;
}

/* GGUF lists the innermost dimension first; `offset` counts from the start of the aligned data. */
static void read_tensor(struct cursor *cursor, struct tensor *tensor, uint64_t *offset)
{
    struct text name = take_text(cursor);
    uint32_t rank = take_u32(cursor);

    if (rank < 1 || rank > 4 || name.length >= sizeof(tensor->name)) {
        cursor->broken = true;
        return;
    }
    memcpy(tensor->name, name.bytes, name.length);
    tensor->rank = rank;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        tensor->shape[i] = take_u64(cursor);
        if (tensor->shape[i] < 1 || tensor->shape[i] > 1 << 30)
            cursor->broken = true;
    }
    tensor->storage = gguf_storage(take_u32(cursor));
    *offset = take_u64(cursor);
}

static int place_tensors(struct checkpoint *checkpoint, const uint64_t *offsets, const uint8_t *data,
                         const char *path, struct problem *problem)
{
    size_t available = checkpoint->file.bytes + checkpoint->file.size - data;

    for (size_t i = 0; i < checkpoint->ntensors; i++) {
        struct tensor *tensor = &checkpoint->tensors[i];
        double bytes = (double)storage_size(tensor->storage); /* a product of four sizes may exceed 64 bits */

        for (int axis = 0; axis < tensor->rank; axis++)
            bytes *= tensor->shape[axis];
        if (offsets[i] > available || bytes > available - offsets[i])
            return fail(problem, "%s: tensor %s lies beyond the end of the file (truncated?)", path,
                        tensor->name);
        tensor->data = data + offsets[i];
    }
    return 0;
}

static int read_tables(struct checkpoint *checkpoint, struct cursor *cursor, struct metadata *metadata,
                       uint64_t *offsets, const char *path, struct problem *problem)
{
    uint64_t alignment = 32;

    for (size_t i = 0; i < metadata->nentries && !cursor->broken; i++) {
        struct entry *entry = &metadata->entries[i];

        entry->key = take_text(cursor);
        entry->type = take_u32(cursor);
        entry->value = cursor->at;
        skip_value(cursor, entry->type);
        if (text_is(entry->key, "general.alignment") && entry->type == GGUF_U32 && !cursor->broken)
            memcpy(&alignment, entry->value, sizeof(uint32_t));
    }
    for (size_t i = 0; i < checkpoint->ntensors && !cursor->broken; i++)
        read_tensor(cursor, &checkpoint->tensors[i], &offsets[i]);
    if (cursor->broken || !alignment || alignment > 1 << 20)
        return fail(problem, "%s: broken GGUF header (truncated?)", path);

    uint64_t start = cursor->at - checkpoint->file.bytes;
    start = (start + alignment - 1) / alignment * alignment;
    if (start > checkpoint->file.size)
        return fail(problem, "%s: no tensor data (truncated?)", path);
    return place_tensors(checkpoint, offsets, checkpoint->file.bytes + start, path, problem);
}

int gguf_open(struct checkpoint *checkpoint, const char *path, struct problem *problem)
{
    struct metadata metadata = {NULL, 0, NULL};
    uint64_t *offsets = NULL;
    int result = -1;

    if (mapping_open(&checkpoint->file, path, problem) < 0)
        return -1;
    struct cursor cursor = {checkpoint->file.bytes, checkpoint->file.bytes + checkpoint->file.size, false};
    uint32_t magic = take_u32(&cursor), version = take_u32(&cursor);
    uint64_t ntensors = take_u64(&cursor), nentries = take_u64(&cursor);
    if (magic != 0x46554747 || version < 2 || version > 3)
        return fail(problem, "%s: not a GGUF file of version 2 or 3", path);
    /* An entry takes at least 13 bytes, so a count beyond the file's size is nonsense. */
    if (cursor.broken || ntensors > checkpoint->file.size / 13 || nentries > checkpoint->file.size / 13)
        return fail(problem, "%s: broken GGUF header (truncated?)", path);

    checkpoint->gguf = 1;
    checkpoint->ntensors = ntensors;
    checkpoint->tensors = calloc(ntensors + 1, sizeof(*checkpoint->tensors));
    offsets = calloc(ntensors + 1, sizeof(*offsets));
    metadata.nentries = nentries;
    metadata.entries = calloc(nentries + 1, sizeof(*metadata.entries));
    if (!checkpoint->tensors || !offsets || !metadata.entries) {
        fail(problem, "%s: out of memory", path);
        goto out;
    }
    if (read_tables(checkpoint, &cursor, &metadata, offsets, path, problem) < 0 ||
        read_family(checkpoint, &metadata, path, problem) < 0)
        goto out;
    read_config(checkpoint, &metadata);
    result = config_check(&checkpoint->config, path, problem);
out:
    free(offsets);
    free(metadata.entries);
    return result;
}
