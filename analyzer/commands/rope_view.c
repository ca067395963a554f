/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotary embeddings for people and as a document.
 */
#include "commands/rope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "report/sheet.h"

#define SHOWN 4 /* pairs at either end */

static double number(const struct tt_rope_class *class, const char *name, double fallback)
{
    return tt_attributes_number(&class->attributes, name, fallback);
}

static const char *string(const struct tt_rope_class *class, const char *name, const char *fallback)
{
    return tt_attributes_string(&class->attributes, name, fallback);
}

/* ---- scalings in words ---- */

typedef void (*explain_function)(const struct tt_rope_class *class, const struct tt_rope_report *report,
                                 struct tt_string *out);

static void explain_none(const struct tt_rope_class *class, const struct tt_rope_report *report, struct tt_string *out)
{
    tt_string_add(out, "pair i turns theta^(-2i/%lld) per position", (long long)class->dims);
}

static void explain_linear(const struct tt_rope_class *class, const struct tt_rope_report *report, struct tt_string *out)
{
    tt_string_add(out, "all frequencies divided by %s", tt_real(number(class, "factor", 1)).text);
}

static void explain_llama3(const struct tt_rope_class *class, const struct tt_rope_report *report, struct tt_string *out)
{
    double context = number(class, "original_context", 8192);
    tt_string_add(out, "waves longer than %s positions divided by %s, shorter than %s kept, those between blended",
                  tt_real(context / number(class, "low_freq_factor", 1)).text, tt_real(number(class, "factor", 1)).text,
                  tt_real(context / number(class, "high_freq_factor", 4)).text);
}

static void explain_yarn(const struct tt_rope_class *class, const struct tt_rope_report *report, struct tt_string *out)
{
    tt_string_add(out, "pairs that turn more than %s times within %s positions kept, less than %s times divided by %s, those "
                       "between blended",
                  tt_real(number(class, "beta_fast", 32)).text, tt_real(number(class, "original_context", 8192)).text,
                  tt_real(number(class, "beta_slow", 1)).text, tt_real(number(class, "factor", 1)).text);
}

static void explain_dynamic(const struct tt_rope_class *class, const struct tt_rope_report *report, struct tt_string *out)
{
    double longest = number(class, "max_context", 8192);
    tt_string_add(out, "theta grows with the sequence beyond %s positions; this one has %lld%s", tt_real(longest).text,
                  (long long)report->length, (double)report->length > longest ? "" : ", so it is as it was");
}

static void explain_longrope(const struct tt_rope_class *class, const struct tt_rope_report *report, struct tt_string *out)
{
    double context = number(class, "original_context", 8192);
    tt_string_add(out, "frequencies divided by the model's factors for %s sequences (beyond %s positions: long)",
                  (double)report->length > context ? "long" : "short", tt_real(context).text);
}

static const struct {
    const char *name;
    explain_function explain;
} scalings[] = {
    {"none", explain_none}, {"linear", explain_linear},   {"llama3", explain_llama3},
    {"yarn", explain_yarn}, {"dynamic", explain_dynamic}, {"longrope", explain_longrope},
};

static char *explanation(const struct tt_rope_class *class, const struct tt_rope_report *report)
{
    struct tt_string out = {0};
    for (size_t i = 0; i < sizeof scalings / sizeof *scalings; i++)
        if (strcmp(scalings[i].name, string(class, "scaling", "none")) == 0)
            scalings[i].explain(class, report, &out);
    if (class->weight[0].rank && strcmp(string(class, "scaling", "none"), "longrope") != 0)
        tt_string_add(&out, "%sdivided by the model's frequency factors", out.length ? "; " : "");
    if (class->multiplier != 1)
        tt_string_add(&out, "; the result multiplied by %s", tt_real(class->multiplier).text);
    return out.text ? out.text : tt_strdup("");
}

/* ---- for people ---- */

static void print_title(const struct tt_term *term, const struct tt_rope_class *class)
{
    struct tt_string text = {0};
    for (size_t i = 0; i < class->ncomponents; i++)
        tt_string_add(&text, "%s%s", i ? ", " : "", class->components[i]);
    for (size_t i = 0; i < class->nlayers; i++) {
        size_t last = i;
        while (last + 1 < class->nlayers && class->layers[last + 1] == class->layers[last] + 1)
            last++;
        tt_string_add(&text, "%s%d", i ? "," : class->nlayers > 1 ? " of layers " : " of layer ", class->layers[i]);
        if (last > i)
            tt_string_add(&text, "-%d", class->layers[last]);
        i = last;
    }
    tt_heading(term, "%s", text.text ? text.text : "as given");
    tt_string_free(&text);
}

static void print_facts(const struct tt_term *term, const struct tt_rope_class *class, const struct tt_rope_report *report)
{
    bool interleaved = strcmp(string(class, "pairing", "half"), "interleaved") == 0;
    char *why = explanation(class, report);
    tt_fact(term, "theta", "%.10g", number(class, "theta", 10000));
    tt_fact(term, "pairing", "%s", interleaved ? "interleaved: channel 2i turns with 2i + 1" : "half: channel i turns with i + dims/2");
    tt_fact(term, "dims", "%lld of the %lld channels of a head", (long long)class->dims, (long long)class->depth);
    tt_fact(term, "scaling", "%s: %s", string(class, "scaling", "none"), why);
    tt_fact(term, "position", "%lld: x' = x cos - y sin, y' = x sin + y cos", (long long)report->position);
    fputc('\n', term->out);
    free(why);
}

