/* SPDX-License-Identifier: Apache-2.0
 *
 * What a capture lacks and why, in words, and the summary as JSON.
 */
#include "commands/summary.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

/* What it means that an operand was kept in this way; NULL: nothing is missing. */
static const char *const meanings[TT_KEPT_COUNT] = {
    [TT_KEPT_HASH] = "digest and statistics only",
    [TT_KEPT_STATS] = "statistics only",
    [TT_KEPT_FILTERED] = "left out by the selection",
    [TT_KEPT_TRUNCATED] = "kept in part",
    [TT_KEPT_UNREADABLE] = "memory could not be read",
    [TT_KEPT_BUDGET] = "over the budget (raise it with --limit)",
};

static void add(struct tt_gaps *gaps, char *line)
{
    gaps->lines = tt_grow(gaps->lines, gaps->count + 1, sizeof *gaps->lines);
    gaps->lines[gaps->count++] = line;
}

static void add_loss(struct tt_gaps *gaps, const struct tt_loss *loss)
{
    struct tt_string line = {0};
    tt_string_add(&line, "%s", loss->what);
    if (loss->count)
        tt_string_add(&line, ", %s times", tt_count(loss->count).text);
    if (loss->bytes)
        tt_string_add(&line, ", %s", tt_bytes(loss->bytes).text);
    if (loss->detail && *loss->detail)
        tt_string_add(&line, ": %s", loss->detail);
    add(gaps, line.text);
}

struct tt_gaps tt_summary_gaps(const struct tt_capture *capture, const struct tt_summary *summary)
{
    struct tt_gaps gaps = {0};
    uint64_t unfinished = 0;
    for (int kept = 1; kept < TT_KEPT_COUNT; kept++)
        if (meanings[kept] && summary->kept[kept])
            add(&gaps, tt_format("%s of %s, %s: %s", tt_count(summary->kept[kept]).text,
                                 tt_plural(summary->operands, "operand").text,
                                 tt_bytes(summary->kept_bytes[kept]).text, meanings[kept]));
    for (size_t i = 0; i < tt_capture_nlosses(capture); i++)
        add_loss(&gaps, tt_capture_loss(capture, i));
    const cJSON *problem;
    cJSON_ArrayForEach (problem, cJSON_GetObjectItemCaseSensitive(tt_capture_manifest(capture), "problems")) {
        if (cJSON_IsString(problem))
            add(&gaps, tt_strdup(problem->valuestring));
    }
    for (size_t i = 0; i < summary->nroutines; i++)
        unfinished += summary->routines[i].unfinished;
    if (unfinished)
        add(&gaps,
            tt_format("%s without an end: the process stopped inside", tt_plural(unfinished, "call").text));
    if (!tt_capture_finished(capture))
        add(&gaps, tt_strdup("the capture was not closed: the process was killed, or still runs"));
    return gaps;
}

void tt_gaps_free(struct tt_gaps *gaps)
{
    for (size_t i = 0; i < gaps->count; i++)
        free(gaps->lines[i]);
    free(gaps->lines);
    *gaps = (struct tt_gaps){0};
}

static cJSON *routines_json(const struct tt_summary *summary)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < summary->nroutines; i++) {
        const struct tt_routine_summary *routine = &summary->routines[i];
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "tap", routine->tap);
        cJSON_AddStringToObject(entry, "op", routine->op);
        cJSON_AddStringToObject(entry, "routine", routine->routine);
        tt_json_add_u64(entry, "calls", routine->calls);
        tt_json_add_u64(entry, "operands", routine->operands);
        tt_json_add_u64(entry, "bytes", routine->bytes);
        tt_json_add_u64(entry, "first_epoch", routine->first_epoch);
        tt_json_add_u64(entry, "last_epoch", routine->last_epoch);
        cJSON_AddItemToArray(list, entry);
    }
    return list;
}

static cJSON *losses_json(const struct tt_capture *capture)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < tt_capture_nlosses(capture); i++) {
        const struct tt_loss *loss = tt_capture_loss(capture, i);
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "what", loss->what);
        cJSON_AddStringToObject(entry, "detail", loss->detail ? loss->detail : "");
        tt_json_add_u64(entry, "count", loss->count);
        tt_json_add_u64(entry, "bytes", loss->bytes);
        cJSON_AddItemToArray(list, entry);
    }
    return list;
}

static cJSON *kept_json(const struct tt_summary *summary)
{
    cJSON *object = cJSON_CreateObject();
    for (int kept = 1; kept < TT_KEPT_COUNT; kept++) {
        if (!summary->kept[kept])
            continue;
        cJSON *entry = cJSON_AddObjectToObject(object, tt_kept_name((enum tt_kept)kept));
        tt_json_add_u64(entry, "operands", summary->kept[kept]);
        tt_json_add_u64(entry, "bytes", summary->kept_bytes[kept]);
    }
    return object;
}

cJSON *tt_summary_json(const struct tt_capture *capture, const struct tt_summary *summary)
{
    struct tt_gaps gaps = tt_summary_gaps(capture, summary);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "capture", tt_capture_path(capture));
    cJSON_AddBoolToObject(object, "finished", tt_capture_finished(capture));
    cJSON_AddStringToObject(object, "path", tt_manifest_text(capture, "path", "unaltered"));
    tt_json_add_u64(object, "calls", summary->calls);
    tt_json_add_u64(object, "epochs", summary->epochs);
    tt_json_add_u64(object, "threads", summary->threads);
    tt_json_add_u64(object, "operands", summary->operands);
    tt_json_add_u64(object, "nonfinite_operands", summary->nonfinite);
    tt_json_add_number(object, "seconds", summary->seconds);
    tt_json_add_u64(object, "disk_bytes", summary->disk_bytes);
    tt_json_add_u64(object, "repeats", summary->repeats);
    tt_json_add_u64(object, "repeat_bytes", summary->repeat_bytes);
    tt_json_add_u64(object, "repeats_by_sample", summary->sampled);
    cJSON_AddItemToObject(object, "kept", kept_json(summary));
    cJSON_AddItemToObject(object, "routines", routines_json(summary));
    cJSON_AddItemToObject(object, "losses", losses_json(capture));
    cJSON *lines = cJSON_AddArrayToObject(object, "not_captured");
    for (size_t i = 0; i < gaps.count; i++)
        cJSON_AddItemToArray(lines, cJSON_CreateString(gaps.lines[i]));
    tt_gaps_free(&gaps);
    return object;
}
