/* SPDX-License-Identifier: Apache-2.0
 *
 * Which epochs kept their data, in words and as JSON (epoch_forms.h).
 */
#include "commands/epoch_forms.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

#define LINES_MOST 16

/* What the recorder's reasons mean (docs/capture-format.md). */
static const struct {
    const char *reason, *meaning;
} meanings[] = {
    {"everything", "everything is kept"},
    {"passes", "as --passes says"},
    {"level", "the level keeps no data"},
    {"first", "first of their shape"},
    {"sparse", "one of ever fewer of their shape"},
    {"thinned", "thinned: others of their shape are kept"},
    {"budget", "no room for all of it in the budget (raise it with --limit)"},
    {"change", "last before another shape"},
    {"nan", "around the first NaN"},
    {"end", "last before the end"},
};

static const char *meaning_of(const char *reason)
{
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (strcmp(meanings[i].reason, reason) == 0)
            return meanings[i].meaning;
    return reason;
}

/* One past the last epoch of the run that begins at `at`. Texts are interned, so equal ones are the same. */
static size_t end_of_run(const struct tt_capture *capture, size_t at)
{
    const struct tt_epoch *first = tt_capture_epoch(capture, at), *next;
    size_t end = at + 1;
    while ((next = tt_capture_epoch(capture, end)) && next->form == first->form && next->reason == first->reason &&
           next->number == first->number + (end - at))
        end++;
    return end;
}

void tt_epoch_forms_print(const struct tt_term *term, const struct tt_capture *capture)
{
    size_t count = tt_capture_nepochs(capture), lines = 0;
    for (size_t at = 0, end; at < count; at = end, lines++) {
        const struct tt_epoch *epoch = tt_capture_epoch(capture, at);
        char range[48];
        end = end_of_run(capture, at);
        if (lines == LINES_MOST) {
            tt_fact(term, "", "and %zu more", count - at);
            return;
        }
        if (end - at > 1)
            snprintf(range, sizeof range, "%" PRIu64 "-%" PRIu64, epoch->number, epoch->number + (end - at) - 1);
        else
            snprintf(range, sizeof range, "%" PRIu64, epoch->number);
        tt_fact(term, lines ? "" : "epochs", "%s: %s, %s", range, epoch->form, meaning_of(epoch->reason));
    }
}

cJSON *tt_epoch_forms_json(const struct tt_capture *capture)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t at = 0, end; at < tt_capture_nepochs(capture); at = end) {
        const struct tt_epoch *epoch = tt_capture_epoch(capture, at);
        cJSON *entry = cJSON_CreateObject();
        end = end_of_run(capture, at);
        tt_json_add_u64(entry, "first", epoch->number);
        tt_json_add_u64(entry, "last", epoch->number + (end - at) - 1);
        cJSON_AddStringToObject(entry, "kept", epoch->form);
        cJSON_AddStringToObject(entry, "reason", epoch->reason);
        cJSON_AddItemToArray(list, entry);
    }
    return list;
}
