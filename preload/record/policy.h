/* SPDX-License-Identifier: Apache-2.0
 *
 * When a new epoch begins, and in which form each is kept.
 *
 * Passes are not known at run time. The epoch advances by an explicit mark; as long as none was made, it
 * advances when the anchor, the first operand taken for a weight, recurs after another weight was used: so a
 * weight used for one token after another does not count as many passes.
 *
 * Prefill and decode are not known either, but the shapes of an epoch's first call are, and they tell a whole
 * chunk from the last one and from a single token: epochs that begin alike are a class. Of each class the
 * epochs number 0, 1, 2, 4, 8, 16, … keep data. What was learned from one epoch of a class (the bytes it took)
 * decides whether the next one fits: a pass kept by half is of little use. Epochs that keep no data are held in
 * memory for a while (ring.h) where they fit, since the last one before a change of class, before a NaN or
 * before the end is worth keeping.
 *
 * Everything here is written under the recorder's lock; `now`, `anchor` and `marked` are read without it.
 */
#ifndef TT_RECORD_POLICY_H
#define TT_RECORD_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum tt_form { /* of an epoch */
    TT_FORM_UNDECIDED,  /* its first call has not begun */
    TT_FORM_DATA,       /* of unknown size: large operands are cut to rows, so that later ones find room */
    TT_FORM_WHOLE,      /* data; all of it fits */
    TT_FORM_HELD,       /* digests and statistics, and data in memory for a while */
    TT_FORM_STATISTICS, /* digests and statistics */
};

enum tt_reason { /* of a form; tt_reason_name() */
    TT_REASON_EVERYTHING, TT_REASON_PASSES, TT_REASON_LEVEL, TT_REASON_FIRST, TT_REASON_SPARSE,
    TT_REASON_THINNED, TT_REASON_BUDGET, TT_REASON_CHANGE, TT_REASON_NAN, TT_REASON_END,
};

#define TT_MOST_CLASSES 64
#define TT_MOST_RUNS    256

struct tt_class { /* epochs that begin with a call of the same op and shapes */
    uint64_t key;
    uint64_t seen;      /* epochs */
    uint64_t changes;   /* times another class followed */
    uint64_t need;      /* bytes that the last epoch with data took, or would have taken; 0: not known */
    uint64_t held;      /* bytes that the last epoch held took in memory */
};

struct tt_run { /* successive epochs of one form */
    uint64_t first, last;
    enum tt_form form;
    enum tt_reason reason;
};

struct tt_policy {
    bool everything;     /* no thinning */
    bool data;           /* the level keeps data */
    const char *passes;  /* epochs kept in full, NULL: the default policy */
    uint64_t now;        /* atomic: epoch, form and reason, see tt_now_* */
    bool marked;         /* atomic; epochs come from marks */
    uint64_t anchor;     /* atomic: address of the anchor, 0: none yet */
    bool others_since;   /* another weight since the anchor was last seen */
    struct tt_class classes[TT_MOST_CLASSES]; /* the last one gathers all that have none of their own */
    uint32_t nclasses;
    struct tt_class *current; /* of the epoch decided last, NULL: none yet */
    enum tt_form form;        /* of that epoch */
    uint64_t stored;     /* bytes in the shards when it began */
    uint64_t refused;    /* atomic: bytes that it could not store */
    struct tt_run runs[TT_MOST_RUNS];
    uint32_t nruns;
};

static inline uint64_t tt_now(uint64_t epoch, enum tt_form form, enum tt_reason reason)
{
    return epoch << 8 | (uint64_t)reason << 4 | form;
}

static inline uint64_t tt_now_epoch(uint64_t now)
{
    return now >> 8;
}

static inline enum tt_form tt_now_form(uint64_t now)
{
    return now & 15;
}

static inline enum tt_reason tt_now_reason(uint64_t now)
{
    return now >> 4 & 15;
}

static inline uint64_t tt_policy_now(const struct tt_policy *policy)
{
    return __atomic_load_n(&policy->now, __ATOMIC_ACQUIRE);
}

void tt_policy_mark(struct tt_policy *policy);
/* An input is used again as it was, by a call that has not begun: a new epoch may begin with it. */
void tt_policy_recurs(struct tt_policy *policy, uint64_t address);
/* An input was used; `weight`: it is taken for one (in a file, or seen before unchanged). */
void tt_policy_used(struct tt_policy *policy, uint64_t address, bool weight);

struct tt_store { /* what there is room for, bytes */
    uint64_t stored, remaining; /* in the shards */
    uint64_t held;              /* by the epoch that ends, in memory */
    uint64_t ring;              /* in memory for one epoch, 0: there is no ring */
};

/* The epoch begun last gets its form, from the class of its first call. True when the epoch before it was the
 * last of its class and is to be kept if it is held. */
bool tt_policy_decide(struct tt_policy *policy, uint64_t class_key, const struct tt_store *store);
/* The epoch's form turned out another one. */
void tt_policy_revise(struct tt_policy *policy, uint64_t epoch, enum tt_form form, enum tt_reason reason);

/* Bytes that one operand may still take of `remaining`, so that what comes later is never starved. */
uint64_t tt_policy_share(uint64_t remaining);
const char *tt_form_name(enum tt_form form);
const char *tt_reason_name(enum tt_reason reason);

#endif
