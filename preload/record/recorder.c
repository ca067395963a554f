/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of a recorder: open, threads, fork, close (recorder.h).
 *
 * The struct itself is never freed, only emptied: other threads of an exiting engine may still be on
 * their way into it. It stays on the registry and answers "dead".
 */
#include "record/recorder.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define OWN_RESERVE    8192 /* bytes of the recorder's block kept for the last losses and the end */
#define DRAIN_SPINS    2000 /* of 0.5 ms: how long closing waits for other threads */

__thread struct tt_local tt_local __attribute__((tls_model("initial-exec")));

static struct {
    pthread_mutex_t lock;
    struct tt_recorder *recorders;
    uint64_t serial;
    pthread_once_t once;
    pthread_key_t key;
    bool has_key;
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT};

uint64_t tt_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int state_of(const struct tt_recorder *recorder)
{
    return __atomic_load_n(&recorder->state, __ATOMIC_ACQUIRE);
}

bool tt_enter(struct tt_recorder *recorder, int *saved_errno)
{
    *saved_errno = errno;
    if (!recorder || tt_local.busy)
        return false;
    tt_local.busy = true;
    __atomic_fetch_add(&recorder->inside, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&recorder->state, __ATOMIC_SEQ_CST) != TT_RECORDER_DEAD)
        return true;
    tt_leave(recorder, *saved_errno);
    return false;
}

void tt_leave(struct tt_recorder *recorder, int saved_errno)
{
    __atomic_fetch_sub(&recorder->inside, 1, __ATOMIC_SEQ_CST);
    tt_local.busy = false;
    errno = saved_errno;
}

/* ---- records ---- */

void tt_recorder_append_own(struct tt_recorder *recorder)
{
    struct tt_record *record = recorder->own_record;
    bool last = record->type == TT_RECORD_END;
    if (!last && !tt_log_room(&recorder->own, record->length + OWN_RESERVE)) {
        struct tt_stream next = {.thread = recorder->own.thread};
        if (tt_log_claim(&recorder->log, &next) == 0) {
            tt_log_leave(&recorder->own);
            recorder->own = next;
        }
    }
    if (tt_log_room(&recorder->own, record->length))
        tt_log_append(&recorder->log, &recorder->own, record,
                      __atomic_add_fetch(&recorder->sequence, 1, __ATOMIC_RELAXED));
}

static void append_loss(struct tt_recorder *recorder, struct tt_loss_count *loss)
{
    if (!recorder->created || loss->written == loss->count)
        return;
    struct tt_record *record = recorder->own_record;
    tt_record_start(record, TT_RECORD_LOSS);
    tt_record_text(record, TT_TAG_WHAT, loss->what);
    tt_record_text(record, TT_TAG_DETAIL, loss->detail);
    tt_record_u64(record, TT_TAG_COUNT, loss->count);
    tt_record_u64(record, TT_TAG_BYTES, loss->bytes);
    loss->written = loss->count;
    tt_recorder_append_own(recorder);
}

void tt_recorder_lose(struct tt_recorder *recorder, const char *what, const char *detail, uint64_t bytes,
                      bool locked)
{
    if (!locked)
        pthread_mutex_lock(&recorder->lock);
    struct tt_loss_count *due = tt_losses_add(&recorder->losses, what, detail, 1, bytes);
    if (due)
        append_loss(recorder, due);
    if (!locked)
        pthread_mutex_unlock(&recorder->lock);
}

void tt_recorder_lose_all(struct tt_recorder *recorder, struct tt_losses *losses)
{
    pthread_mutex_lock(&recorder->lock);
    for (uint32_t i = 0; i < losses->count; i++) {
        const struct tt_loss_count *loss = &losses->entries[i];
        struct tt_loss_count *due = tt_losses_add(&recorder->losses, loss->what, loss->detail, loss->count, loss->bytes);
        if (due)
            append_loss(recorder, due);
    }
    losses->count = 0;
    pthread_mutex_unlock(&recorder->lock);
}

