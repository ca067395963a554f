/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts of a call (include/tensortap/writer.h): products of a batch, several open at once. They are not among
 * the running calls of the thread, so what runs meanwhile is nested in the parent.
 */
#include <string.h>

#include "record/recorder.h"

bool tt_call_enter_child(struct tt_call_scope *child, const struct tt_call_scope *parent, const char *op,
                         const char *routine)
{
    struct tt_recorder *recorder = parent->recorder;
    int saved;
    child->recorder = NULL;
    child->begun = false;
    child->nattrs = 0;
    if (!recorder || !tt_enter(recorder, &saved))
        return false;
    struct tt_thread *thread = tt_recorder_thread(recorder);
    bool chosen = thread && tt_selection_call(&recorder->selection, op, thread->stream.thread);
    if (thread && !chosen)
        tt_recorder_lose(recorder, TT_LOSS_FILTERED, op, 0, false);
    child->recorder = chosen ? recorder : NULL;
    child->id = chosen ? __atomic_add_fetch(&recorder->next_call, 1, __ATOMIC_RELAXED) : 0;
    child->parent = parent->id;
    child->tap = parent->tap;
    child->level = parent->level;
    child->hash = parent->hash;
    child->data = parent->data;
    memcpy(child->private_, parent->private_, sizeof child->private_);
    child->private_[1] = (void *)(uintptr_t)op;
    child->private_[2] = (void *)(uintptr_t)routine;
    tt_leave(recorder, saved);
    return chosen;
}
