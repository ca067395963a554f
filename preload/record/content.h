/* SPDX-License-Identifier: Apache-2.0
 *
 * Content that is stored once: whole operands by digest, and leading rows of operands that grow.
 *
 * Packed bytes of a stored operand lie in extents of the shards. An operand whose planes repeat the
 * leading rows of an earlier one (a KV cache, moved or not) costs its new rows only. Extents and
 * contents are never changed once published, so they are used without the lock.
 */
#ifndef TT_RECORD_CONTENT_H
#define TT_RECORD_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "record/table.h"
#include "tensortap/layout.h"
#include "tensortap/reader.h"

struct tt_record;
struct tt_recorder;
struct tt_thread;

struct tt_extent {
    uint64_t begin, nbytes; /* place in the packed bytes */
    uint64_t offset;        /* from the start of the shard file */
    uint32_t shard;
};

struct tt_content {
    struct tt_content *next; /* all of a recorder */
    struct tt_digest digest; /* of all packed bytes */
    uint64_t nbytes;         /* packed; extents cover less when truncated */
    bool truncated;
    uint32_t nextents;
    struct tt_extent extents[]; /* by increasing begin, at most TT_MAX_SEGMENTS */
};

struct tt_contents {
    struct tt_table whole;    /* digest -> struct tt_content */
    struct tt_table prefixes; /* digest of a first row -> struct prefix */
    struct tt_content *all;
    struct prefix *all_prefixes;
};

struct tt_keep { /* what to keep */
    const struct tt_layout *layout;
    const uint8_t *low;
    struct tt_digest digest; /* of all lines */
    enum tt_dtype dtype;
    const char *name;        /* of the tensor in the shard */
    bool store;              /* false: only look for what is stored already */
    bool whole;              /* there is room for all of it: no share, no truncation */
};

/* 0 with *out; -ENOENT: not stored and not to be; -EDQUOT: no budget; other -errno: the disk refused.
 * `out->truncated` tells that some rows were kept. */
int tt_content_keep(struct tt_recorder *recorder, struct tt_thread *thread, const struct tt_keep *keep,
                    const struct tt_content **out);
/* Adds the SEGMENTS field; rows of `line_bytes`. */
void tt_content_segments(struct tt_record *record, const struct tt_content *content, uint64_t line_bytes);
void tt_contents_free(struct tt_contents *contents);

#endif