uint64_t tt_recorder_append(struct tt_recorder *recorder, struct tt_thread *thread)
{
    uint64_t sequence = __atomic_add_fetch(&recorder->sequence, 1, __ATOMIC_RELAXED);
    int status = tt_log_append(&recorder->log, &thread->stream, &thread->record, sequence);
    if (status == 0)
        return sequence;
    char detail[96];
    snprintf(detail, sizeof detail, "event log: %s", strerrordesc_np(-status));
    tt_recorder_lose(recorder, status == -EDQUOT ? TT_LOSS_LOG : TT_LOSS_DISK, detail, thread->record.length,
                     false);
    return 0;
}

/* ---- threads ---- */

static void release_threads(void *unused)
{
    (void)unused;
    uint64_t tid = (uint64_t)syscall(SYS_gettid);
    pthread_mutex_lock(&registry.lock);
    for (struct tt_recorder *recorder = registry.recorders; recorder; recorder = recorder->next) {
        pthread_mutex_lock(&recorder->lock);
        for (struct tt_thread *thread = recorder->threads; thread; thread = thread->next)
            if (thread->tid == tid)
                thread->taken = false;
        pthread_mutex_unlock(&recorder->lock);
    }
    pthread_mutex_unlock(&registry.lock);
    tt_local.serial = 0;
}

static void append_thread(struct tt_recorder *recorder, struct tt_thread *thread)
{
    char name[17] = "";
    prctl(PR_GET_NAME, name);
    struct tt_record *record = recorder->own_record;
    tt_record_start(record, TT_RECORD_THREAD);
    tt_record_u64(record, TT_TAG_ID, thread->stream.thread);
    tt_record_u64(record, TT_TAG_COUNT, thread->tid);
    tt_record_text(record, TT_TAG_NAME, name);
    tt_recorder_append_own(recorder);
}

/* Lock held: this thread's own state, one that an ended thread left, or a new one. */
static struct tt_thread *take_thread(struct tt_recorder *recorder)
{
    uint64_t tid = (uint64_t)syscall(SYS_gettid);
    struct tt_thread *thread, *idle = NULL;
    for (thread = recorder->threads; thread; thread = thread->next) {
        if (thread->taken && thread->tid == tid)
            return thread;
        idle = thread->taken ? idle : thread;
    }
    thread = idle ? idle : calloc(1, sizeof *thread);
    if (!thread)
        return NULL;
    if (!idle) {
        thread->next = recorder->threads;
        recorder->threads = thread;
    }
    thread->taken = true;
    thread->tid = tid;
    thread->stream.thread = ++recorder->nthreads;
    append_thread(recorder, thread);
    return thread;
}

struct tt_thread *tt_recorder_thread(struct tt_recorder *recorder)
{
    if (tt_local.serial == recorder->serial)
        return tt_local.thread;
    pthread_mutex_lock(&recorder->lock);
    struct tt_thread *thread = take_thread(recorder);
    pthread_mutex_unlock(&recorder->lock);
    if (thread) {
        tt_local.serial = recorder->serial;
        tt_local.thread = thread;
        if (registry.has_key)
            pthread_setspecific(registry.key, registry.recorders);
    }
    return thread;
}

/* ---- first use ---- */

