/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights for people, as a document, and as .npy.
 */
#include "commands/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "commands/values_view.h"
#include "report/values.h"

#define BLOCK            32   /* elements in which a decoder that reads one block for all shows */
#define FIRST_VALUES     8    /* of the first rows, in documents */
#define FIRST_ROWS       8
#define MOST_JSON_VALUES 4096
#define PART             (1 << 20) /* elements written at once */

/* Blocks that equal the one before them and are not all one number. */
static uint64_t repeated_blocks(const struct tt_values *values)
{
    uint64_t repeated = 0;
    for (uint64_t i = BLOCK; i + BLOCK <= values->count; i += BLOCK) {
        const double *block = values->values + i;
        bool constant = true;
        for (int k = 1; k < BLOCK && constant; k++)
            constant = block[k] == block[0];
        repeated += !constant && memcmp(block, block - BLOCK, BLOCK * sizeof *block) == 0;
    }
    return repeated;
}

static bool is_cut(const struct tt_chosen_weight *weight)
{
    return weight->tensor->rank && weight->values.shape[0] < weight->tensor->shape[0];
}

/* ---- for people ---- */

static const char *verdict_of(const struct tt_weight_difference *d)
{
    return !d->compared ? "unmeasured" : d->right ? "match" : "mismatch";
}

static void print_difference(const struct tt_term *term, const struct tt_chosen_weight *weight)
{
    const struct tt_weight_difference *d = &weight->difference;
    enum tt_style style = !d->compared ? TT_YELLOW : d->right ? TT_GREEN : TT_RED;
    tt_fact_begin(term, "against");
    fprintf(term->out, "%s%s%s", tt_style_begin(term, style), verdict_of(d), tt_style_end(term, style));
    if (!d->compared)
        fprintf(term->out, ": %s\n", d->how);
    else if (!d->count)
        fprintf(term->out, ", %s: %s\n", d->with, d->how);
    else if (d->exact)
        fprintf(term->out, ", every number of %s%s%s\n", d->with, *d->how ? "; " : "", d->how);
    else
        fprintf(term->out, ", %s: NMSE %s (rounding to the types: %s), max abs %s at %s%s%s\n", d->with, tt_real(d->nmse).text,
                tt_real(d->expected).text, tt_real(d->max_abs).text,
                tt_index_text((uint64_t)d->at, weight->tensor->shape, weight->tensor->rank).text, *d->how ? "; " : "", d->how);
}

static void print_weight(struct tt_context *context, const struct tt_term *term, const struct tt_chosen_weight *weight)
{
    const struct tt_model_tensor *tensor = weight->tensor;
    uint64_t repeated = repeated_blocks(&weight->values);
    tt_heading(term, "%s  [%s]", weight->name, tt_shape(tensor->shape, tensor->rank).text);
    tt_fact(term, "in the file", "%s, %s%s%s", tensor->name, tensor->form ? tensor->form->name : tt_dtype_info(tensor->dtype)->name,
            tensor->form ? "" : ", ", tensor->form ? "" : tt_bytes(tensor->nbytes).text);
    if (is_cut(weight))
        tt_fact(term, "shown", "the first %lld rows", (long long)weight->values.shape[0]);
    tt_view_measured(term, &weight->values);
    if (repeated)
        tt_fact(term, "repeated", "%s of %d values equal the one before", tt_plural(repeated, "block").text, BLOCK);
    if (tt_option_flag(context->options, "against"))
        print_difference(term, weight);
    fputc('\n', term->out);
    tt_values_print(term, weight->values.values, weight->values.shape, weight->values.rank,
                    tt_option_flag(context->options, "all"));
    if (tt_option_flag(context->options, "pictures"))
        tt_view_pictures(term, &weight->values);
    fputc('\n', term->out);
}

/* ---- documents ---- */

static void add_first(cJSON *object, const struct tt_values *values)
{
    uint64_t width = values->rank ? (uint64_t)values->shape[values->rank - 1] : 1, rows = width ? values->count / width : 0;
    cJSON *list = cJSON_AddArrayToObject(object, "first");
    for (uint64_t r = 0; r < rows && r < FIRST_ROWS; r++) {
        cJSON *row = cJSON_CreateArray();
        for (uint64_t i = 0; i < width && i < FIRST_VALUES; i++) {
            double value = values->values[r * width + i];
            cJSON_AddItemToArray(row, isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull());
        }
        cJSON_AddItemToArray(list, row);
    }
}

static void add_difference(cJSON *object, const struct tt_weight_difference *d)
{
    cJSON *made = cJSON_AddObjectToObject(object, "against");
    cJSON_AddStringToObject(made, "verdict", verdict_of(d));
    if (*d->how)
        cJSON_AddStringToObject(made, d->compared ? "transform" : "why", d->how);
    if (!d->compared)
        return;
    cJSON_AddStringToObject(made, "with", d->with);
    cJSON_AddBoolToObject(made, "exact", d->exact);
    tt_json_add_number(made, "nmse", d->nmse);
    tt_json_add_number(made, "expected", d->expected);
    tt_json_add_number(made, "max_abs", d->max_abs);
}

