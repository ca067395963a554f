/* SPDX-License-Identifier: Apache-2.0
 *
 * Open-addressing table (table.h), linear probing, at most two thirds full.
 */
#include "record/table.h"

#include <stdlib.h>
#include <string.h>

static uint64_t home(const struct tt_table *table, uint64_t key)
{
    return (key * 0x9E3779B97F4A7C15u >> 20) & (table->capacity - 1);
}

static void place(struct tt_table *table, uint64_t key, void *value)
{
    uint64_t at = home(table, key);
    while (table->slots[at].value)
        at = (at + 1) & (table->capacity - 1);
    table->slots[at].key = key;
    table->slots[at].value = value;
}

static bool grow(struct tt_table *table)
{
    struct tt_table wider = {.capacity = table->capacity ? table->capacity * 2 : 256, .count = table->count};
    wider.slots = calloc(wider.capacity, sizeof *wider.slots);
    if (!wider.slots)
        return false;
    for (uint64_t i = 0; i < table->capacity; i++)
        if (table->slots[i].value)
            place(&wider, table->slots[i].key, table->slots[i].value);
    free(table->slots);
    *table = wider;
    return true;
}

bool tt_table_add(struct tt_table *table, uint64_t key, void *value)
{
    if ((table->count + 1) * 3 > table->capacity * 2 && !grow(table))
        return false;
    place(table, key, value);
    table->count++;
    return true;
}

void *tt_table_next(const struct tt_table *table, uint64_t key, uint64_t *cursor)
{
    if (!table->capacity)
        return NULL;
    for (uint64_t i = *cursor; i < table->capacity; i++) {
        const struct tt_table_slot *slot = &table->slots[(home(table, key) + i) & (table->capacity - 1)];
        if (!slot->value)
            return NULL;
        if (slot->key == key) {
            *cursor = i + 1;
            return slot->value;
        }
    }
    return NULL;
}

void tt_table_clear(struct tt_table *table)
{
    if (table->count)
        memset(table->slots, 0, table->capacity * sizeof *table->slots);
    table->count = 0;
}

void tt_table_free(struct tt_table *table)
{
    free(table->slots);
    memset(table, 0, sizeof *table);
}
