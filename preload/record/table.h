/* SPDX-License-Identifier: Apache-2.0
 *
 * Open-addressing table from a 64-bit key to a pointer. Keys are hashes already; several entries may
 * share a key, the caller compares what it finds.
 */
#ifndef TT_RECORD_TABLE_H
#define TT_RECORD_TABLE_H

#include <stdbool.h>
#include <stdint.h>

struct tt_table {
    struct tt_table_slot {
        uint64_t key;
        void *value; /* NULL: free */
    } *slots;
    uint64_t capacity, count; /* capacity: a power of two or 0 */
};

bool tt_table_add(struct tt_table *table, uint64_t key, void *value); /* false: no memory */
/* First and next value under `key`; start with *cursor 0. NULL at the end. */
void *tt_table_next(const struct tt_table *table, uint64_t key, uint64_t *cursor);
void tt_table_clear(struct tt_table *table); /* keeps its memory */
void tt_table_free(struct tt_table *table); /* not the values */

#endif