static cJSON *weight_json(struct tt_context *context, const struct tt_chosen_weight *weight)
{
    const struct tt_model_tensor *tensor = weight->tensor;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", weight->name);
    cJSON_AddStringToObject(object, "tensor", tensor->name);
    cJSON_AddStringToObject(object, "dtype", tt_dtype_info(tensor->dtype)->name);
    if (tensor->form)
        cJSON_AddStringToObject(object, "form", tensor->form->name);
    tt_json_add_shape(object, "shape", tensor->shape, tensor->rank);
    if (is_cut(weight))
        tt_json_add_i64(object, "rows_shown", weight->values.shape[0]);
    tt_view_add_moments(object, &weight->values);
    tt_json_add_u64(object, "repeated_blocks", repeated_blocks(&weight->values));
    add_first(object, &weight->values);
    if (tt_option_flag(context->options, "all") || weight->values.count <= MOST_JSON_VALUES)
        tt_view_add_values(object, &weight->values);
    else
        cJSON_AddStringToObject(object, "values_left_out", "many values; ask for them with --all, or write them with -o");
    if (tt_option_flag(context->options, "against"))
        add_difference(object, &weight->difference);
    return object;
}

static const char *overall_of(const struct tt_chosen_weights *weights)
{
    size_t right = 0, compared = 0;
    for (size_t i = 0; i < weights->count; i++) {
        compared += weights->items[i].difference.compared;
        right += weights->items[i].difference.compared && weights->items[i].difference.right;
    }
    return right < compared ? "mismatch" : compared ? "match" : "unmeasured";
}

int tt_weights_print(struct tt_context *context, const struct tt_graph *graph, const struct tt_chosen_weights *weights)
{
    bool against = tt_option_flag(context->options, "against");
    const char *overall = overall_of(weights);
    int status = !against || strcmp(overall, "match") == 0 ? TT_STATUS_MATCH
                 : strcmp(overall, "mismatch") == 0        ? TT_STATUS_MISMATCH
                                                           : tt_status_of_partial(context);
    if (context->json) {
        cJSON *made = tt_json_document("weights");
        cJSON_AddStringToObject(made, "model", tt_model_path(tt_graph_model(graph)));
        if (against)
            cJSON_AddStringToObject(made, "against", tt_option_text(context->options, "against"));
        if (against)
            cJSON_AddStringToObject(made, "verdict", overall);
        cJSON *list = cJSON_AddArrayToObject(made, "weights");
        for (size_t i = 0; i < weights->count; i++)
            cJSON_AddItemToArray(list, weight_json(context, &weights->items[i]));
        return tt_emit_json(context, made, status);
    }
    struct tt_term term = tt_term_open(context->out, context->color, context->md);
    for (size_t i = 0; i < weights->count; i++)
        print_weight(context, &term, &weights->items[i]);
    if (against)
        fprintf(term.out, "%s   %zu weights\n", overall, weights->count);
    return status;
}

/* ---- .npy ---- */

/* Version 1.0: magic, length of the header, a Python dictionary that ends a multiple of 64 bytes with a line end. */
static void npy_header(FILE *out, const struct tt_model_tensor *tensor)
{
    char text[256];
    int n = snprintf(text, sizeof text, "{'descr': '<f8', 'fortran_order': False, 'shape': (");
    for (int i = 0; i < tensor->rank; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%lld,", (long long)tensor->shape[i]);
    n += snprintf(text + n, sizeof text - (size_t)n, "), }");
    int length = (10 + n + 1 + 63) / 64 * 64 - 10;
    fwrite("\x93NUMPY\x01\x00", 1, 8, out);
    fputc(length & 0xff, out);
    fputc(length >> 8, out);
    fprintf(out, "%-*s\n", length - 1, text);
}

int tt_write_npy(const char *path, const struct tt_model_tensor *tensor, struct tt_error *error)
{
    uint64_t count = 1;
    for (int i = 0; i < tensor->rank; i++)
        count *= (uint64_t)tensor->shape[i];
    FILE *out = fopen(path, "wbx");
    if (!out)
        return tt_fail(error, TT_ESYSTEM, "cannot write %s: %m; nothing is overwritten", path);
    double *values = tt_alloc_array(count < PART ? count + 1 : PART, sizeof *values);
    int failed = 0;
    npy_header(out, tensor);
    for (uint64_t at = 0; at < count && !failed; at += PART) {
        uint64_t n = count - at < PART ? count - at : PART;
        failed = tt_model_read(tensor, at, n, values, error);
        if (!failed && fwrite(values, sizeof *values, n, out) != n)
            failed = tt_fail(error, TT_ESYSTEM, "cannot write %s: %m", path);
    }
    if (fclose(out) && !failed)
        failed = tt_fail(error, TT_ESYSTEM, "cannot write %s: %m", path);
    free(values);
    return failed;
}
