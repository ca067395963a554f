/* SPDX-License-Identifier: Apache-2.0
 *
 * One operand: measure it, find out whether its bytes are known already, keep what is new, record it.
 *
 * Order of questions, cheapest first: selected? a known repeat? readable? in a mapped file? stored
 * before? worth storing? Whatever the answers, one operand record is written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "record/names.h"
#include "record/recorder.h"
#include "record/stats.h"

#define UNKNOWN_MOST   64       /* addresses not in the map before it is read again */
#define PROBE_MOST     (1u << 20) /* bytes that are probed rather than looked up in a fresh map */
#define WEIGHT_READS   256      /* of the map, for unknown inputs that may be weights in a file */
#define MAP_EPOCHS     8        /* early epochs in which the map is read anew: models are loaded then */

struct work { /* on one operand */
    struct tt_call_scope *call;
    struct tt_recorder *recorder;
    struct tt_thread *thread;
    const char *role;
    enum tt_when when;
    const struct tt_tensor_view *view;
    struct tt_layout layout;
    const uint8_t *low; /* lowest address */
    uint64_t signature;
    enum tt_kept kept;
    uint16_t flags;     /* TT_OPERAND_* */
    struct tt_digest digest;
    struct tt_stats stats;
    const struct tt_content *content;
    int file;           /* index in recorder->maps, -1: none */
    uint64_t file_offset, file_id;
    bool tracked;       /* its repeats are looked for */
    bool unchanged;     /* it is one: not worth holding, what it belongs to is no single epoch's */
};

static uint64_t address_of(const struct work *work)
{
    return (uint64_t)(uintptr_t)work->low;
}

static void lose(const struct work *work, const char *what)
{
    char kind[TT_NAME_BYTES];
    tt_operand_kind(work->call, work->role, kind);
    tt_recorder_lose(work->recorder, what, kind, work->layout.bytes, false);
}

/* ---- readable, and where ---- */

static bool find_in_map(struct work *work, bool fresh, struct tt_found *found)
{
    struct tt_recorder *recorder = work->recorder;
    uint64_t epoch = tt_now_epoch(tt_call_now(work->call));
    pthread_mutex_lock(&recorder->lock);
    if (fresh || (epoch != recorder->maps_epoch && epoch < MAP_EPOCHS) || recorder->maps.unknown > UNKNOWN_MOST) {
        recorder->maps_epoch = epoch;
        tt_maps_read(&recorder->maps);
    }
    bool known = tt_maps_find(&recorder->maps, address_of(work), work->layout.span, found);
    recorder->maps.unknown += !known;
    pthread_mutex_unlock(&recorder->lock);
    return known;
}

/* Small ranges that the map does not know are probed, since reading it again costs more. Inputs of some
 * size may be weights in a file mapped since: for the first of these the map is read. */
static bool readable(struct work *work, struct tt_found *found)
{
    if (find_in_map(work, false, found) && found->readable)
        return true; /* "not readable" may be out of date: heaps grow into reserved pages */
    bool weight = work->when == TT_BEFORE && work->layout.bytes >= TT_REPEAT_LEAST;
    weight = weight && __atomic_fetch_add(&work->recorder->weight_reads, 1, __ATOMIC_RELAXED) < WEIGHT_READS;
    if (!weight && work->layout.span <= PROBE_MOST) {
        int status = tt_maps_probe(address_of(work), work->layout.span);
        *found = (struct tt_found){.readable = true, .file = -1};
        if (status == 0 || status == -EFAULT)
            return status == 0;
    }
    return find_in_map(work, true, found) && found->readable;
}

/* A copy, so that it can be used without the lock; false when it is gone. */
static struct tt_mapped_file mapped_file(struct work *work, int file)
{
    pthread_mutex_lock(&work->recorder->lock);
    struct tt_mapped_file copy = work->recorder->maps.files[file];
    pthread_mutex_unlock(&work->recorder->lock);
    return copy;
}

/* A private writable mapping holds what the engine made of it: only equal bytes are the file's. */
static void check_file(struct work *work, const struct tt_found *found)
{
    if (found->file < 0 || (found->writable && found->shared))
        return;
    struct tt_mapped_file file = mapped_file(work, found->file);
    if (tt_maps_compare(&file, found->offset, &work->layout, work->low, found->writable)) {
        work->file = found->file;
        work->file_offset = found->offset;
    }
}

