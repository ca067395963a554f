/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls and marks become records (include/tensortap/writer.h).
 *
 * Running calls are kept per thread by value, never by following a scope of an outer frame: an
 * exception or longjmp may have unwound it.
 */
#include <string.h>

#include "record/recorder.h"

#define ACTIVE_MOST (sizeof tt_local.active / sizeof tt_local.active[0])
#define STACK_REACH (8u << 20) /* a scope this close below our frame is of an unwound frame */

/* Calls whose frames are gone, by an exception, are dropped. */
static void drop_unwound(const struct tt_call_scope *call)
{
    const char *frame = __builtin_frame_address(0);
    while (tt_local.depth) {
        const struct tt_active *top = &tt_local.active[tt_local.depth - 1];
        const char *scope = top->scope;
        if (scope != (const char *)call && !(scope < frame && frame - scope < (ptrdiff_t)STACK_REACH))
            return;
        tt_local.depth--;
    }
}

static bool nested(const struct tt_recorder *recorder, const char *tap, uint64_t *parent)
{
    for (uint32_t i = tt_local.depth; i-- > 0;) {
        const struct tt_active *active = &tt_local.active[i];
        if (active->recorder != recorder)
            continue;
        if (active->tap == tap || strcmp(active->tap, tap) == 0)
            return true;
        if (*parent == 0)
            *parent = active->id;
    }
    return false;
}

/* A call is chosen, too, when it is a batch ("matmul_batch") of what is chosen ("matmul"): its parts are calls. */
static bool chosen(const struct tt_selection *selection, const char *op, uint32_t thread)
{
    static const char batch[] = "_batch";
    char part[64];
    size_t length = strlen(op), tail = sizeof batch - 1;
    if (tt_selection_call(selection, op, thread))
        return true;
    if (length <= tail || length - tail >= sizeof part || strcmp(op + length - tail, batch) != 0)
        return false;
    memcpy(part, op, length - tail);
    part[length - tail] = '\0';
    return tt_selection_call(selection, part, thread);
}

bool tt_call_enter(struct tt_call_scope *call, struct tt_recorder *recorder, const char *tap, const char *op,
                   const char *routine)
{
    int saved;
    call->recorder = NULL;
    call->begun = false;
    call->nattrs = 0;
    if (!tt_enter(recorder, &saved))
        return false;
    call->parent = 0;
    drop_unwound(call);
    bool recorded = tt_local.depth < ACTIVE_MOST && !nested(recorder, tap, &call->parent) &&
                    tt_recorder_ready(recorder);
    struct tt_thread *thread = recorded ? tt_recorder_thread(recorder) : NULL;
    if (thread && !chosen(&recorder->selection, op, thread->stream.thread)) {
        tt_recorder_lose(recorder, TT_LOSS_FILTERED, op, 0, false);
        thread = NULL;
    }
    if (thread) {
        call->recorder = recorder;
        call->id = __atomic_add_fetch(&recorder->next_call, 1, __ATOMIC_RELAXED);
        call->level = recorder->options.level;
        call->hash = call->level >= TT_LEVEL_HASH;
        call->data = call->level >= TT_LEVEL_DATA;
        memset(call->private_, 0, sizeof call->private_);
        call->private_[0] = (void *)(uintptr_t)tap;
        call->private_[1] = (void *)(uintptr_t)op;
        call->private_[2] = (void *)(uintptr_t)routine;
        tt_local.active[tt_local.depth++] = (struct tt_active){recorder, tap, call, call->id};
    }
    tt_leave(recorder, saved);
    return thread != NULL;
}

static struct tt_attr *add_attribute(struct tt_call_scope *call, const char *name)
{
    if (!call->recorder || call->begun || call->nattrs == TT_CALL_MAX_ATTRS)
        return NULL;
    struct tt_attr *attribute = &call->attrs[call->nattrs++];
    attribute->name = name;
    return attribute;
}

void tt_call_i64(struct tt_call_scope *call, const char *name, int64_t value)
{
    struct tt_attr *attribute = add_attribute(call, name);
    if (attribute) {
        attribute->type = TT_ATTR_I64;
        attribute->i = value;
    }
}

void tt_call_f64(struct tt_call_scope *call, const char *name, double value)
{
    struct tt_attr *attribute = add_attribute(call, name);
    if (attribute) {
        attribute->type = TT_ATTR_F64;
        attribute->f = value;
    }
}

void tt_call_str(struct tt_call_scope *call, const char *name, const char *value)
{
    struct tt_attr *attribute = add_attribute(call, name);
    if (attribute) {
        attribute->type = TT_ATTR_STR;
        attribute->s = value ? value : "";
    }
}

