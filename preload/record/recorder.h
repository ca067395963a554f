/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the recorder, shared by the files of this folder only.
 *
 * Locks, outermost first: registry (recorder.c), that of the ring, recorder->lock, then those of log and shards. No lock
 * is held while operand bytes are read, hashed or copied. A forked child gets an empty recorder: it
 * drops what it inherited without touching the parent's files and makes its own capture on first use.
 */
#ifndef TT_RECORD_RECORDER_H
#define TT_RECORD_RECORDER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "record/content.h"
#include "record/epochs.h"
#include "record/log.h"
#include "record/losses.h"
#include "record/maps.h"
#include "record/policy.h"
#include "record/repeats.h"
#include "record/ring.h"
#include "record/select.h"
#include "record/shard.h"
#include "record/text.h"
#include "tensortap/writer.h"

enum tt_recorder_state { TT_RECORDER_IDLE, TT_RECORDER_READY, TT_RECORDER_DEAD };

struct tt_thread { /* one per thread and recorder; reused when a thread ends */
    struct tt_thread *next;
    struct tt_stream stream;
    uint64_t tid;
    bool taken;
    struct tt_record record; /* being built by this thread */
};

struct tt_manifest_entry {
    struct tt_manifest_entry *next;
    char *key, *json;
};

struct tt_pending_mark { /* made before the capture exists */
    uint64_t time, epoch;
    char *text;
};

struct tt_recorder {
    struct tt_recorder *next;    /* registry; never leaves it, see tt_recorder_close */
    uint64_t serial;             /* names this recorder in this process: changes at fork */
    struct tt_recorder_options options; /* texts owned */
    struct tt_selection selection;
    struct tt_policy policy;
    int state;                   /* enum tt_recorder_state, atomic */
    int inside;                  /* threads in a function of ours, atomic */
    int failure;                 /* errno of what ended the capture early */
    uint64_t sequence, next_call; /* atomic; last used */

    struct tt_ring ring;         /* has a lock of its own */
    bool alarmed;                /* atomic; a NaN was seen */
    uint64_t weight_reads;       /* atomic; times the map was read for what may be a weight */

    pthread_mutex_t lock;        /* of what follows */
    char *directory;
    uint64_t started;            /* wall clock, ns */
    bool created;                /* the capture exists */
    struct tt_thread *threads;
    uint32_t nthreads;
    struct tt_manifest_entry *manifest;
    struct tt_pending_mark pending[16];
    uint32_t npending;
    struct tt_losses losses;
    struct tt_contents contents;
    struct tt_repeats repeats;
    struct tt_maps maps;
    uint64_t maps_epoch;         /* epoch in which maps were last read */
    struct tt_stream own;        /* block 0 first: process, losses, end */
    struct tt_record *own_record;

    struct tt_log log;           /* these two have locks of their own */
    struct tt_shards shards;
};

struct tt_local { /* of each thread */
    uint64_t serial; /* of the recorder that `thread` belongs to */
    struct tt_thread *thread;
    bool busy;       /* in a function of ours: what we call may be tapped too */
    uint32_t depth;
    struct tt_active {
        const struct tt_recorder *recorder;
        const char *tap;
        const void *scope;
        uint64_t id;
    } active[32];    /* calls running on this thread, outermost first */
};
extern __thread struct tt_local tt_local __attribute__((tls_model("initial-exec")));

/* recorder.c */
/* Brackets around every public function: false when the recorder is of no use now. Saves errno. */
bool tt_enter(struct tt_recorder *recorder, int *saved_errno);
void tt_leave(struct tt_recorder *recorder, int saved_errno);
bool tt_recorder_ready(struct tt_recorder *recorder); /* creates the capture on first use */
struct tt_thread *tt_recorder_thread(struct tt_recorder *recorder); /* of this thread, or NULL */
uint64_t tt_clock(void); /* ns, CLOCK_MONOTONIC */
/* Writes the thread's record; returns its sequence, 0 when it was lost (counted). */
uint64_t tt_recorder_append(struct tt_recorder *recorder, struct tt_thread *thread);
void tt_recorder_append_own(struct tt_recorder *recorder); /* own_record; lock held */
/* Counts a loss; `locked`: the caller holds the lock. */
void tt_recorder_lose(struct tt_recorder *recorder, const char *what, const char *detail, uint64_t bytes,
                      bool locked);
/* Adds up all of `losses` and empties them. */
void tt_recorder_lose_all(struct tt_recorder *recorder, struct tt_losses *losses);

/* create.c; lock held. 0 or -errno */
int tt_recorder_create(struct tt_recorder *recorder);

/* manifest.c; lock held */
int tt_manifest_write(struct tt_recorder *recorder, bool finished);

#endif
