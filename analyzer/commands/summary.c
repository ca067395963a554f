/* SPDX-License-Identifier: Apache-2.0
 *
 * One walk over the calls of a capture fills the summary; nothing reads tensor data.
 */
#include "commands/summary.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/json.h"

static const char *const kept_names[TT_KEPT_COUNT] = {
    [TT_KEPT_DATA] = "data",
    [TT_KEPT_HASH] = "hash",
    [TT_KEPT_STATS] = "stats",
    [TT_KEPT_FILE] = "file",
    [TT_KEPT_FILTERED] = "filtered",
    [TT_KEPT_TRUNCATED] = "truncated",
    [TT_KEPT_UNREADABLE] = "unreadable",
    [TT_KEPT_BUDGET] = "budget",
};

const char *tt_kept_name(enum tt_kept kept)
{
    return (unsigned)kept < TT_KEPT_COUNT && kept_names[kept] ? kept_names[kept] : "unknown";
}

uint64_t tt_operand_bytes(const struct tt_operand *operand)
{
    const struct tt_dtype_info *type = tt_dtype_info(operand->dtype);
    return (tt_operand_count(operand) + type->block - 1) / type->block * type->bytes;
}

/* Digests seen so far, open addressing; a digest is its own hash. */
struct seen {
    struct tt_digest *slots;
    uint8_t *used;
    size_t capacity, count; /* capacity: a power of two */
};

static bool insert(struct seen *seen, const struct tt_digest *digest)
{
    size_t at;
    memcpy(&at, digest->bytes, sizeof at);
    for (at &= seen->capacity - 1; seen->used[at]; at = (at + 1) & (seen->capacity - 1))
        if (memcmp(&seen->slots[at], digest, sizeof *digest) == 0)
            return false;
    seen->slots[at] = *digest;
    seen->used[at] = 1;
    seen->count++;
    return true;
}

static void enlarge(struct seen *seen)
{
    struct seen larger = {.capacity = seen->capacity ? 2 * seen->capacity : 256};
    larger.slots = tt_alloc_array(larger.capacity, sizeof *larger.slots);
    larger.used = tt_alloc_array(larger.capacity, 1);
    for (size_t i = 0; i < seen->capacity; i++)
        if (seen->used[i])
            insert(&larger, &seen->slots[i]);
    free(seen->slots);
    free(seen->used);
    *seen = larger;
}

/* True the first time. */
static bool remember(struct seen *seen, const struct tt_digest *digest)
{
    if (2 * seen->count >= seen->capacity)
        enlarge(seen);
    return insert(seen, digest);
}

static struct tt_routine_summary *routine_of(struct tt_summary *summary, const struct tt_recorded_call *call)
{
    for (size_t i = 0; i < summary->nroutines; i++) {
        struct tt_routine_summary *routine = &summary->routines[i];
        if (strcmp(routine->routine, call->routine) == 0 && strcmp(routine->op, call->op) == 0 &&
            strcmp(routine->tap, call->tap) == 0)
            return routine;
    }
    summary->routines = tt_grow(summary->routines, summary->nroutines + 1, sizeof *summary->routines);
    struct tt_routine_summary *added = &summary->routines[summary->nroutines++];
    *added = (struct tt_routine_summary){
        .tap = call->tap, .op = call->op, .routine = call->routine, .first_epoch = call->epoch};
    return added;
}

static void add_operand(struct tt_summary *summary, struct seen *seen, const struct tt_operand *operand)
{
    uint64_t bytes = tt_operand_bytes(operand);
    unsigned kept = (unsigned)operand->kept < TT_KEPT_COUNT ? operand->kept : 0;
    summary->operands++;
    summary->kept[kept]++;
    summary->kept_bytes[kept] += bytes;
    summary->sampled += operand->repeat_sampled;
    summary->nonfinite += operand->stats.valid && operand->stats.nan + operand->stats.inf > 0;
    if (operand->kept == TT_KEPT_DATA && operand->has_digest && !remember(seen, &operand->digest)) {
        summary->repeats++;
        summary->repeat_bytes += bytes;
    }
}

static void add_call(struct tt_summary *summary, struct seen *seen, const struct tt_recorded_call *call)
{
    struct tt_routine_summary *routine = routine_of(summary, call);
    summary->calls++;
    routine->calls++;
    routine->operands += call->noperands;
    routine->unfinished += call->seq_end == 0;
    if (call->epoch < routine->first_epoch)
        routine->first_epoch = call->epoch;
    if (call->epoch > routine->last_epoch)
        routine->last_epoch = call->epoch;
    for (uint32_t i = 0; i < call->noperands; i++) {
        routine->bytes += tt_operand_bytes(call->operands[i]);
        add_operand(summary, seen, call->operands[i]);
    }
}

static uint64_t bytes_on_disk(const char *path)
{
    uint64_t bytes = 0;
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        struct stat info;
        if (fstatat(dirfd(directory), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(info.st_mode))
            bytes += (uint64_t)info.st_size;
    }
    if (directory)
        closedir(directory);
    return bytes;
}

/* Epochs and threads are few and come in order: a short list of those seen is enough. */
static uint64_t count_distinct(const struct tt_capture *capture,
                               uint64_t (*value)(const struct tt_recorded_call *))
{
    uint64_t *values = NULL, count = 0;
    for (size_t i = 0; i < tt_capture_ncalls(capture); i++) {
        uint64_t one = value(tt_capture_call(capture, i)), k = count;
        while (k > 0 && values[k - 1] != one)
            k--;
        if (k > 0)
            continue;
        values = tt_grow(values, count + 1, sizeof *values);
        values[count++] = one;
    }
    free(values);
    return count;
}

static uint64_t epoch_of(const struct tt_recorded_call *call)
{
    return call->epoch;
}

static uint64_t thread_of(const struct tt_recorded_call *call)
{
    return call->thread;
}

struct tt_summary tt_summary_of(const struct tt_capture *capture)
{
    struct tt_summary summary = {0};
    struct seen seen = {0};
    uint64_t first = UINT64_MAX, last = 0;
    for (size_t i = 0; i < tt_capture_ncalls(capture); i++) {
        const struct tt_recorded_call *call = tt_capture_call(capture, i);
        uint64_t end = call->time_end > call->time_begin ? call->time_end : call->time_begin;
        add_call(&summary, &seen, call);
        first = call->time_begin < first ? call->time_begin : first;
        last = end > last ? end : last;
    }
    summary.epochs = count_distinct(capture, epoch_of);
    summary.threads = count_distinct(capture, thread_of);
    summary.seconds = summary.calls ? 1e-9 * (double)(last - first) : 0;
    summary.disk_bytes = bytes_on_disk(tt_capture_path(capture));
    free(seen.slots);
    free(seen.used);
    return summary;
}

void tt_summary_free(struct tt_summary *summary)
{
    free(summary->routines);
    *summary = (struct tt_summary){0};
}
