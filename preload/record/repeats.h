/* SPDX-License-Identifier: Apache-2.0
 *
 * Inputs that come back unchanged at the same address: weights, above all.
 *
 * The first times an operand is digested in full. Once it was found unchanged twice, later uses check a
 * spread of samples and, in turn, one of CHUNKS parts in full, so a change anywhere is found within
 * CHUNKS uses at a small part of the cost. What was recognised so is recorded as sampled.
 */
#ifndef TT_RECORD_REPEATS_H
#define TT_RECORD_REPEATS_H

#include <stdbool.h>
#include <stdint.h>

#include "record/content.h"
#include "record/table.h"
#include "tensortap/reader.h"

#define TT_REPEAT_LEAST  65536u /* bytes; below, a full digest is cheap */
#define TT_REPEAT_CHUNKS 64u

struct tt_repeat { /* guarded by the recorder's lock; freed with the recorder only */
    uint64_t address, signature; /* of shape, strides and dtype */
    uint64_t sample;             /* hash of spread bytes */
    uint64_t *chunks;            /* [chunks] hashes, NULL until seen unchanged */
    uint32_t nchunks, next_chunk;
    uint32_t unchanged;          /* times found so since it last changed */
    uint64_t last_call;          /* that announced it, while no anchor is known */
    bool local; /* came again within a few calls once: no weight */
    struct tt_digest digest;
    struct tt_stats stats;
    bool in_file;                /* its bytes were compared with the file's */
    int file;
    uint64_t file_offset;
    const struct tt_content *content; /* where it is stored, or NULL */
};

struct tt_repeats {
    struct tt_table table;
    uint64_t count;
};

uint64_t tt_repeat_signature(enum tt_dtype dtype, int rank, const int64_t *shape, const int64_t *strides);
/* Lock held. NULL: not known, or too many are. */
struct tt_repeat *tt_repeat_find(const struct tt_repeats *repeats, uint64_t address, uint64_t signature);
struct tt_repeat *tt_repeat_add(struct tt_repeats *repeats, uint64_t address, uint64_t signature);
void tt_repeats_free(struct tt_repeats *repeats);

/* Without the lock: reads the operand. */
uint64_t tt_repeat_sample(const struct tt_layout *layout, const uint8_t *low);
uint32_t tt_repeat_nchunks(const struct tt_layout *layout);
uint64_t tt_repeat_chunk(const struct tt_layout *layout, const uint8_t *low, uint32_t chunk);

#endif