/* ---- repeats ---- */

/* What is known of the operand is taken over when a sample says that it has not changed. */
static bool recall(struct work *work)
{
    struct tt_recorder *recorder = work->recorder;
    uint64_t expected_sample = 0, expected_chunk = 0;
    uint32_t chunk = 0;
    bool usable = false;
    pthread_mutex_lock(&recorder->lock);
    struct tt_repeat *repeat = tt_repeat_find(&recorder->repeats, address_of(work), work->signature);
    if (repeat && repeat->chunks && repeat->unchanged >= 2) {
        usable = true;
        expected_sample = repeat->sample;
        chunk = repeat->next_chunk++ % repeat->nchunks;
        expected_chunk = repeat->chunks[chunk];
        work->digest = repeat->digest;
        work->stats = repeat->stats;
        work->file = repeat->in_file ? repeat->file : -1;
        work->file_offset = repeat->file_offset;
        work->content = repeat->content;
    }
    pthread_mutex_unlock(&recorder->lock);
    if (usable && tt_repeat_sample(&work->layout, work->low) == expected_sample &&
        tt_repeat_chunk(&work->layout, work->low, chunk) == expected_chunk)
        return true;
    work->file = -1;
    work->content = NULL;
    return false;
}

static uint64_t *hash_chunks(const struct work *work, uint32_t count)
{
    uint64_t *chunks = malloc(count * sizeof *chunks);
    for (uint32_t i = 0; chunks && i < count; i++)
        chunks[i] = tt_repeat_chunk(&work->layout, work->low, i);
    return chunks;
}

/* After a full digest. A small operand of a file is remembered so that the file is compared once. */
static void remember(struct work *work, const struct tt_found *found)
{
    struct tt_recorder *recorder = work->recorder;
    bool in_file = found->file >= 0, known = false, want_chunks = false;
    pthread_mutex_lock(&recorder->lock);
    struct tt_repeat *repeat = tt_repeat_find(&recorder->repeats, address_of(work), work->signature);
    if (repeat && memcmp(&repeat->digest, &work->digest, sizeof work->digest) == 0) {
        known = true;
        repeat->unchanged++;
        want_chunks = !repeat->chunks && work->layout.bytes >= TT_REPEAT_LEAST;
        work->file = repeat->in_file ? repeat->file : -1;
        work->file_offset = repeat->file_offset;
        work->content = repeat->content;
    }
    pthread_mutex_unlock(&recorder->lock);
    if (!known && in_file)
        check_file(work, found);
    uint64_t sample = known ? 0 : tt_repeat_sample(&work->layout, work->low);
    uint32_t nchunks = want_chunks ? tt_repeat_nchunks(&work->layout) : 0;
    uint64_t *chunks = want_chunks ? hash_chunks(work, nchunks) : NULL;

    pthread_mutex_lock(&recorder->lock);
    repeat = tt_repeat_find(&recorder->repeats, address_of(work), work->signature);
    if (!repeat && !known)
        repeat = tt_repeat_add(&recorder->repeats, address_of(work), work->signature);
    if (repeat && !known) {
        uint64_t last_call = repeat->last_call;
        free(repeat->chunks);
        *repeat = (struct tt_repeat){.address = address_of(work), .signature = work->signature, .sample = sample,
                                     .digest = work->digest, .stats = work->stats, .in_file = work->file >= 0,
                                     .file = work->file, .file_offset = work->file_offset,
                                     .last_call = last_call};
    }
    if (repeat && chunks && !repeat->chunks) {
        repeat->chunks = chunks;
        repeat->nchunks = nchunks;
        chunks = NULL;
    }
    tt_epoch_weight(recorder, work->call, address_of(work), known || work->file >= 0, known);
    work->unchanged = known;
    pthread_mutex_unlock(&recorder->lock);
    free(chunks);
}

static void note_recurrence(struct work *work)
{
    pthread_mutex_lock(&work->recorder->lock);
    tt_epoch_weight(work->recorder, work->call, address_of(work), true, true);
    pthread_mutex_unlock(&work->recorder->lock);
    work->unchanged = true;
}

