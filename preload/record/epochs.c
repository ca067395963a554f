/* SPDX-License-Identifier: Apache-2.0
 *
 * Epochs as they happen (epochs.h).
 *
 * Until it begins, a call gathers in its private words what its announced inputs tell: 5, the key of its class;
 * 6, whether any was announced, and the anchor among
 * them. Once it has begun, word 5 is its epoch, and word 7 tells its children to take that
 * over.
 */
#include "record/epochs.h"

#include <string.h>

#include "record/recorder.h"

enum { KEY = 5, ANNOUNCED = 6, STATE = 7 }; /* of private_ */
enum { STATE_NEW, STATE_BEGUN };
enum { UNANNOUNCED, WITHOUT_ANCHOR, WITH_ANCHOR };

static uintptr_t word(const struct tt_call_scope *call, int index)
{
    return (uintptr_t)call->private_[index];
}

static void set_word(struct tt_call_scope *call, int index, uintptr_t value)
{
    call->private_[index] = (void *)value;
}

/* ---- announced inputs ---- */

static uintptr_t mix(uintptr_t key, uint64_t value)
{
    uint64_t mixed = ((uint64_t)key ^ value) * 0x9E3779B97F4A7C15u;
    return (uintptr_t)(mixed ^ mixed >> 29);
}

static void add_shape(struct tt_call_scope *call, const struct tt_tensor_view *view)
{
    uintptr_t key = mix(word(call, KEY), (uint64_t)view->rank);
    for (int axis = 0; axis < view->rank && axis < TT_MAX_RANK; axis++)
        key = mix(key, (uint64_t)view->shape[axis]);
    set_word(call, KEY, key);
}

#define APART 3 /* calls: keys come again for the next head of their group after q·k and p·v */

/* Before any weight is known in a file, the first large input that recurs unchanged is taken for one. What comes again
 * within a few calls is none, then or later: activations go into several products, keys into those of several heads. */
static bool recurs_in_memory(struct tt_recorder *recorder, const struct tt_call_scope *call,
                             const struct tt_tensor_view *view, const struct tt_layout *layout, const uint8_t *low)
{
    uint64_t address = (uint64_t)(uintptr_t)low;
    if (layout->bytes < TT_REPEAT_LEAST || tt_maps_probe(address, layout->span) != 0)
        return false;
    uint64_t signature = tt_repeat_signature(view->dtype, view->rank, view->shape, view->strides);
    uint64_t sample = tt_repeat_sample(layout, low);
    pthread_mutex_lock(&recorder->lock);
    struct tt_repeat *repeat = tt_repeat_find(&recorder->repeats, address, signature);
    bool known = repeat && repeat->sample == sample;
    bool near = known && call->id - repeat->last_call < APART;
    bool recurs = known && !near && !repeat->local;
    if (!repeat)
        repeat = tt_repeat_add(&recorder->repeats, address, signature);
    if (repeat) {
        repeat->sample = sample;
        repeat->last_call = call->id;
        repeat->local = repeat->local || near;
    }
    pthread_mutex_unlock(&recorder->lock);
    return recurs;
}

/* Most announcements end here: a weight's layout is simple, and this one is not the anchor. */
static bool is_other(const struct tt_tensor_view *view, uint64_t anchor)
{
    bool simple = anchor != 0;
    for (int axis = 0; axis < view->rank && axis < TT_MAX_RANK; axis++)
        simple &= view->strides[axis] >= 0;
    return simple && (uint64_t)(uintptr_t)view->data != anchor;
}

static void look(struct tt_recorder *recorder, struct tt_call_scope *call, const struct tt_tensor_view *view)
{
    struct tt_layout layout;
    uint64_t anchor = __atomic_load_n(&recorder->policy.anchor, __ATOMIC_ACQUIRE);
    if (tt_layout_make(&layout, view->dtype, view->rank, view->shape, view->strides) != 0)
        return;
    const uint8_t *low = (const uint8_t *)view->data + layout.low;
    uint64_t address = (uint64_t)(uintptr_t)low;
    if (anchor ? address != anchor : !recurs_in_memory(recorder, call, view, &layout, low))
        return;
    pthread_mutex_lock(&recorder->lock);
    tt_policy_recurs(&recorder->policy, address);
    set_word(call, ANNOUNCED, WITH_ANCHOR);
    pthread_mutex_unlock(&recorder->lock);
}

void tt_call_announce(struct tt_call_scope *call, const struct tt_tensor_view *view)
{
    int saved;
    const struct tt_policy *policy = call->recorder ? &call->recorder->policy : NULL;
    if (!policy || call->begun || word(call, STATE) == STATE_BEGUN)
        return;
    add_shape(call, view);
    if (!word(call, ANNOUNCED))
        set_word(call, ANNOUNCED, WITHOUT_ANCHOR);
    if (!view->data || __atomic_load_n(&policy->marked, __ATOMIC_RELAXED) ||
        is_other(view, __atomic_load_n(&policy->anchor, __ATOMIC_ACQUIRE)) || !tt_enter(call->recorder, &saved))
        return;
    look(call->recorder, call, view);
    tt_leave(call->recorder, saved);
}

void tt_epoch_weight(struct tt_recorder *recorder, const struct tt_call_scope *call, uint64_t address, bool weight,
                     bool recurs)
{
    bool announced = word(call, ANNOUNCED) != UNANNOUNCED;
    struct tt_policy *policy = &recorder->policy;
    if (recurs && !announced && (!policy->anchor || policy->anchor == address))
        tt_policy_recurs(policy, address); /* too late for this call: the next one begins the epoch */
    else if (!recurs || policy->anchor)
        tt_policy_used(policy, address, weight);
}

