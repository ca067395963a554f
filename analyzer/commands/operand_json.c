/* SPDX-License-Identifier: Apache-2.0
 *
 * One operand as JSON: the same members in every document.
 */
#include "commands/tensor_name.h"

#include <stdio.h>

#include "base/json.h"
#include "commands/summary.h"

static cJSON *statistics_json(const struct tt_stats *stats)
{
    cJSON *object = cJSON_CreateObject();
    tt_json_add_number(object, "min", stats->min);
    tt_json_add_number(object, "max", stats->max);
    tt_json_add_number(object, "mean", stats->mean);
    tt_json_add_number(object, "rms", stats->rms);
    tt_json_add_u64(object, "count", stats->count);
    tt_json_add_u64(object, "nan", stats->nan);
    tt_json_add_u64(object, "inf", stats->inf);
    tt_json_add_u64(object, "zero", stats->zero);
    return object;
}

cJSON *tt_operand_json(const struct tt_recorded_call *call, const struct tt_operand *operand)
{
    cJSON *entry = cJSON_CreateObject();
    cJSON_AddStringToObject(entry, "name", tt_tensor_name_of(call, operand).text);
    tt_json_add_u64(entry, "call", call->id);
    tt_json_add_u64(entry, "epoch", call->epoch);
    tt_json_add_u64(entry, "thread", call->thread);
    cJSON_AddStringToObject(entry, "tap", call->tap);
    cJSON_AddStringToObject(entry, "op", call->op);
    cJSON_AddStringToObject(entry, "routine", call->routine);
    cJSON_AddStringToObject(entry, "role", operand->role);
    cJSON_AddStringToObject(entry, "when", operand->when == TT_BEFORE ? "before" : "after");
    cJSON_AddStringToObject(entry, "dtype", tt_dtype_info(operand->dtype)->name);
    tt_json_add_shape(entry, "shape", operand->shape, operand->rank);
    tt_json_add_shape(entry, "strides", operand->strides, operand->rank);
    tt_json_add_u64(entry, "bytes", tt_operand_bytes(operand));
    cJSON_AddStringToObject(entry, "kept", tt_kept_name(operand->kept));
    if (operand->stats.valid)
        cJSON_AddItemToObject(entry, "stats", statistics_json(&operand->stats));
    if (operand->has_digest) {
        char digest[2 * sizeof operand->digest.bytes + 1];
        for (size_t i = 0; i < sizeof operand->digest.bytes; i++)
            snprintf(digest + 2 * i, 3, "%02x", operand->digest.bytes[i]);
        cJSON_AddStringToObject(entry, "digest", digest);
        cJSON_AddBoolToObject(entry, "repeat_sampled", operand->repeat_sampled);
    }
    if (operand->file) {
        cJSON_AddStringToObject(entry, "file", operand->file);
        tt_json_add_u64(entry, "file_offset", operand->file_offset);
    }
    return entry;
}