bool tt_recorder_ready(struct tt_recorder *recorder)
{
    if (state_of(recorder) == TT_RECORDER_READY)
        return true;
    pthread_mutex_lock(&recorder->lock);
    if (state_of(recorder) == TT_RECORDER_IDLE) {
        int idle = TT_RECORDER_IDLE; /* closing may have declared it dead meanwhile: that stands */
        recorder->failure = -tt_recorder_create(recorder);
        __atomic_compare_exchange_n(&recorder->state, &idle,
                                    recorder->failure ? TT_RECORDER_DEAD : TT_RECORDER_READY, false,
                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    pthread_mutex_unlock(&recorder->lock);
    return state_of(recorder) == TT_RECORDER_READY;
}

/* ---- fork ---- */

/* All locks are taken, so that the child finds no list in the middle of a change by a thread it lacks. */
static void before_fork(void)
{
    pthread_mutex_lock(&registry.lock);
    for (struct tt_recorder *recorder = registry.recorders; recorder; recorder = recorder->next) {
        pthread_mutex_lock(&recorder->ring.lock);
        pthread_mutex_lock(&recorder->lock);
        if (recorder->created) {
            pthread_mutex_lock(&recorder->log.lock);
            pthread_mutex_lock(&recorder->shards.lock);
        }
    }
}

static void after_fork_parent(void)
{
    for (struct tt_recorder *recorder = registry.recorders; recorder; recorder = recorder->next) {
        if (recorder->created) {
            pthread_mutex_unlock(&recorder->shards.lock);
            pthread_mutex_unlock(&recorder->log.lock);
        }
        pthread_mutex_unlock(&recorder->lock);
        pthread_mutex_unlock(&recorder->ring.lock);
    }
    pthread_mutex_unlock(&registry.lock);
}

/* Lets go of everything that belongs to one capture; files are not touched. */
static void drop_capture(struct tt_recorder *recorder)
{
    while (recorder->threads) {
        struct tt_thread *thread = recorder->threads;
        recorder->threads = thread->next;
        tt_log_leave(&thread->stream);
        free(thread);
    }
    tt_log_leave(&recorder->own);
    tt_ring_free(&recorder->ring);
    tt_contents_free(&recorder->contents);
    tt_repeats_free(&recorder->repeats);
    tt_maps_free(&recorder->maps);
    tt_losses_free(&recorder->losses);
    free(recorder->own_record);
    free(recorder->directory);
    recorder->own_record = NULL;
    recorder->directory = NULL;
    recorder->created = false;
    recorder->nthreads = 0;
}

static void start_policy(struct tt_recorder *recorder)
{
    recorder->policy = (struct tt_policy){.everything = recorder->options.keep_everything,
                                          .data = recorder->options.level >= TT_LEVEL_DATA,
                                          .passes = recorder->options.passes};
}

/* The parent's capture stays the parent's: the child starts empty, one of its own on first use. */
static void after_fork_child(void)
{
    pthread_mutex_init(&registry.lock, NULL);
    for (struct tt_recorder *recorder = registry.recorders; recorder; recorder = recorder->next) {
        tt_ring_init_lock(&recorder->ring);
        pthread_mutex_init(&recorder->lock, NULL);
        recorder->serial = ++registry.serial;
        recorder->inside = 0;
        if (recorder->created) {
            tt_shards_forget(&recorder->shards);
            free(recorder->log.path);
            recorder->log.path = NULL;
        }
        drop_capture(recorder);
        recorder->sequence = recorder->next_call = 0;
        recorder->alarmed = false;
        start_policy(recorder);
        bool again = state_of(recorder) == TT_RECORDER_READY && !recorder->options.directory;
        if (state_of(recorder) == TT_RECORDER_READY)
            recorder->state = again ? TT_RECORDER_IDLE : TT_RECORDER_DEAD;
    }
    tt_local = (struct tt_local){0};
}

static void prepare_process(void)
{
    registry.has_key = pthread_key_create(&registry.key, release_threads) == 0;
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

/* Early: a fork that is under way when handlers are registered does not run them, and its child would inherit locks
 * that another thread holds while it opens the first capture. */
__attribute__((constructor)) static void prepare_early(void)
{
    pthread_once(&registry.once, prepare_process);
}

/* ---- open and close ---- */

static char *copy_text(const char *text, int *status)
{
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy)
        *status = -ENOMEM;
    return copy;
}

static int copy_options(struct tt_recorder_options *to, const struct tt_recorder_options *from)
{
    int status = 0;
    *to = *from;
    to->parent = copy_text(from->parent ? from->parent : ".", &status);
    to->directory = copy_text(from->directory, &status);
    to->program = copy_text(from->program ? from->program : program_invocation_short_name, &status);
    to->select = copy_text(from->select, &status);
    to->passes = copy_text(from->passes && *from->passes ? from->passes : NULL, &status);
    to->config_json = copy_text(from->config_json, &status);
    return status;
}

static void free_options(struct tt_recorder_options *options)
{
    free((char *)options->parent);
    free((char *)options->directory);
    free((char *)options->program);
    free((char *)options->select);
    free((char *)options->passes);
    free((char *)options->config_json);
    memset(options, 0, sizeof *options);
}

int tt_recorder_open(struct tt_recorder **out, const struct tt_recorder_options *options)
{
    int saved = errno;
    struct tt_recorder *recorder = calloc(1, sizeof *recorder);
    *out = NULL;
    if (!recorder)
        return -ENOMEM;
    int status = copy_options(&recorder->options, options);
    if (status) {
        free_options(&recorder->options);
        free(recorder);
        return status;
    }
    pthread_once(&registry.once, prepare_process);
    pthread_mutex_init(&recorder->lock, NULL);
    tt_selection_parse(&recorder->selection, options->select); /* a failure is reported on creation */
    tt_ring_init(&recorder->ring);
    start_policy(recorder);
    recorder->state = options->level == TT_LEVEL_OFF ? TT_RECORDER_DEAD : TT_RECORDER_IDLE;
    pthread_mutex_lock(&registry.lock);
    recorder->serial = ++registry.serial;
    recorder->next = registry.recorders;
    registry.recorders = recorder;
    pthread_mutex_unlock(&registry.lock);
    *out = recorder;
    errno = saved;
    return 0;
}

/* True when no other thread is in our functions any more. */
static bool drain(struct tt_recorder *recorder)
{
    const struct timespec pause = {.tv_nsec = 500000};
    for (int i = 0; i < DRAIN_SPINS && __atomic_load_n(&recorder->inside, __ATOMIC_SEQ_CST); i++)
        nanosleep(&pause, NULL);
    return __atomic_load_n(&recorder->inside, __ATOMIC_SEQ_CST) == 0;
}

static void finish(struct tt_recorder *recorder)
{
    for (uint32_t i = 0; i < recorder->losses.count; i++)
        append_loss(recorder, &recorder->losses.entries[i]);
    uint32_t shards = recorder->shards.created;
    tt_shards_close(&recorder->shards);
    tt_record_start(recorder->own_record, TT_RECORD_END);
    tt_record_u64(recorder->own_record, TT_TAG_TIME, tt_clock());
    tt_record_u64(recorder->own_record, TT_TAG_COUNT, recorder->next_call);
    tt_record_u64(recorder->own_record, TT_TAG_SHARDS, shards);
    tt_recorder_append_own(recorder);
    tt_manifest_write(recorder, true);
}

static void free_manifest(struct tt_recorder *recorder)
{
    while (recorder->manifest) {
        struct tt_manifest_entry *entry = recorder->manifest;
        recorder->manifest = entry->next;
        free(entry->key);
        free(entry->json);
        free(entry);
    }
    for (uint32_t i = 0; i < recorder->npending; i++)
        free(recorder->pending[i].text);
    recorder->npending = 0;
}

void tt_recorder_close(struct tt_recorder *recorder)
{
    if (!recorder)
        return;
    int saved = errno;
    bool busy = tt_local.busy;
    tt_local.busy = true;
    __atomic_store_n(&recorder->state, TT_RECORDER_DEAD, __ATOMIC_SEQ_CST);
    bool alone = drain(recorder);
    struct tt_thread *closer = alone && recorder->created ? tt_recorder_thread(recorder) : NULL;
    if (closer)
        tt_epoch_finish(recorder, closer);
    pthread_mutex_lock(&recorder->lock);
    if (recorder->created && recorder->own_record) {
        finish(recorder);
        recorder->created = false;
        if (alone) { /* else somebody still writes to a block: leave the mappings be */
            for (struct tt_thread *thread = recorder->threads; thread; thread = thread->next)
                tt_log_leave(&thread->stream);
            tt_log_leave(&recorder->own);
            tt_log_close(&recorder->log);
        }
    }
    if (alone) {
        drop_capture(recorder);
        free_manifest(recorder);
        tt_selection_free(&recorder->selection);
        recorder->policy.passes = NULL;
        free_options(&recorder->options);
    }
    pthread_mutex_unlock(&recorder->lock);
    tt_local.busy = busy;
    errno = saved;
}

const char *tt_recorder_directory(const struct tt_recorder *recorder)
{
    return recorder && state_of(recorder) == TT_RECORDER_READY ? recorder->directory : NULL;
}

int tt_recorder_failure(const struct tt_recorder *recorder)
{
    return recorder ? -recorder->failure : 0;
}

uint64_t tt_recorder_nlosses(struct tt_recorder *recorder)
{
    uint64_t count = 0;
    pthread_mutex_lock(&recorder->lock);
    for (uint32_t i = 0; i < recorder->losses.count; i++)
        count += recorder->losses.entries[i].count;
    pthread_mutex_unlock(&recorder->lock);
    return count;
}
