/* SPDX-License-Identifier: Apache-2.0
 *
 * Open addressing with at most half of the slots taken; and a trie whose edges live in such a map.
 */
#include <stdlib.h>

#include "tokenizer/private.h"

static size_t slot_of(const struct tt_map *map, uint64_t key)
{
    uint64_t mixed = (key ^ key >> 32) * 0x9e3779b97f4a7c15u;
    size_t slot = (size_t)(mixed >> 20) & (map->capacity - 1);
    while (map->keys[slot] && map->keys[slot] != key + 1)
        slot = (slot + 1) & (map->capacity - 1);
    return slot;
}

static void put(struct tt_map *map, uint64_t key, uint32_t value)
{
    size_t slot = slot_of(map, key);
    map->count += map->keys[slot] == 0;
    map->keys[slot] = key + 1;
    map->values[slot] = value;
}

static void grow(struct tt_map *map)
{
    struct tt_map larger = {.capacity = map->capacity ? 2 * map->capacity : 256};
    larger.keys = tt_alloc_array(larger.capacity, sizeof *larger.keys);
    larger.values = tt_alloc_array(larger.capacity, sizeof *larger.values);
    for (size_t i = 0; i < map->capacity; i++)
        if (map->keys[i])
            put(&larger, map->keys[i] - 1, map->values[i]);
    tt_map_free(map);
    *map = larger;
}

void tt_map_set(struct tt_map *map, uint64_t key, uint32_t value)
{
    if (2 * (map->count + 1) > map->capacity)
        grow(map);
    put(map, key, value);
}

bool tt_map_get(const struct tt_map *map, uint64_t key, uint32_t *value)
{
    if (!map->capacity)
        return false;
    size_t slot = slot_of(map, key);
    if (map->keys[slot])
        *value = map->values[slot];
    return map->keys[slot] != 0;
}

void tt_map_free(struct tt_map *map)
{
    free(map->keys);
    free(map->values);
    *map = (struct tt_map){0};
}

static uint32_t new_node(struct tt_trie *trie)
{
    if (trie->nodes == trie->capacity) {
        trie->capacity = trie->capacity ? 2 * trie->capacity : 256;
        trie->values = tt_grow(trie->values, trie->capacity, sizeof *trie->values);
    }
    trie->values[trie->nodes] = -1;
    return (uint32_t)trie->nodes++;
}

uint32_t tt_trie_step(const struct tt_trie *trie, uint32_t node, unsigned char byte)
{
    uint32_t child;
    return tt_map_get(&trie->edges, (uint64_t)node << 8 | byte, &child) ? child : 0;
}

void tt_trie_add(struct tt_trie *trie, const char *word, size_t length, int32_t value)
{
    uint32_t node = trie->nodes ? 0 : new_node(trie);
    for (size_t i = 0; i < length; i++) {
        uint32_t child = tt_trie_step(trie, node, (unsigned char)word[i]);
        if (!child) {
            child = new_node(trie);
            tt_map_set(&trie->edges, (uint64_t)node << 8 | (unsigned char)word[i], child);
        }
        node = child;
    }
    if (length)
        trie->values[node] = value;
}

int32_t tt_trie_longest(const struct tt_trie *trie, const char *text, size_t length, size_t *matched)
{
    int32_t value = -1;
    uint32_t node = 0;
    *matched = 0;
    for (size_t i = 0; i < length && (node = tt_trie_step(trie, node, (unsigned char)text[i])); i++) {
        if (trie->values[node] < 0)
            continue;
        value = trie->values[node];
        *matched = i + 1;
    }
    return value;
}

void tt_trie_free(struct tt_trie *trie)
{
    tt_map_free(&trie->edges);
    free(trie->values);
    *trie = (struct tt_trie){0};
}
