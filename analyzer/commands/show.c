/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap show: one tensor - where it is from, statistics, values, histogram, heat map.
 */
#include "commands/command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "commands/summary.h"
#include "commands/tensor_name.h"
#include "commands/values_view.h"
#include "report/values.h"

#define MOST_JSON_VALUES 4096 /* without --all or --slice a document leaves the values out above this */

struct shown {
    struct tt_context *context;
    const struct tt_capture *capture;
    struct tt_tensor_found found;
    struct tt_values values; /* values.values NULL: cannot be read */
    struct tt_error why;     /* then: why not */
};

static void print_attributes(const struct tt_term *term, const struct tt_recorded_call *call)
{
    for (uint32_t i = 0; i < call->nattributes; i++) {
        const struct tt_attribute *attribute = &call->attributes[i];
        const char *separator = i % 8 ? ", " : "";
        if (i % 8 == 0)
            tt_fact_begin(term, i ? "" : "attributes");
        if (attribute->type == TT_ATTR_I64)
            fprintf(term->out, "%s%s %" PRId64, separator, attribute->name, attribute->i);
        else if (attribute->type == TT_ATTR_F64)
            fprintf(term->out, "%s%s %s", separator, attribute->name, tt_real(attribute->f).text);
        else
            fprintf(term->out, "%s%s %s", separator, attribute->name, attribute->s ? attribute->s : "");
        if (i % 8 == 7 || i + 1 == call->nattributes)
            fputc('\n', term->out);
    }
}

static void print_origin(const struct tt_term *term, const struct shown *shown)
{
    const struct tt_recorded_call *call = shown->found.call;
    const struct tt_operand *operand = shown->found.operand;
    struct tt_string strides = {0};
    for (int i = 0; i < operand->rank; i++)
        tt_string_add(&strides, "%s%" PRId64, i ? "," : "", operand->strides[i]);
    tt_heading(term, "%s", tt_tensor_name_of(call, operand).text);
    tt_fact(term, "call", "%" PRIu64 " %s (%s, %s), epoch %" PRIu64 ", thread %" PRIu64, call->id,
            call->routine, call->op, call->tap, call->epoch, call->thread);
    print_attributes(term, call);
    tt_fact(term, "operand", "%s %s the call", operand->role,
            operand->when == TT_BEFORE ? "before" : "after");
    tt_fact(term, "type", "%s [%s], strides [%s], %s", tt_dtype_info(operand->dtype)->name,
            tt_shape(operand->shape, operand->rank).text, strides.text ? strides.text : "",
            tt_bytes(tt_operand_bytes(operand)).text);
    tt_string_free(&strides);
    if (operand->file)
        tt_fact(term, "kept", "in %s at byte %" PRIu64, operand->file, operand->file_offset);
    else
        tt_fact(term, "kept", "%s", tt_kept_name(operand->kept));
}

static void print_recorded(const struct tt_term *term, const struct tt_stats *stats)
{
    if (!stats->valid)
        return;
    tt_fact(term, "range", "%s to %s", tt_real(stats->min).text, tt_real(stats->max).text);
    tt_fact(term, "mean", "%s, rms %s", tt_real(stats->mean).text, tt_real(stats->rms).text);
    tt_fact(term, "elements", "%s, %s zero, %s nan, %s inf", tt_count(stats->count).text,
            tt_count(stats->zero).text, tt_count(stats->nan).text, tt_count(stats->inf).text);
}

