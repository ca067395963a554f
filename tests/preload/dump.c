/* SPDX-License-Identifier: Apache-2.0
 *
 * A capture as one JSON object per call, for the tests: what was recorded, and every value that was kept.
 *
 *   dump CAPTURE-OR-PARENT
 *
 * The last line is {"finished":…,"losses":[…],"marks":[…],"manifest":…}.
 */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "tensortap/reader.h"

static void print_line(cJSON *object)
{
    char *text = cJSON_PrintUnformatted(object);
    puts(text);
    free(text);
    cJSON_Delete(object);
}

static cJSON *integers(const int64_t *values, int count)
{
    cJSON *array = cJSON_CreateArray();
    for (int i = 0; i < count; i++)
        cJSON_AddItemToArray(array, cJSON_CreateNumber((double)values[i]));
    return array;
}

/* All digits: cJSON's own printing may drop the last bit. */
static cJSON *number(double value)
{
    char text[40];
    snprintf(text, sizeof(text), isfinite(value) ? "%.17g" : "\"%g\"", value);
    return cJSON_CreateRaw(text);
}

static cJSON *values_of(const struct tt_capture *capture, const struct tt_operand *operand)
{
    size_t count = tt_operand_count(operand);
    double *values = calloc(count ? count : 1, sizeof(*values));
    struct tt_error error = {0};
    cJSON *array = NULL;
    if (tt_operand_readable(operand) && tt_operand_read(capture, operand, values, &error) == 0) {
        array = cJSON_CreateArray();
        for (size_t i = 0; i < count; i++)
            cJSON_AddItemToArray(array, number(values[i]));
    }
    free(values);
    return array ? array : cJSON_CreateNull();
}

static cJSON *operand_object(const struct tt_capture *capture, const struct tt_operand *operand)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "role", operand->role);
    cJSON_AddStringToObject(object, "when", operand->when == TT_BEFORE ? "before" : "after");
    cJSON_AddStringToObject(object, "dtype", tt_dtype_info(operand->dtype)->name);
    cJSON_AddItemToObject(object, "shape", integers(operand->shape, operand->rank));
    cJSON_AddItemToObject(object, "strides", integers(operand->strides, operand->rank));
    cJSON_AddNumberToObject(object, "kept", operand->kept);
    cJSON_AddBoolToObject(object, "stats", operand->stats.valid);
    cJSON_AddItemToObject(object, "values", values_of(capture, operand));
    return object;
}

static void print_call(const struct tt_capture *capture, const struct tt_recorded_call *call)
{
    cJSON *object = cJSON_CreateObject();
    cJSON *attributes = cJSON_AddObjectToObject(object, "attributes");
    cJSON *operands = cJSON_AddArrayToObject(object, "operands");
    cJSON_AddNumberToObject(object, "id", (double)call->id);
    cJSON_AddNumberToObject(object, "parent", (double)call->parent);
    cJSON_AddNumberToObject(object, "thread", (double)call->thread);
    cJSON_AddNumberToObject(object, "epoch", (double)call->epoch);
    cJSON_AddBoolToObject(object, "ended", call->seq_end != 0);
    cJSON_AddStringToObject(object, "tap", call->tap);
    cJSON_AddStringToObject(object, "op", call->op);
    cJSON_AddStringToObject(object, "routine", call->routine);
    for (uint32_t i = 0; i < call->nattributes; i++) {
        const struct tt_attribute *attribute = &call->attributes[i];
        if (attribute->type == TT_ATTR_STR)
            cJSON_AddStringToObject(attributes, attribute->name, attribute->s);
        else
            cJSON_AddNumberToObject(attributes, attribute->name,
                                    attribute->type == TT_ATTR_F64 ? attribute->f : (double)attribute->i);
    }
    for (uint32_t i = 0; i < call->noperands; i++)
        cJSON_AddItemToArray(operands, operand_object(capture, call->operands[i]));
    print_line(object);
}

static void print_summary(const struct tt_capture *capture)
{
    cJSON *object = cJSON_CreateObject();
    cJSON *losses = cJSON_AddArrayToObject(object, "losses"), *marks = cJSON_AddArrayToObject(object, "marks");
    cJSON_AddBoolToObject(object, "finished", tt_capture_finished(capture));
    for (size_t i = 0; i < tt_capture_nlosses(capture); i++)
        cJSON_AddItemToArray(losses, cJSON_CreateString(tt_capture_loss(capture, i)->what));
    for (size_t i = 0; i < tt_capture_nmarks(capture); i++)
        cJSON_AddItemToArray(marks, cJSON_CreateString(tt_capture_mark(capture, i)->text));
    cJSON_AddItemToObject(object, "manifest", cJSON_Duplicate(tt_capture_manifest(capture), true));
    print_line(object);
}

int main(int argc, char **argv)
{
    struct tt_error error = {0};
    struct tt_capture *capture = argc == 2 ? tt_capture_open(argv[1], &error) : NULL;
    if (!capture) {
        fprintf(stderr, "dump: %s\n", argc == 2 ? error.message : "usage: dump CAPTURE");
        return 2;
    }
    for (size_t i = 0; i < tt_capture_ncalls(capture); i++)
        print_call(capture, tt_capture_call(capture, i));
    print_summary(capture);
    tt_capture_close(capture);
    return 0;
}
