/* SPDX-License-Identifier: Apache-2.0
 *
 * The last two epochs in memory (ring.h).
 */
#include "record/ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "record/names.h"
#include "record/recorder.h"

struct tt_held { /* one operand's content, followed by its bytes */
    struct tt_held *next;
    struct tt_layout layout; /* packed */
    struct tt_digest digest;
    enum tt_dtype dtype;
    char name[TT_NAME_BYTES];
};

static uint64_t aligned(uint64_t nbytes)
{
    return (nbytes + 63) & ~(uint64_t)63;
}

static uint8_t *bytes_of(struct tt_held *held)
{
    return (uint8_t *)held + aligned(sizeof *held);
}

static uint64_t key_of(const struct tt_digest *digest)
{
    uint64_t key;
    memcpy(&key, digest->bytes, sizeof key);
    return key;
}

void tt_ring_init_lock(struct tt_ring *ring)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&ring->lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

void tt_ring_init(struct tt_ring *ring)
{
    memset(ring, 0, sizeof *ring);
    tt_ring_init_lock(ring);
}

void tt_ring_free(struct tt_ring *ring)
{
    for (int i = 0; i < 2; i++) {
        struct tt_slot *slot = &ring->slots[i];
        if (slot->memory)
            munmap(slot->memory, ring->room);
        tt_table_free(&slot->known);
        tt_losses_free(&slot->losses);
    }
    memset(ring->slots, 0, sizeof ring->slots);
}

static struct tt_slot *slot_of(struct tt_ring *ring, uint64_t epoch)
{
    return &ring->slots[epoch & 1];
}

/* The slot's memory stays, so that the next epoch finds its pages. */
static void forget(struct tt_slot *slot)
{
    slot->open = false;
    slot->first = slot->last = NULL;
    tt_table_clear(&slot->known);
}

static bool reserve_memory(const struct tt_ring *ring, struct tt_slot *slot)
{
    if (!slot->memory && ring->room) {
        void *memory = mmap(NULL, ring->room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                            -1, 0);
        slot->memory = memory == MAP_FAILED ? NULL : memory;
    }
    return slot->memory != NULL;
}

void tt_ring_begin(struct tt_recorder *recorder, uint64_t epoch, bool open)
{
    struct tt_ring *ring = &recorder->ring;
    pthread_mutex_lock(&ring->lock);
    struct tt_slot *slot = slot_of(ring, epoch);
    if (slot->writers == 0 && slot->epoch <= epoch) {
        forget(slot);
        tt_recorder_lose_all(recorder, &slot->losses);
        slot->used = 0;
        slot->epoch = epoch;
        slot->open = open && reserve_memory(ring, slot);
    }
    pthread_mutex_unlock(&ring->lock);
}

uint64_t tt_ring_used(struct tt_ring *ring, uint64_t epoch)
{
    pthread_mutex_lock(&ring->lock);
    const struct tt_slot *slot = slot_of(ring, epoch);
    uint64_t used = slot->epoch == epoch ? slot->used : 0;
    pthread_mutex_unlock(&ring->lock);
    return used;
}

static bool is_known(const struct tt_slot *slot, const struct tt_keep *keep)
{
    const struct tt_held *held;
    uint64_t cursor = 0;
    while ((held = tt_table_next(&slot->known, key_of(&keep->digest), &cursor)))
        if (memcmp(&held->digest, &keep->digest, sizeof held->digest) == 0)
            return true;
    return false;
}

/* Lets `slot` have `used` bytes, at the cost of the epoch before if need be. */
static bool make_room(struct tt_ring *ring, struct tt_slot *slot, uint64_t used)
{
    struct tt_slot *other = &ring->slots[slot == ring->slots];
    if (used <= slot->touched)
        return true;
    if (used > ring->room)
        return false;
    if (used + other->touched > ring->room) {
        if (other->writers || other->epoch > slot->epoch || madvise(other->memory, other->touched, MADV_DONTNEED) != 0)
            return false;
        forget(other);
        other->touched = 0;
    }
    slot->touched = used;
    return true;
}

