/* SPDX-License-Identifier: Apache-2.0
 *
 * Epochs as they happen: a call that is about to begin may begin one; its form is decided, recorded and, when the
 * epoch before turns out to be worth keeping, that one is saved from memory (policy.h decides, ring.h holds).
 *
 * Invariant: a call and its children belong to one epoch, from the first record to the last operand.
 */
#ifndef TT_RECORD_EPOCHS_H
#define TT_RECORD_EPOCHS_H

#include <stdint.h>

#include "tensortap/writer.h"

struct tt_recorder;
struct tt_thread;

/* Of a call that has begun: epoch, form, reason (tt_now_* of policy.h). */
static inline uint64_t tt_call_now(const struct tt_call_scope *call)
{
    return (uint64_t)(uintptr_t)call->private_[5];
}

/* The call begins: fixes its epoch, which may be a new one. */
void tt_epoch_enter(struct tt_recorder *recorder, struct tt_thread *thread, struct tt_call_scope *call);
/* A weight, or what is taken for one, was read by the call. */
void tt_epoch_weight(struct tt_recorder *recorder, const struct tt_call_scope *call, uint64_t address, bool weight,
                     bool recurs);
/* Calls of other passes are not recorded, their weights not looked at: here, any call is taken for one with a
 * weight, so that epochs are counted all the same. */
void tt_epoch_count(struct tt_recorder *recorder, const struct tt_call_scope *call);
/* An output held NaN: the first time, the last two epochs are saved and the running one keeps its data. */
void tt_epoch_alarm(struct tt_recorder *recorder, struct tt_thread *thread);
/* The capture ends: the last two epochs are saved. */
void tt_epoch_finish(struct tt_recorder *recorder, struct tt_thread *thread);

#endif