void tt_epoch_count(struct tt_recorder *recorder, const struct tt_call_scope *call)
{
    if (word(call, ANNOUNCED) != WITHOUT_ANCHOR)
        return;
    pthread_mutex_lock(&recorder->lock);
    recorder->policy.others_since = true;
    pthread_mutex_unlock(&recorder->lock);
}

/* ---- forms ---- */

static void append_epoch(struct tt_recorder *recorder, struct tt_thread *thread, uint64_t epoch, enum tt_form form,
                         enum tt_reason reason, const char *op)
{
    tt_record_start(&thread->record, TT_RECORD_EPOCH);
    tt_record_u64(&thread->record, TT_TAG_EPOCH, epoch);
    tt_record_u64(&thread->record, TT_TAG_TIME, tt_clock());
    tt_record_text(&thread->record, TT_TAG_TEXT, tt_form_name(form));
    tt_record_text(&thread->record, TT_TAG_WHAT, tt_reason_name(reason));
    tt_record_text(&thread->record, TT_TAG_OP, op);
    tt_recorder_append(recorder, thread);
}

static bool save(struct tt_recorder *recorder, struct tt_thread *thread, uint64_t epoch, enum tt_reason reason)
{
    if (!tt_ring_save(recorder, thread, epoch))
        return false;
    pthread_mutex_lock(&recorder->lock);
    tt_policy_revise(&recorder->policy, epoch, TT_FORM_DATA, reason);
    recorder->policy.stored = recorder->shards.limit - tt_shards_remaining(&recorder->shards);
    pthread_mutex_unlock(&recorder->lock);
    append_epoch(recorder, thread, epoch, TT_FORM_DATA, reason, NULL);
    return true;
}

static uint64_t class_key(const struct tt_call_scope *call)
{
    uintptr_t key = word(call, KEY);
    for (const char *c = call->private_[1]; *c; c++)
        key = mix(key, (unsigned char)*c);
    return key;
}

static struct tt_store measure(struct tt_recorder *recorder, uint64_t ended)
{
    uint64_t remaining = tt_shards_remaining(&recorder->shards);
    return (struct tt_store){.stored = recorder->shards.limit - remaining, .remaining = remaining,
                             .held = tt_ring_used(&recorder->ring, ended), .ring = recorder->ring.room};
}

/* The form of the epoch that has just begun. Several threads may come here: the first one decides, and the others
 * find a slot for the epoch when they want to use it, since they wait for the ring's lock. */
static void decide(struct tt_recorder *recorder, struct tt_thread *thread, const struct tt_call_scope *call)
{
    bool keep_last = false;
    pthread_mutex_lock(&recorder->ring.lock);
    pthread_mutex_lock(&recorder->lock);
    uint64_t now = tt_policy_now(&recorder->policy), epoch = tt_now_epoch(now);
    bool undecided = tt_now_form(now) == TT_FORM_UNDECIDED;
    if (undecided) {
        struct tt_store store = measure(recorder, epoch - 1);
        keep_last = tt_policy_decide(&recorder->policy, class_key(call), &store);
        now = tt_policy_now(&recorder->policy);
    }
    pthread_mutex_unlock(&recorder->lock);
    if (keep_last)
        save(recorder, thread, epoch - 1, TT_REASON_CHANGE);
    if (undecided) {
        tt_ring_begin(recorder, epoch, tt_now_form(now) == TT_FORM_HELD);
        append_epoch(recorder, thread, epoch, tt_now_form(now), tt_now_reason(now), call->private_[1]);
    }
    pthread_mutex_unlock(&recorder->ring.lock);
}

void tt_epoch_enter(struct tt_recorder *recorder, struct tt_thread *thread, struct tt_call_scope *call)
{
    if (word(call, STATE) == STATE_BEGUN)
        return; /* a child */
    uint64_t now;
    while (tt_now_form(now = tt_policy_now(&recorder->policy)) == TT_FORM_UNDECIDED)
        decide(recorder, thread, call);
    set_word(call, KEY, (uintptr_t)now);
    set_word(call, STATE, STATE_BEGUN);
}

void tt_epoch_alarm(struct tt_recorder *recorder, struct tt_thread *thread)
{
    uint64_t now = tt_policy_now(&recorder->policy), epoch = tt_now_epoch(now);
    if (!recorder->ring.room || __atomic_exchange_n(&recorder->alarmed, true, __ATOMIC_RELAXED))
        return;
    if (epoch)
        save(recorder, thread, epoch - 1, TT_REASON_NAN);
    if (tt_now_form(now) == TT_FORM_HELD)
        save(recorder, thread, epoch, TT_REASON_NAN);
}

void tt_epoch_finish(struct tt_recorder *recorder, struct tt_thread *thread)
{
    uint64_t epoch = tt_now_epoch(tt_policy_now(&recorder->policy));
    save(recorder, thread, epoch, TT_REASON_END); /* first: with little room left it is the better one */
    if (epoch)
        save(recorder, thread, epoch - 1, TT_REASON_END);
    tt_ring_begin(recorder, epoch + 1, false); /* what was not saved is counted now */
    tt_ring_begin(recorder, epoch + 2, false);
}
