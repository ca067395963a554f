/* SPDX-License-Identifier: Apache-2.0
 *
 * Pieces by id and ids by piece. Texts lie in one block; slots hold ids, at most half of them taken.
 */
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "tokenizer/private.h"

static size_t slot_of(const struct tt_vocabulary *v, const char *text, size_t length)
{
    size_t slot = (size_t)XXH3_64bits(text, length) & (v->nslots - 1);
    for (; v->slots[slot]; slot = (slot + 1) & (v->nslots - 1)) {
        const struct tt_piece *piece = &v->pieces[v->slots[slot] - 1];
        if (piece->length == length && memcmp(v->text.text + piece->offset, text, length) == 0)
            break;
    }
    return slot;
}

static void grow_slots(struct tt_vocabulary *v)
{
    uint32_t *old = v->slots;
    size_t count = v->nslots;
    v->nslots = count ? 2 * count : 1024;
    v->slots = tt_alloc_array(v->nslots, sizeof *v->slots);
    for (size_t i = 0; i < count; i++) {
        if (!old[i])
            continue;
        const struct tt_piece *piece = &v->pieces[old[i] - 1];
        v->slots[slot_of(v, v->text.text + piece->offset, piece->length)] = old[i];
    }
    free(old);
}

static int reserve(struct tt_vocabulary *v, int64_t id)
{
    if (id < 0 || id >= TT_MAX_TOKENS)
        return -1;
    if ((size_t)id >= v->capacity) {
        size_t capacity = 2 * (size_t)id + 1024;
        v->pieces = tt_grow(v->pieces, capacity, sizeof *v->pieces);
        memset(v->pieces + v->capacity, 0, (capacity - v->capacity) * sizeof *v->pieces);
        v->capacity = capacity;
    }
    if ((size_t)id >= v->count)
        v->count = (size_t)id + 1;
    return 0;
}

int tt_vocabulary_name(struct tt_vocabulary *v, int64_t id, const char *text, size_t length)
{
    if (reserve(v, id))
        return -1;
    struct tt_piece *piece = &v->pieces[id];
    piece->offset = v->text.length;
    piece->length = (uint32_t)length;
    piece->present = true;
    tt_string_add_bytes(&v->text, text, length);
    return 0;
}

int tt_vocabulary_add(struct tt_vocabulary *v, int64_t id, const char *text, size_t length)
{
    if (tt_vocabulary_name(v, id, text, length))
        return -1;
    if (2 * (v->used + 1) > v->nslots)
        grow_slots(v);
    size_t slot = slot_of(v, text, length);
    v->used += v->slots[slot] == 0;
    v->slots[slot] = (uint32_t)id + 1;
    if (length > v->longest)
        v->longest = (uint32_t)length;
    return 0;
}

int32_t tt_vocabulary_find(const struct tt_vocabulary *v, const char *text, size_t length)
{
    if (!v->nslots || length > v->longest)
        return -1;
    return (int32_t)v->slots[slot_of(v, text, length)] - 1;
}

const char *tt_vocabulary_piece(const struct tt_vocabulary *v, int32_t id, size_t *length)
{
    if (id < 0 || (size_t)id >= v->count || !v->pieces[id].present)
        return NULL;
    *length = v->pieces[id].length;
    return v->text.text ? v->text.text + v->pieces[id].offset : "";
}

void tt_vocabulary_free(struct tt_vocabulary *v)
{
    tt_string_free(&v->text);
    free(v->pieces);
    free(v->slots);
    *v = (struct tt_vocabulary){0};
}
