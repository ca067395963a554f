/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap ls: one line for each captured tensor.
 */
#include "commands/command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "commands/summary.h"
#include "commands/tensor_name.h"
#include "report/sheet.h"

#define BIT(key) (1u << TT_SELECT_##key)
/* What a listing without a map knows; passes are the tap's epochs here. */
#define KNOWN_KEYS                                                                                           \
    (BIT(PASS) | BIT(EPOCH) | BIT(OP) | BIT(DTYPE) | BIT(SIZE) | BIT(ROLE) | BIT(THREAD) | BIT(TAP) |        \
     BIT(CALL) | BIT(ROUTINE) | BIT(KEPT))

struct listing {
    const struct tt_context *context;
    struct tt_sheet *table; /* or */
    cJSON *list;
    int64_t epochs; /* for pass=-1 */
};

static bool selected(const struct listing *listing, const struct tt_recorded_call *call,
                     const struct tt_operand *operand)
{
    struct tt_select_subject subject = {0};
    if (!listing->context->select)
        return true;
    tt_select_set_number(&subject, TT_SELECT_PASS, (int64_t)call->epoch, listing->epochs);
    tt_select_set_number(&subject, TT_SELECT_EPOCH, (int64_t)call->epoch, listing->epochs);
    tt_select_set_number(&subject, TT_SELECT_CALL, (int64_t)call->id, 0);
    tt_select_set_number(&subject, TT_SELECT_THREAD, (int64_t)call->thread, 0);
    tt_select_set_number(&subject, TT_SELECT_SIZE, (int64_t)tt_operand_bytes(operand), 0);
    tt_select_set_word(&subject, TT_SELECT_OP, call->op);
    tt_select_set_word(&subject, TT_SELECT_TAP, call->tap);
    tt_select_set_word(&subject, TT_SELECT_ROUTINE, call->routine);
    tt_select_set_word(&subject, TT_SELECT_ROLE, operand->role);
    tt_select_set_word(&subject, TT_SELECT_DTYPE, tt_dtype_info(operand->dtype)->name);
    tt_select_set_word(&subject, TT_SELECT_KEPT, tt_kept_name(operand->kept));
    return tt_select_match(listing->context->select, &subject);
}

static void add_statistics(struct tt_sheet *table, const struct tt_stats *stats)
{
    uint64_t nonfinite = stats->nan + stats->inf;
    tt_sheet_cell(table, "%s", stats->valid ? tt_real(stats->min).text : "");
    tt_sheet_cell(table, "%s", stats->valid ? tt_real(stats->max).text : "");
    tt_sheet_cell(table, "%s", stats->valid ? tt_real(stats->mean).text : "");
    tt_sheet_cell(table, "%s", stats->valid ? tt_real(stats->rms).text : "");
    tt_sheet_cell(table, "%s", stats->valid && nonfinite ? tt_count(nonfinite).text : "");
}

static void add_row(struct tt_sheet *table, const struct tt_recorded_call *call,
                    const struct tt_operand *operand)
{
    tt_sheet_cell(table, "%s", tt_tensor_name_of(call, operand).text);
    tt_sheet_cell(table, "%" PRIu64, call->epoch);
    tt_sheet_cell(table, "%s", call->op);
    tt_sheet_cell(table, "%s", call->routine);
    tt_sheet_cell(table, "%s", tt_dtype_info(operand->dtype)->name);
    tt_sheet_cell(table, "%s", tt_shape(operand->shape, operand->rank).text);
    tt_sheet_cell(table, "%s", tt_kept_name(operand->kept));
    if (operand->kept >= TT_KEPT_FILTERED)
        tt_sheet_style(table, TT_YELLOW);
    add_statistics(table, &operand->stats);
    const uint8_t *digest = operand->digest.bytes;
    if (operand->has_digest)
        tt_sheet_cell(table, "%02x%02x%02x%02x%s", digest[0], digest[1], digest[2], digest[3],
                      operand->repeat_sampled ? "~" : "");
    else
        tt_sheet_cell(table, "%s", "");
}