/* Place for content and its bytes; NULL when there is none, and then the epoch is given up. */
static struct tt_held *take_place(struct tt_ring *ring, struct tt_slot *slot, uint64_t nbytes)
{
    uint64_t size = aligned(sizeof(struct tt_held)) + aligned(nbytes);
    if (size < nbytes || !make_room(ring, slot, slot->used + size)) {
        forget(slot);
        slot->used = ring->room + 1;
        return NULL;
    }
    struct tt_held *held = (struct tt_held *)(slot->memory + slot->used);
    slot->used += size;
    slot->writers++;
    return held;
}

/* The layout of the copy: the same axes, packed. */
static struct tt_layout packed(const struct tt_layout *layout)
{
    struct tt_layout copy = *layout;
    uint64_t stride = copy.unit_bytes;
    for (int axis = copy.axes; axis-- > 0; stride *= copy.extent[axis])
        copy.stride[axis] = stride;
    copy.span = copy.bytes;
    copy.low = 0;
    copy.contiguous = true;
    return copy;
}

static void publish(struct tt_slot *slot, struct tt_held *held)
{
    slot->writers--;
    if (!slot->open || !tt_table_add(&slot->known, key_of(&held->digest), held))
        return;
    held->next = NULL;
    if (slot->last)
        slot->last->next = held;
    else
        slot->first = held;
    slot->last = held;
}

bool tt_ring_hold(struct tt_recorder *recorder, uint64_t epoch, const struct tt_keep *keep, const char *detail)
{
    struct tt_ring *ring = &recorder->ring;
    struct tt_held *held = NULL;
    pthread_mutex_lock(&ring->lock);
    struct tt_slot *slot = slot_of(ring, epoch);
    bool open = slot->open && slot->epoch == epoch, known = open && is_known(slot, keep);
    if (open && !known)
        held = take_place(ring, slot, keep->layout->bytes);
    if (known || held)
        tt_losses_add(&slot->losses, TT_LOSS_THINNED, detail, 1, keep->layout->bytes);
    pthread_mutex_unlock(&ring->lock);
    if (!held)
        return known;
    held->layout = packed(keep->layout);
    held->digest = keep->digest;
    held->dtype = keep->dtype;
    memcpy(held->name, keep->name, strlen(keep->name) + 1);
    tt_layout_pack(keep->layout, keep->low, 0, keep->layout->lines, bytes_of(held));
    pthread_mutex_lock(&ring->lock);
    publish(slot, held);
    pthread_mutex_unlock(&ring->lock);
    return true;
}

/* Tells that operands with this digest, recorded before, have content after all. */
static void append_content(struct tt_recorder *recorder, struct tt_thread *thread, const struct tt_held *held,
                           const struct tt_content *content)
{
    tt_record_start(&thread->record, TT_RECORD_CONTENT);
    tt_record_bytes(&thread->record, TT_TAG_DIGEST, &held->digest, sizeof held->digest);
    tt_content_segments(&thread->record, content, held->layout.line_bytes);
    tt_recorder_append(recorder, thread);
}

static bool save_one(struct tt_recorder *recorder, struct tt_thread *thread, struct tt_held *held)
{
    const struct tt_content *content;
    struct tt_keep keep = {.layout = &held->layout, .low = bytes_of(held), .digest = held->digest,
                           .dtype = held->dtype, .name = held->name, .store = true, .whole = true};
    int status = tt_content_keep(recorder, thread, &keep, &content);
    if (status == 0)
        append_content(recorder, thread, held, content);
    else
        tt_recorder_lose(recorder, status == -EDQUOT ? TT_LOSS_BUDGET : TT_LOSS_DISK, "epoch held in memory",
                         held->layout.bytes, false);
    return status == 0;
}

bool tt_ring_save(struct tt_recorder *recorder, struct tt_thread *thread, uint64_t epoch)
{
    struct tt_ring *ring = &recorder->ring;
    pthread_mutex_lock(&ring->lock);
    struct tt_slot *slot = slot_of(ring, epoch);
    bool held = slot->first && slot->epoch == epoch, fits = held;
    if (held && slot->used > tt_shards_remaining(&recorder->shards)) {
        tt_recorder_lose(recorder, TT_LOSS_BUDGET, "epoch held in memory", slot->used, false);
        fits = false;
    }
    for (struct tt_held *at = fits ? slot->first : NULL; at && fits; at = at->next)
        fits = save_one(recorder, thread, at);
    if (fits)
        tt_losses_free(&slot->losses);
    if (held)
        forget(slot);
    pthread_mutex_unlock(&ring->lock);
    return fits;
}