static void add_pair(struct tt_sheet *sheet, const struct tt_rope_class *class, int64_t i)
{
    const struct tt_rope_pair_view *pair = &class->pairs[i];
    tt_sheet_cell(sheet, "%lld", (long long)i);
    tt_sheet_cell(sheet, "%lld, %lld", (long long)pair->first, (long long)pair->second);
    tt_sheet_cell(sheet, "%.8g", pair->frequency);
    tt_sheet_cell(sheet, "%s", pair->plain == pair->frequency ? "" : tt_real(pair->frequency / pair->plain).text);
    tt_sheet_cell(sheet, "%.6g", 2 * M_PI / pair->frequency);
    tt_sheet_cell(sheet, "%.8g", pair->angle);
    tt_sheet_cell(sheet, "%.8f", pair->cosine);
    tt_sheet_cell(sheet, "%.8f", pair->sine);
}

static void print_pairs(const struct tt_term *term, const struct tt_rope_class *class, bool all)
{
    static const struct tt_column columns[] = {
        {"pair", TT_RIGHT, TT_DIM, false},      {"channels", TT_RIGHT, TT_PLAIN, false},
        {"frequency", TT_RIGHT, TT_PLAIN, false}, {"scaled by", TT_RIGHT, TT_PLAIN, false},
        {"wavelength", TT_RIGHT, TT_PLAIN, false}, {"angle", TT_RIGHT, TT_PLAIN, false},
        {"cos", TT_RIGHT, TT_PLAIN, false},       {"sin", TT_RIGHT, TT_PLAIN, false},
    };
    const size_t ncolumns = sizeof columns / sizeof *columns;
    struct tt_sheet *sheet = tt_sheet_new(columns, ncolumns);
    int64_t pairs = class->dims / 2;
    for (int64_t i = 0; i < pairs; i++) {
        bool shown = all || pairs <= 2 * SHOWN + 1 || i < SHOWN || i >= pairs - SHOWN;
        if (shown)
            add_pair(sheet, class, i);
        for (size_t c = 0; c < ncolumns && !shown && i == SHOWN; c++)
            tt_sheet_cell(sheet, "%s", c == 3 ? "" : "...");
    }
    tt_sheet_print(sheet, term);
    tt_sheet_free(sheet);
    fputc('\n', term->out);
}

/* ---- documents ---- */

static cJSON *pairs_json(const struct tt_rope_class *class)
{
    cJSON *list = cJSON_CreateArray();
    for (int64_t i = 0; i < class->dims / 2; i++) {
        const struct tt_rope_pair_view *pair = &class->pairs[i];
        cJSON *object = cJSON_CreateObject();
        tt_json_add_i64(object, "pair", i);
        tt_json_add_shape(object, "channels", (int64_t[]){pair->first, pair->second}, 2);
        tt_json_add_number(object, "frequency", pair->frequency);
        tt_json_add_number(object, "unscaled", pair->plain);
        tt_json_add_number(object, "wavelength", 2 * M_PI / pair->frequency);
        tt_json_add_number(object, "angle", pair->angle);
        tt_json_add_number(object, "cos", pair->cosine);
        tt_json_add_number(object, "sin", pair->sine);
        cJSON_AddItemToArray(list, object);
    }
    return list;
}

static cJSON *class_json(const struct tt_rope_class *class, const struct tt_rope_report *report)
{
    cJSON *object = cJSON_CreateObject();
    char *why = explanation(class, report);
    cJSON *layers = cJSON_AddArrayToObject(object, "layers"), *components = cJSON_AddArrayToObject(object, "components");
    for (size_t i = 0; i < class->nlayers; i++)
        cJSON_AddItemToArray(layers, cJSON_CreateNumber(class->layers[i]));
    for (size_t i = 0; i < class->ncomponents; i++)
        cJSON_AddItemToArray(components, cJSON_CreateString(class->components[i]));
    tt_json_add_number(object, "theta", number(class, "theta", 10000));
    cJSON_AddStringToObject(object, "pairing", string(class, "pairing", "half"));
    tt_json_add_i64(object, "dims", class->dims);
    tt_json_add_i64(object, "head_dim", class->depth);
    cJSON_AddStringToObject(object, "scaling", string(class, "scaling", "none"));
    cJSON_AddStringToObject(object, "explanation", why);
    tt_json_add_number(object, "multiplier", class->multiplier);
    cJSON_AddItemToObject(object, "pairs", pairs_json(class));
    free(why);
    return object;
}

static cJSON *document(const struct tt_rope_report *report)
{
    cJSON *made = tt_json_document("rope");
    if (report->model)
        cJSON_AddStringToObject(made, "model", report->model);
    tt_json_add_i64(made, "position", report->position);
    tt_json_add_i64(made, "length", report->length);
    cJSON_AddStringToObject(made, "verdict", report->difference ? "mismatch" : "match");
    if (report->difference)
        cJSON_AddStringToObject(made, "difference", report->difference);
    cJSON *list = cJSON_AddArrayToObject(made, "classes");
    for (size_t i = 0; i < report->nclasses; i++)
        cJSON_AddItemToArray(list, class_json(&report->classes[i], report));
    return made;
}

int tt_rope_print(struct tt_context *context, const struct tt_rope_report *report)
{
    int status = report->difference ? TT_STATUS_MISMATCH : TT_STATUS_MATCH;
    if (context->json)
        return tt_emit_json(context, document(report), status);
    struct tt_term term = tt_term_open(context->out, context->color, context->md);
    for (size_t i = 0; i < report->nclasses; i++) {
        print_title(&term, &report->classes[i]);
        print_facts(&term, &report->classes[i], report);
        print_pairs(&term, &report->classes[i], tt_option_flag(context->options, "all"));
    }
    if (report->difference)
        fprintf(term.out, "%smismatch%s   computed as given; %s\n", tt_style_begin(&term, TT_RED), tt_style_end(&term, TT_RED),
                report->difference);
    return status;
}