static const struct tt_column columns[] = {
    {"name", TT_LEFT, TT_BOLD, false},   {"epoch", TT_RIGHT, TT_PLAIN, false},
    {"op", TT_LEFT, TT_PLAIN, false},    {"routine", TT_LEFT, TT_DIM, true},
    {"dtype", TT_LEFT, TT_PLAIN, false}, {"shape", TT_RIGHT, TT_CYAN, false},
    {"kept", TT_LEFT, TT_PLAIN, false},  {"min", TT_RIGHT, TT_PLAIN, false},
    {"max", TT_RIGHT, TT_PLAIN, false},  {"mean", TT_RIGHT, TT_PLAIN, true},
    {"rms", TT_RIGHT, TT_PLAIN, false},  {"nan+inf", TT_RIGHT, TT_RED, false},
    {"digest", TT_LEFT, TT_DIM, true},
};

static void list_capture(struct listing *listing, const struct tt_capture *capture)
{
    listing->epochs = 0;
    for (size_t i = 0; i < tt_capture_ncalls(capture); i++)
        if ((int64_t)tt_capture_call(capture, i)->epoch >= listing->epochs)
            listing->epochs = (int64_t)tt_capture_call(capture, i)->epoch + 1;
    for (size_t i = 0; i < tt_capture_ncalls(capture); i++) {
        const struct tt_recorded_call *call = tt_capture_call(capture, i);
        for (uint32_t k = 0; k < call->noperands; k++) {
            if (!selected(listing, call, call->operands[k]))
                continue;
            if (listing->list)
                cJSON_AddItemToArray(listing->list, tt_operand_json(call, call->operands[k]));
            else
                add_row(listing->table, call, call->operands[k]);
        }
    }
}

static int list_path(struct tt_context *context, const char *path, bool several, cJSON *captures)
{
    struct tt_term term = tt_term_open(context->out, context->color, context->md);
    struct listing listing = {.context = context};
    struct tt_capture *capture = tt_capture_open(path, &context->error);
    if (!capture)
        return -1;
    if (captures) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "capture", tt_capture_path(capture));
        listing.list = cJSON_AddArrayToObject(entry, "tensors");
        cJSON_AddItemToArray(captures, entry);
    } else {
        listing.table = tt_sheet_new(columns, sizeof columns / sizeof *columns);
    }
    list_capture(&listing, capture);
    if (listing.table && several)
        tt_heading(&term, "%s", path);
    if (listing.table && tt_sheet_rows(listing.table))
        tt_sheet_print(listing.table, &term);
    tt_sheet_free(listing.table);
    tt_capture_close(capture);
    return 0;
}

static int run_ls(struct tt_context *context)
{
    struct tt_paths found = {0};
    char *unknown = tt_select_unknown(context->select, KNOWN_KEYS);
    cJSON *document = context->json ? tt_json_document("ls") : NULL;
    cJSON *captures = document ? cJSON_AddArrayToObject(document, "captures") : NULL;
    int status = tt_find_captures(context, 0, &found);
    if (unknown)
        tt_note(context, "not applied, a map is needed for it: %s", unknown);
    if (unknown && document)
        cJSON_AddStringToObject(document, "select_not_applied", unknown);
    for (size_t i = 0; i < found.count && status == 0; i++)
        status = list_path(context, found.paths[i], found.count > 1, captures);
    tt_paths_free(&found);
    free(unknown);
    if (status == 0 && document)
        return tt_emit_json(context, document, 0);
    cJSON_Delete(document);
    return status;
}

const struct tt_command tt_command_ls = {
    .name = "ls",
    .summary = "one line per captured tensor",
    .usage = "[options] CAPTURE...",
    .description =
        "The first column is the name that `tensortap show` takes. Passes in --select are the epochs that "
        "the tap counted. A digest with ~ was recognised by a sample of the content.",
    .min_args = 1,
    .max_args = -1,
    .run = run_ls,
};
