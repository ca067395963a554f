/* SPDX-License-Identifier: Apache-2.0
 *
 * The last two epochs in memory: operands of epochs that keep no data are copied here first, and reach the
 * shards only if the epoch turns out to be worth keeping (policy.h).
 *
 * Invariants: a slot holds one epoch, all of it or nothing: an operand that finds no room empties the slot. The
 * pages that both slots have touched are at most `room` bytes together; an epoch that needs the room of the one
 * before it gets it, so a large one can be held, too, if not two of them. A slot that somebody still copies into
 * is never emptied. What an unsaved epoch lost is counted when its slot is reused.
 * The ring's lock comes before the recorder's and may be taken again by its holder, so that an epoch's slot is
 * ready when others learn of the epoch. Engine memory is read without it.
 */
#ifndef TT_RECORD_RING_H
#define TT_RECORD_RING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "record/content.h"
#include "record/losses.h"

struct tt_held;

struct tt_slot {
    uint64_t epoch;
    bool open;          /* takes operands of `epoch` */
    uint32_t writers;   /* copying now */
    uint8_t *memory;    /* [room], NULL: not reserved yet */
    uint64_t used;      /* bytes; more than the room: the epoch did not fit */
    uint64_t touched;   /* bytes of memory that are backed by pages */
    struct tt_table known; /* digest -> struct tt_held */
    struct tt_held *first, *last; /* in the order of arrival, in `memory` themselves */
    struct tt_losses losses; /* of the epoch, if it is not saved */
};

struct tt_ring {
    pthread_mutex_t lock; /* recursive */
    uint64_t room; /* bytes of both slots together, 0: no ring */
    struct tt_slot slots[2];
};

void tt_ring_init(struct tt_ring *ring);
void tt_ring_init_lock(struct tt_ring *ring); /* in a forked child */
void tt_ring_free(struct tt_ring *ring);
/* The epoch begins: what its slot held is lost and counted. `open`: its operands are held. */
void tt_ring_begin(struct tt_recorder *recorder, uint64_t epoch, bool open);
/* Bytes that the epoch took, more than the room when it did not fit, 0 when nothing was held. */
uint64_t tt_ring_used(struct tt_ring *ring, uint64_t epoch);
/* Copies the operand; false when it cannot be held. `detail`: names what is lost if it is not saved. */
bool tt_ring_hold(struct tt_recorder *recorder, uint64_t epoch, const struct tt_keep *keep, const char *detail);
/* Moves an epoch into the shards; operands recorded with a digest only now have content. False when nothing was
 * held, or it does not fit the budget any more (counted). */
bool tt_ring_save(struct tt_recorder *recorder, struct tt_thread *thread, uint64_t epoch);

#endif