static void print_shown(const struct shown *shown)
{
    struct tt_term term = tt_term_open(shown->context->out, shown->context->color, shown->context->md);
    const struct tt_options *options = shown->context->options;
    print_origin(&term, shown);
    if (!shown->values.values) {
        print_recorded(&term, &shown->found.operand->stats);
        tt_fact(&term, "values", "%s%s%s", tt_style_begin(&term, TT_YELLOW), shown->why.message,
                tt_style_end(&term, TT_YELLOW));
        return;
    }
    if (tt_option_flag(options, "slice"))
        tt_fact(&term, "slice", "%s = [%s]", tt_option_text(options, "slice"),
                tt_shape(shown->values.shape, shown->values.rank).text);
    tt_view_measured(&term, &shown->values);
    fputc('\n', term.out);
    tt_values_print(&term, shown->values.values, shown->values.shape, shown->values.rank,
                    tt_option_flag(options, "all"));
    if (!tt_option_flag(options, "plain"))
        tt_view_pictures(&term, &shown->values);
}

static int emit_shown(const struct shown *shown)
{
    const struct tt_options *options = shown->context->options;
    bool asked = tt_option_flag(options, "all") || tt_option_flag(options, "slice");
    cJSON *document = tt_json_document("show");
    cJSON_AddStringToObject(document, "capture", tt_capture_path(shown->capture));
    cJSON_AddItemToObject(document, "tensor", tt_operand_json(shown->found.call, shown->found.operand));
    if (shown->values.values) {
        tt_json_add_shape(document, "shape", shown->values.shape, shown->values.rank);
        tt_view_add_moments(document, &shown->values);
        tt_view_add_histogram(document, &shown->values);
        if (asked || shown->values.count <= MOST_JSON_VALUES)
            tt_view_add_values(document, &shown->values);
        else
            cJSON_AddStringToObject(document, "values_left_out",
                                    "many values; ask for them with --all or --slice");
    } else {
        cJSON_AddStringToObject(document, "unreadable", shown->why.message);
    }
    return tt_emit_json(shown->context, document, 0);
}

/* Reads the values when they can be read; only a bad slice is an error. */
static int read_values(struct shown *shown)
{
    const struct tt_operand *operand = shown->found.operand;
    const char *slice = tt_option_text(shown->context->options, "slice");
    struct tt_values *values = &shown->values;
    if (!tt_operand_readable(operand)) {
        tt_fail(&shown->why, TT_EINPUT, "not available, kept as %s", tt_kept_name(operand->kept));
        return 0;
    }
    values->count = tt_operand_count(operand);
    values->rank = operand->rank;
    memcpy(values->shape, operand->shape, sizeof values->shape);
    values->values = tt_alloc_array(values->count, sizeof *values->values);
    if (tt_operand_read(shown->capture, operand, values->values, &shown->why) != 0) {
        free(values->values);
        values->values = NULL;
        return 0;
    }
    return slice ? tt_slice(values, slice, &shown->context->error) : 0;
}

static int run_show(struct tt_context *context)
{
    struct shown shown = {.context = context};
    struct tt_capture *capture = tt_capture_open(context->args[0], &context->error);
    int status = -1;
    if (!capture)
        return -1;
    shown.capture = capture;
    if (tt_tensor_find(capture, context->args[1], &shown.found, &context->error) != 0 ||
        read_values(&shown) != 0)
        goto done;
    status = 0;
    if (context->json)
        status = emit_shown(&shown);
    else
        print_shown(&shown);
done:
    free(shown.values.values);
    tt_capture_close(capture);
    return status;
}

static const struct tt_option options[] = {
    {"slice", 0, TT_OPTION_TEXT, "SLICE", "only a part, as in '0:2,:,-1': one item an axis", NULL, NULL},
    {"all", 'a', TT_OPTION_FLAG, NULL, "all values, not the corners alone", NULL, NULL},
    {"plain", 0, TT_OPTION_FLAG, NULL, "no histogram and no heat map", NULL, NULL},
    {0},
};

const struct tt_command tt_command_show = {
    .name = "show",
    .summary = "values, statistics, histogram and heat map of one tensor",
    .usage = "[options] CAPTURE NAME",
    .description =
        "NAME is what `tensortap ls` prints in its first column: CALL.ROLE, with .before or .after where an "
        "operand was captured twice (default: after).",
    .options = options,
    .min_args = 2,
    .max_args = 2,
    .run = run_show,
};
