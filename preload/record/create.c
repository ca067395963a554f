/* SPDX-License-Identifier: Apache-2.0
 *
 * Making the capture on first use: directory, log, limits, first records, manifest.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "record/files.h"
#include "record/recorder.h"

#define DEFAULT_LIMIT (2ull << 30) /* bytes of tensor data */
#define LEAST_LOG     (256ull << 20)
#define RING_MOST     (256ull << 20) /* bytes of memory for the last two epochs */
#define RING_PART     8              /* of the limit on tensor data */

static uint64_t choose_limit(const struct tt_recorder *recorder)
{
    struct statvfs space;
    if (recorder->options.limit)
        return recorder->options.limit;
    if (statvfs(recorder->directory, &space) != 0)
        return DEFAULT_LIMIT;
    uint64_t available = (uint64_t)space.f_bavail * space.f_frsize;
    if (recorder->options.keep_everything)
        return available / 2;
    return available / 20 < DEFAULT_LIMIT ? available / 20 : DEFAULT_LIMIT;
}

static void append_process(struct tt_recorder *recorder)
{
    uint64_t pids[2] = {(uint64_t)getpid(), (uint64_t)getppid()};
    struct tt_record *record = recorder->own_record;
    tt_record_start(record, TT_RECORD_PROCESS);
    tt_record_bytes(record, TT_TAG_PID, pids, sizeof pids);
    tt_record_text(record, TT_TAG_NAME, recorder->options.program);
    tt_record_u64(record, TT_TAG_TIME, tt_clock());
    tt_recorder_append_own(recorder);
}

static void append_pending_marks(struct tt_recorder *recorder)
{
    for (uint32_t i = 0; i < recorder->npending; i++) {
        struct tt_pending_mark *mark = &recorder->pending[i];
        struct tt_record *record = recorder->own_record;
        tt_record_start(record, TT_RECORD_MARK);
        tt_record_u64(record, TT_TAG_TIME, mark->time);
        tt_record_u64(record, TT_TAG_EPOCH, mark->epoch);
        tt_record_text(record, TT_TAG_TEXT, mark->text);
        tt_recorder_append_own(recorder);
        free(mark->text);
    }
    recorder->npending = 0;
}

static void report_selection(struct tt_recorder *recorder)
{
    for (int i = 0; i < recorder->selection.nterms; i++)
        if (recorder->selection.terms[i].key == TT_SELECT_UNKNOWN)
            tt_recorder_lose(recorder, TT_LOSS_SELECTION, recorder->selection.terms[i].name, 0, true);
    if (recorder->options.select && *recorder->options.select && !recorder->selection.nterms)
        tt_recorder_lose(recorder, TT_LOSS_SELECTION, recorder->options.select, 0, true);
}

int tt_recorder_create(struct tt_recorder *recorder)
{
    const struct tt_recorder_options *options = &recorder->options;
    int status = tt_directory_create(&recorder->directory, options->parent, options->directory, options->program);
    if (status)
        return status;
    recorder->started = (uint64_t)time(NULL);
    recorder->own_record = calloc(1, sizeof *recorder->own_record);
    uint64_t limit = choose_limit(recorder);
    tt_shards_init(&recorder->shards, recorder->directory, limit);
    status = recorder->own_record ? 0 : -ENOMEM;
    if (status == 0)
        status = tt_log_create(&recorder->log, recorder->directory, limit > LEAST_LOG ? limit : LEAST_LOG);
    if (status == 0)
        status = tt_log_claim(&recorder->log, &recorder->own);
    if (status) {
        if (recorder->log.path)
            unlink(recorder->log.path);
        rmdir(recorder->directory);
        return status;
    }
    if (recorder->policy.data && !recorder->policy.everything && !recorder->policy.passes)
        recorder->ring.room = limit / RING_PART < RING_MOST ? limit / RING_PART : RING_MOST;
    recorder->created = true;
    append_process(recorder);
    append_pending_marks(recorder);
    report_selection(recorder);
    tt_maps_read(&recorder->maps);
    tt_manifest_write(recorder, false);
    return 0;
}