static void put_attribute(struct tt_record *record, const struct tt_attr *attribute)
{
    uint32_t name = (uint32_t)strnlen(attribute->name, TT_TEXT_BYTES), padded = (name + 7) & ~7u;
    uint32_t value = attribute->type == TT_ATTR_STR ? (uint32_t)strnlen(attribute->s, TT_TEXT_BYTES) : 8;
    uint8_t *at = tt_record_room(record, TT_TAG_ATTRIBUTE, 8 + padded + value);
    if (!at)
        return;
    uint32_t head[2] = {attribute->type, name};
    memcpy(at, head, sizeof head);
    memset(at + 8, 0, padded);
    memcpy(at + 8, attribute->name, name);
    memcpy(at + 8 + padded, attribute->type == TT_ATTR_STR ? (const void *)attribute->s : &attribute->i, value);
}

static void put_call(struct tt_call_scope *call, struct tt_record *record)
{
    tt_record_start(record, TT_RECORD_CALL);
    tt_record_u64(record, TT_TAG_ID, call->id);
    if (call->parent)
        tt_record_u64(record, TT_TAG_PARENT, call->parent);
    tt_record_text(record, TT_TAG_TAP, call->private_[0]);
    tt_record_text(record, TT_TAG_OP, call->private_[1]);
    tt_record_text(record, TT_TAG_ROUTINE, call->private_[2]);
    tt_record_u64(record, TT_TAG_EPOCH, tt_now_epoch(tt_call_now(call)));
    tt_record_u64(record, TT_TAG_TIME, tt_clock());
    for (uint32_t i = 0; i < call->nattrs; i++)
        put_attribute(record, &call->attrs[i]);
}

static void leave_active(const struct tt_call_scope *call)
{
    for (uint32_t i = tt_local.depth; i-- > 0;)
        if (tt_local.active[i].scope == call) {
            tt_local.depth = i;
            break;
        }
}

/* Whether a call is of a selected pass is known once its epoch is. */
static void drop(struct tt_call_scope *call)
{
    tt_recorder_lose(call->recorder, TT_LOSS_FILTERED, call->private_[1], 0, false);
    leave_active(call);
    call->recorder = NULL;
}

void tt_call_begin(struct tt_call_scope *call)
{
    int saved;
    struct tt_recorder *recorder = call->recorder;
    if (!recorder || call->begun || !tt_enter(recorder, &saved))
        return;
    struct tt_thread *thread = tt_recorder_thread(recorder);
    call->begun = true;
    if (thread)
        tt_epoch_enter(recorder, thread, call);
    if (recorder->selection.by_pass)
        tt_epoch_count(recorder, call);
    if (thread && !tt_selection_pass(&recorder->selection, tt_now_epoch(tt_call_now(call)))) {
        drop(call);
    } else if (thread) {
        put_call(call, &thread->record);
        tt_recorder_append(recorder, thread);
    }
    tt_leave(recorder, saved);
}

void tt_call_end(struct tt_call_scope *call)
{
    int saved;
    struct tt_recorder *recorder = call->recorder;
    if (!recorder)
        return;
    tt_call_begin(call);
    if (!call->recorder)
        return;
    call->recorder = NULL;
    leave_active(call);
    if (!tt_enter(recorder, &saved))
        return;
    struct tt_thread *thread = tt_recorder_thread(recorder);
    if (thread) {
        tt_record_start(&thread->record, TT_RECORD_CALL_END);
        tt_record_u64(&thread->record, TT_TAG_CALL, call->id);
        tt_record_u64(&thread->record, TT_TAG_TIME, tt_clock());
        tt_recorder_append(recorder, thread);
    }
    tt_leave(recorder, saved);
}

/* A program that makes no tapped call gets no directory, so early marks wait. Lock held. */
static void keep_for_later(struct tt_recorder *recorder, const char *text, uint64_t epoch)
{
    const uint32_t most = sizeof recorder->pending / sizeof recorder->pending[0];
    char *copy = recorder->npending < most ? strdup(text) : NULL;
    if (copy)
        recorder->pending[recorder->npending++] = (struct tt_pending_mark){tt_clock(), epoch, copy};
    else
        tt_recorder_lose(recorder, TT_LOSS_LOG, "marks before the first call", 0, true);
}

void tt_recorder_mark(struct tt_recorder *recorder, const char *text, bool epoch)
{
    int saved;
    if (!tt_enter(recorder, &saved))
        return;
    pthread_mutex_lock(&recorder->lock);
    if (epoch)
        tt_policy_mark(&recorder->policy);
    uint64_t now = tt_now_epoch(tt_policy_now(&recorder->policy));
    bool created = recorder->created;
    if (!created)
        keep_for_later(recorder, text ? text : "", now);
    pthread_mutex_unlock(&recorder->lock);
    struct tt_thread *thread = created ? tt_recorder_thread(recorder) : NULL;
    if (thread) {
        tt_record_start(&thread->record, TT_RECORD_MARK);
        tt_record_u64(&thread->record, TT_TAG_TIME, tt_clock());
        tt_record_u64(&thread->record, TT_TAG_EPOCH, now);
        tt_record_text(&thread->record, TT_TAG_TEXT, text ? text : "");
        tt_recorder_append(recorder, thread);
    }
    tt_leave(recorder, saved);
}