static void note_content(struct work *work)
{
    pthread_mutex_lock(&work->recorder->lock);
    struct tt_repeat *repeat = tt_repeat_find(&work->recorder->repeats, address_of(work), work->signature);
    if (repeat && memcmp(&repeat->digest, &work->digest, sizeof work->digest) == 0)
        repeat->content = work->content;
    pthread_mutex_unlock(&work->recorder->lock);
}

/* ---- what is kept ---- */

/* Id of the file's mapping record, written on first use. 0 when that failed. */
static uint64_t mapping_id(struct work *work)
{
    struct tt_recorder *recorder = work->recorder;
    pthread_mutex_lock(&recorder->lock);
    struct tt_mapped_file *file = &recorder->maps.files[work->file];
    if (!file->recorded) {
        uint64_t identity[4] = {file->identity.device, file->identity.inode, file->identity.size,
                                file->identity.mtime};
        struct tt_record *record = recorder->own_record;
        file->recorded = (uint64_t)work->file + 1;
        tt_record_start(record, TT_RECORD_MAPPING);
        tt_record_u64(record, TT_TAG_ID, file->recorded);
        tt_record_text(record, TT_TAG_PATH, file->path);
        tt_record_bytes(record, TT_TAG_IDENTITY, identity, sizeof identity);
        tt_recorder_append_own(recorder);
        tt_manifest_write(recorder, false);
    }
    uint64_t id = file->recorded;
    pthread_mutex_unlock(&recorder->lock);
    return id;
}

/* Of an epoch that keeps no data: perhaps it will. */
static void hold(const struct work *work, const struct tt_keep *keep)
{
    char kind[TT_NAME_BYTES];
    uint64_t now = tt_call_now(work->call);
    tt_operand_kind(work->call, work->role, kind);
    if (tt_now_form(now) != TT_FORM_HELD || work->unchanged ||
        !tt_ring_hold(work->recorder, tt_now_epoch(now), keep, kind))
        lose(work, tt_now_reason(now) == TT_REASON_BUDGET ? TT_LOSS_BUDGET : TT_LOSS_THINNED);
}

/* Of an epoch that keeps data: the next one like it is told. */
static void refuse(const struct work *work, const char *what)
{
    __atomic_fetch_add(&work->recorder->policy.refused, work->layout.bytes, __ATOMIC_RELAXED);
    lose(work, what);
}

static void keep_data(struct work *work)
{
    char name[TT_NAME_BYTES];
    const struct tt_content *known = work->content;
    enum tt_form form = tt_now_form(tt_call_now(work->call));
    struct tt_keep keep = {.layout = &work->layout, .low = work->low, .digest = work->digest,
                           .dtype = work->view->dtype, .name = name, .whole = form == TT_FORM_WHOLE,
                           .store = form == TT_FORM_DATA || form == TT_FORM_WHOLE};
    tt_operand_name(work->call, work->role, work->when, name);
    int status = known ? 0 : tt_content_keep(work->recorder, work->thread, &keep, &work->content);
    if (status == 0) {
        work->kept = work->content->truncated ? TT_KEPT_TRUNCATED : TT_KEPT_DATA;
        if (work->content->truncated)
            refuse(work, TT_LOSS_TRUNCATED);
        else if (!known && work->tracked)
            note_content(work);
    } else if (status == -ENOENT) {
        work->kept = TT_KEPT_HASH;
        hold(work, &keep);
    } else {
        work->kept = TT_KEPT_BUDGET;
        refuse(work, status == -EDQUOT ? TT_LOSS_BUDGET : TT_LOSS_DISK);
    }
}

/* Reads the operand; fills in everything but the record. */
static void examine(struct work *work)
{
    struct tt_call_scope *call = work->call;
    struct tt_found found = {.file = -1};
    work->kept = TT_KEPT_UNREADABLE;
    if (!readable(work, &found))
        return;
    work->kept = TT_KEPT_STATS;
    bool may_repeat = work->when == TT_BEFORE && (work->layout.bytes >= TT_REPEAT_LEAST || found.file >= 0);
    if (may_repeat) {
        work->tracked = true;
        work->signature = tt_repeat_signature(work->view->dtype, work->view->rank, work->view->shape,
                                              work->view->strides);
    }
    if (may_repeat && recall(work)) {
        work->flags |= TT_OPERAND_DIGEST | TT_OPERAND_SAMPLED;
        note_recurrence(work);
    } else {
        tt_stats_of(&work->layout, work->view->dtype, work->low, &work->stats);
        if (call->hash || may_repeat) {
            work->digest = tt_digest_lines(&work->layout, work->low, 0, work->layout.lines);
            work->flags |= TT_OPERAND_DIGEST;
        }
        if (may_repeat)
            remember(work, &found);
    }
    if (work->file >= 0 && (work->file_id = mapping_id(work)) != 0)
        work->kept = TT_KEPT_FILE;
    else if (call->data)
        keep_data(work);
    else if (work->flags & TT_OPERAND_DIGEST)
        work->kept = TT_KEPT_HASH;
}

