/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap repair: rewrites the shard headers of captures whose process was killed.
 */
#include "commands/command.h"

#include "base/json.h"
#include "capture/repair.h"
#include "report/term.h"

static int repair_one(struct tt_context *context, const char *path, cJSON *list)
{
    int shards = tt_capture_repair(path, &context->error);
    if (shards < 0)
        return -1;
    if (list) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "capture", path);
        cJSON_AddNumberToObject(entry, "shards", shards);
        cJSON_AddItemToArray(list, entry);
    } else if (shards) {
        fprintf(context->out, "%s: %s rewritten\n", path, tt_plural((uint64_t)shards, "shard header").text);
    } else {
        fprintf(context->out, "%s: nothing to repair\n", path);
    }
    return 0;
}

static int run_repair(struct tt_context *context)
{
    struct tt_paths found = {0};
    cJSON *document = context->json ? tt_json_document("repair") : NULL;
    cJSON *list = document ? cJSON_AddArrayToObject(document, "repaired") : NULL;
    int status = tt_find_captures(context, 0, &found);
    for (size_t i = 0; i < found.count && status == 0; i++)
        status = repair_one(context, found.paths[i], list);
    tt_paths_free(&found);
    if (status == 0 && document)
        return tt_emit_json(context, document, 0);
    cJSON_Delete(document);
    return status;
}

const struct tt_command tt_command_repair = {
    .name = "repair",
    .summary = "rewrite the headers of a capture whose process was killed",
    .usage = "[options] CAPTURE...",
    .description =
        "Afterwards every safetensors reader sees the tensors by name. Nothing that was captured is "
        "changed, and tensortap itself reads a capture without it.",
    .min_args = 1,
    .max_args = -1,
    .run = run_repair,
};
