/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of one tensor for people and as members of a document.
 */
#include "commands/values_view.h"

#include "base/json.h"
#include "report/picture.h"
#include "report/values.h"

#define HISTOGRAM_BINS 16

void tt_view_measured(const struct tt_term *term, const struct tt_values *values)
{
    struct tt_moments moments = tt_moments_of(values->values, values->count);
    const char *begin = moments.nan + moments.inf ? tt_style_begin(term, TT_RED) : "";
    const char *end = moments.nan + moments.inf ? tt_style_end(term, TT_RED) : "";
    if (moments.min_at != UINT64_MAX)
        tt_fact(term, "range", "%s at %s to %s at %s", tt_real(moments.min).text,
                tt_index_text(moments.min_at, values->shape, values->rank).text, tt_real(moments.max).text,
                tt_index_text(moments.max_at, values->shape, values->rank).text);
    tt_fact(term, "mean", "%s, rms %s, deviation %s", tt_real(moments.mean).text, tt_real(moments.rms).text,
            tt_real(moments.deviation).text);
    tt_fact(term, "elements", "%s, %s zero, %s%s nan, %s inf%s", tt_count(moments.count).text,
            tt_count(moments.zero).text, begin, tt_count(moments.nan).text, tt_count(moments.inf).text, end);
    if (moments.first_nonfinite != UINT64_MAX)
        tt_fact(term, "", "first of these at %s",
                tt_index_text(moments.first_nonfinite, values->shape, values->rank).text);
}

void tt_view_pictures(const struct tt_term *term, const struct tt_values *values)
{
    struct tt_histogram histogram = tt_histogram_of(values->values, values->count, HISTOGRAM_BINS);
    size_t columns = values->rank ? (size_t)values->shape[values->rank - 1] : 1;
    fputc('\n', term->out);
    tt_histogram_print(term, &histogram);
    if (values->count > 1) {
        fputc('\n', term->out);
        tt_heatmap_print(term, values->values, columns ? values->count / columns : 0, columns);
    }
}

void tt_view_add_histogram(cJSON *object, const struct tt_values *values)
{
    struct tt_histogram histogram = tt_histogram_of(values->values, values->count, HISTOGRAM_BINS);
    cJSON *made = cJSON_AddObjectToObject(object, "histogram");
    tt_json_add_number(made, "low", histogram.low);
    tt_json_add_number(made, "high", histogram.high);
    cJSON *bins = cJSON_AddArrayToObject(made, "bins");
    for (size_t i = 0; i < histogram.nbins; i++)
        cJSON_AddItemToArray(bins, cJSON_CreateNumber((double)histogram.bins[i]));
}

void tt_view_add_moments(cJSON *object, const struct tt_values *values)
{
    struct tt_moments moments = tt_moments_of(values->values, values->count);
    cJSON *measured = cJSON_AddObjectToObject(object, "measured");
    tt_json_add_number(measured, "min", moments.min);
    tt_json_add_number(measured, "max", moments.max);
    tt_json_add_number(measured, "mean", moments.mean);
    tt_json_add_number(measured, "rms", moments.rms);
    tt_json_add_number(measured, "deviation", moments.deviation);
    tt_json_add_u64(measured, "count", moments.count);
    tt_json_add_u64(measured, "nan", moments.nan);
    tt_json_add_u64(measured, "inf", moments.inf);
    tt_json_add_u64(measured, "zero", moments.zero);
}

void tt_view_add_values(cJSON *object, const struct tt_values *values)
{
    cJSON *list = cJSON_AddArrayToObject(object, "values");
    cJSON *nonfinite = cJSON_CreateArray();
    for (uint64_t i = 0; i < values->count; i++) {
        double value = values->values[i];
        bool finite = value - value == 0;
        cJSON_AddItemToArray(list, finite ? cJSON_CreateNumber(value) : cJSON_CreateNull());
        if (!finite)
            cJSON_AddItemToArray(nonfinite, cJSON_CreateNumber((double)i));
    }
    if (nonfinite->child)
        cJSON_AddItemToObject(object, "nonfinite_at", nonfinite);
    else
        cJSON_Delete(nonfinite);
}
