/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensor data in safetensors files that are valid while they grow.
 *
 * A shard is created at full size (posix_fallocate) under a temporary name and renamed, so the first
 * look at it finds a header: one page whose single entry `_open` covers the rest. The bytes from that
 * page to `data_start` are kept for the header that closing writes. Closing fills them first (they
 * still count as data), cuts the file and replaces the first page in one write.
 * A place is reserved under the lock, filled without it, then committed; a shard that is full is
 * closed by the last writer that leaves it. Places never committed end up in `_pad.N`.
 */
#ifndef TT_RECORD_SHARD_H
#define TT_RECORD_SHARD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "record/log.h"
#include "tensortap/shard.h"

struct tt_shard {
    struct tt_shard *next;
    uint32_t number;
    char *path;
    struct tt_file_identity identity;
    uint8_t *memory;
    uint64_t size, data_start, used; /* bytes from the start of the file */
    uint64_t header_used;            /* bytes promised to entries in the closed header */
    uint32_t writers;
    bool full;
    uint32_t nentries, room;
    struct tt_shard_entry *entries;
};

struct tt_shards {
    const char *directory;
    pthread_mutex_t lock; /* of everything below */
    struct tt_shard *open; /* the current one first */
    uint32_t created;
    uint64_t limit, stored; /* bytes of tensor data: allowed, reserved so far */
};

struct tt_place {
    struct tt_shard *shard;
    uint32_t number;
    uint64_t offset, nbytes;
    uint8_t *memory; /* [nbytes], writable until commit */
};

void tt_shards_init(struct tt_shards *shards, const char *directory, uint64_t limit);
/* -EDQUOT: beyond the limit; -ENOSPC and others: the disk refused. */
int tt_shards_reserve(struct tt_shards *shards, uint64_t nbytes, const struct tt_shard_entry *entry,
                      struct tt_place *place);
/* Copies the entry; its offset and nbytes are the place's. */
void tt_shards_commit(struct tt_shards *shards, struct tt_place *place, const struct tt_shard_entry *entry);
uint64_t tt_shards_remaining(struct tt_shards *shards);
void tt_shards_close(struct tt_shards *shards);  /* all written out */
void tt_shards_forget(struct tt_shards *shards); /* in a forked child: unmap, touch no file */

uint64_t tt_shard_header_cost(const struct tt_shard_entry *entry);

#endif