/* ---- the record ---- */

static void put_stats(struct tt_record *record, const struct tt_stats *stats)
{
    struct {
        double values[4];
        uint64_t counts[4];
    } field = {{stats->min, stats->max, stats->mean, stats->rms},
               {stats->count, stats->nan, stats->inf, stats->zero}};
    tt_record_bytes(record, TT_TAG_STATS, &field, sizeof field);
}

static void append(struct work *work)
{
    struct tt_record *record = &work->thread->record;
    const struct tt_tensor_view *view = work->view;
    int rank = view->rank < 0 ? 0 : view->rank > TT_MAX_RANK ? TT_MAX_RANK : view->rank;
    uint64_t file[2] = {work->file_id, work->file_offset};
    if (work->stats.valid)
        work->flags |= TT_OPERAND_STATS;
    uint16_t kind[4] = {(uint16_t)work->when, (uint16_t)view->dtype, (uint16_t)work->kept, work->flags};
    tt_record_start(record, TT_RECORD_OPERAND);
    tt_record_u64(record, TT_TAG_CALL, work->call->id);
    tt_record_text(record, TT_TAG_ROLE, work->role);
    tt_record_bytes(record, TT_TAG_KIND, kind, sizeof kind);
    tt_record_bytes(record, TT_TAG_SHAPE, view->shape, 8 * (uint32_t)rank);
    tt_record_bytes(record, TT_TAG_STRIDES, view->strides, 8 * (uint32_t)rank);
    tt_record_u64(record, TT_TAG_ADDRESS, (uint64_t)(uintptr_t)view->data);
    if (work->flags & TT_OPERAND_DIGEST)
        tt_record_bytes(record, TT_TAG_DIGEST, &work->digest, sizeof work->digest);
    if (work->flags & TT_OPERAND_STATS)
        put_stats(record, &work->stats);
    if (work->kept == TT_KEPT_FILE)
        tt_record_bytes(record, TT_TAG_FILE, file, sizeof file);
    else if (work->content)
        tt_content_segments(record, work->content, work->layout.line_bytes);
    tt_recorder_append(work->recorder, work->thread);
}

static void process(struct work *work)
{
    const struct tt_tensor_view *view = work->view;
    work->file = -1;
    work->kept = TT_KEPT_UNREADABLE;
    bool sound = tt_layout_make(&work->layout, view->dtype, view->rank, view->shape, view->strides) == 0;
    work->low = (const uint8_t *)view->data + (sound ? work->layout.low : 0);
    if (!tt_selection_operand(&work->recorder->selection, work->role, tt_dtype_info(view->dtype)->name,
                              work->layout.bytes)) {
        work->kept = TT_KEPT_FILTERED;
        lose(work, TT_LOSS_FILTERED);
    } else if (sound && work->layout.bytes == 0) {
        work->kept = TT_KEPT_DATA; /* nothing is all there is */
    } else if (sound && view->data) {
        examine(work);
    }
    if (work->kept == TT_KEPT_UNREADABLE)
        lose(work, TT_LOSS_UNREADABLE);
    append(work);
    if (work->when == TT_AFTER && work->stats.valid && work->stats.nan)
        tt_epoch_alarm(work->recorder, work->thread);
}

void tt_call_operand(struct tt_call_scope *call, const char *role, enum tt_when when,
                     const struct tt_tensor_view *view)
{
    int saved;
    if (!call->recorder)
        return;
    if (!call->begun)
        tt_call_begin(call);
    if (!call->recorder || !tt_enter(call->recorder, &saved))
        return;
    struct work work = {.call = call, .recorder = call->recorder, .role = role, .when = when, .view = view};
    work.thread = tt_recorder_thread(call->recorder);
    if (work.thread)
        process(&work);
    tt_leave(call->recorder, saved);
}
