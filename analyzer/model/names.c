/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: open addressing over XXH3. Invariant: at most half of the slots are taken, so a probe ends.
 */
#include "model/names.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/error.h"

struct slot {
    const char *name; /* NULL: free */
    uint64_t hash;
    size_t number;
};

struct tt_names {
    struct slot *slots; /* [capacity] */
    size_t capacity;    /* a power of two */
    size_t count;
};

struct tt_names *tt_names_new(void)
{
    struct tt_names *names = tt_alloc(sizeof *names);
    names->capacity = 64;
    names->slots = tt_alloc_array(names->capacity, sizeof *names->slots);
    return names;
}

void tt_names_free(struct tt_names *names)
{
    if (names)
        free(names->slots);
    free(names);
}

/* The slot that holds the name, or the free one where it belongs. */
static struct slot *probe(const struct tt_names *names, const char *name, uint64_t hash)
{
    size_t i = hash & (names->capacity - 1);

    while (names->slots[i].name && (names->slots[i].hash != hash || strcmp(names->slots[i].name, name) != 0))
        i = (i + 1) & (names->capacity - 1);
    return &names->slots[i];
}

static void grow(struct tt_names *names)
{
    struct slot *old = names->slots;
    size_t old_capacity = names->capacity;

    names->capacity *= 2;
    names->slots = tt_alloc_array(names->capacity, sizeof *names->slots);
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].name)
            *probe(names, old[i].name, old[i].hash) = old[i];
    free(old);
}

bool tt_names_add(struct tt_names *names, const char *name, size_t number)
{
    uint64_t hash = XXH3_64bits(name, strlen(name));
    struct slot *slot = probe(names, name, hash);

    if (slot->name)
        return false;
    *slot = (struct slot){name, hash, number};
    if (++names->count * 2 > names->capacity)
        grow(names);
    return true;
}

bool tt_names_find(const struct tt_names *names, const char *name, size_t *number)
{
    const struct slot *slot = probe(names, name, XXH3_64bits(name, strlen(name)));

    if (slot->name)
        *number = slot->number;
    return slot->name != NULL;
}
