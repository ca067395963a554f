/* SPDX-License-Identifier: Apache-2.0
 *
 * Explanations are tried from the surest on. What only looks at two matrices is asked of diagnose/weight_forms, which
 * knows what the weight of an engine may be instead of that in its file.
 */
#include "inspect/explain.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "diagnose/weight_forms.h"
#include "inspect/rounding.h"

#define LARGEST (1 << 25) /* elements of each of the two that are held: 256 MiB as f64 */

/* ---- what is looked at ---- */

/* Of a stack the expert that differs first; of a very large matrix the rows around the first difference. */
static void choose_rows(const struct tt_pair *pair, const struct tt_pair_difference *d, struct tt_window *w)
{
    const struct tt_model_tensor *a = pair->a->tensor;
    int64_t unit = a->rank == 3 ? pair->rows / a->shape[0] : pair->rows, most = LARGEST / pair->columns;
    int64_t whole = pair->a->head_dim ? pair->a->head_dim : 1, row = d->at > 0 ? d->at / pair->columns : 0;
    if (unit > most)
        unit = most > whole ? most / whole * whole : whole;
    w->first = row / unit * unit;
    w->rows = pair->rows - w->first < unit ? pair->rows - w->first : unit;
    w->columns = pair->columns;
}

static int open_window(const struct tt_pair *pair, const struct tt_pair_difference *d, struct tt_window *w,
                       struct tt_error *error)
{
    *w = (struct tt_window){.pair = pair};
    choose_rows(pair, d, w);
    double *a = tt_alloc_array((size_t)(w->rows * w->columns), sizeof *a);
    double *b = tt_alloc_array((size_t)(w->rows * w->columns), sizeof *b);
    w->exact = pair->swapped ? b : a;
    w->other = pair->swapped ? a : b;
    w->noise = tt_pair_expected(d);
    if (tt_placed_read(pair->a, pair->a, w->first, w->rows, a, error))
        return -1;
    return tt_placed_read(pair->b, pair->a, w->first, w->rows, b, error);
}

static void close_window(struct tt_window *w)
{
    free(w->exact);
    free(w->other);
}

/* ---- forms of a weight ---- */

/* The forms call the one file "the file": that is the more exact of the two here. */
static void reword(const char *text, const char *file, char *out, size_t size)
{
    static const char word[] = "the file's";
    const char *at = strstr(text, word);
    if (at)
        snprintf(out, size, "%.*sthat of %s%s", (int)(at - text), text, file, at + sizeof word - 1);
    else
        snprintf(out, size, "%s", text);
}

/* Floats of another width are the same weights. A block type's steps under another type's name are a loss. */
static bool is_float_form(const char *name)
{
    static const char *const floats[] = {"weight as bf16", "weight as bf16, cut off", "weight as f16"};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        if (strcmp(name, floats[i]) == 0)
            return true;
    return false;
}

/* The type whose steps would leave such an error; NULL: none comes near. */
static const char *type_with(const struct tt_window *w, double nmse)
{
    const char *nearest = NULL;
    double off = 0.15;
    for (int type = 0; type < TT_DTYPE_COUNT; type++) {
        int64_t length = tt_rounding_block((enum tt_dtype)type);
        double nominal = tt_rounding_nominal((enum tt_dtype)type), error = 0, size = 0;
        if (!(nominal > nmse / 2 && nominal < nmse * 2) || w->columns % length)
            continue;
        for (int64_t at = 0; at < w->rows * w->columns; at += length) {
            error += tt_rounding_error((enum tt_dtype)type, w->exact + at, length);
            for (int64_t i = at; i < at + length; i++)
                size += w->exact[i] * w->exact[i];
        }
        if (size > 0 && fabs(error / size / nmse - 1) < off) {
            off = fabs(error / size / nmse - 1);
            nearest = tt_dtype_info((unsigned)type)->name;
        }
    }
    return nearest;
}

static void explain_rounding(const struct tt_window *w, const struct tt_pair_difference *d, const char *name,
                             struct tt_explanation *out)
{
    const char *type = tt_dtype_info(tt_pair_other(w->pair)->tensor->dtype)->name, *like = NULL;
    bool close = strcmp(name, "weight quantised") == 0;
    snprintf(out->found, sizeof out->found, "%s", name);
    if (is_float_form(name) || !tt_pair_known(w->pair))
        return;
    like = close ? type_with(w, tt_pair_nmse(d)) : NULL;
    snprintf(out->cause, sizeof out->cause, "quant.wrong_type");
    snprintf(out->expected, sizeof out->expected, "the error of %s, NMSE %.2g", type, tt_pair_expected(d));
    if (like)
        snprintf(out->found, sizeof out->found, "an error like that of %s", like);
    snprintf(out->evidence, sizeof out->evidence, "NMSE %.2g where %s leaves %.2g: %s", tt_pair_nmse(d), type,
             tt_pair_expected(d), close && !like ? "rounded to a coarser type before, or trained further"
                                                 : "rounded to a coarser type before");
    out->confidence = close && !like ? "unsure" : "likely";
}

static void take_form(const struct tt_window *w, const struct tt_weight_form *form, struct tt_explanation *out)
{
    char words[256];
    bool permuted = strcmp(form->cause, "linear.permuted_rows") == 0;
    reword(form->text, w->pair->swapped ? "B" : "A", words, sizeof words);
    snprintf(out->cause, sizeof out->cause, "%s", permuted ? "file.permuted" : form->cause);
    snprintf(out->found, sizeof out->found, "%s", form->found);
    snprintf(out->evidence, sizeof out->evidence, "what %s holds is %s", w->pair->swapped ? "A" : "B", words);
}

static bool explain_form(const struct tt_window *w, const struct tt_pair_difference *d, struct tt_explanation *out)
{
    struct tt_weight_pair pair = {.rows = w->rows, .columns = w->columns, .used = w->other, .file = w->exact,
                                  .dtype = tt_pair_other(w->pair)->tensor->dtype, .noise = w->noise};
    struct tt_weight_form form;
    if (!tt_weight_form(&pair, &form))
        return false;
    if (form.benign) {
        explain_rounding(w, d, form.benign, out);
        return true;
    }
    take_form(w, &form, out);
    out->confidence = "certain";
    return true;
}

/* ---- what is left ---- */

static bool mostly_zero(const struct tt_pair_difference *d)
{
    return d->zero > 0 && 2 * d->zero >= d->bad;
}

/* A few blocks that were never written: no form of the whole. */
static bool few_are_zero(const struct tt_pair_difference *d)
{
    return mostly_zero(d) && 8 * d->bad <= d->blocks;
}

static void explain_blocks(const struct tt_window *w, const struct tt_pair_difference *d, struct tt_explanation *out)
{
    bool zero = mostly_zero(d);
    snprintf(out->cause, sizeof out->cause, zero ? "linear.truncated" : "linear.wrong_weight");
    snprintf(out->found, sizeof out->found, "%lld of %lld blocks%s", (long long)d->bad, (long long)d->blocks,
             zero ? " are zero" : "");
    snprintf(out->evidence, sizeof out->evidence,
             "%lld of %lld blocks %s, the first at row %lld, column %lld; the others are right", (long long)d->bad,
             (long long)d->blocks, zero ? "are zero" : "are something else", (long long)(d->at / w->columns),
             (long long)(d->at % w->columns));
    out->confidence = "certain";
}

static void explain_rest(const struct tt_window *w, const struct tt_pair_difference *d, struct tt_explanation *out)
{
    struct tt_weight_pair pair = {.rows = w->rows, .columns = w->columns, .used = w->other, .file = w->exact};
    struct tt_weight_form form;
    if (d->bad && 4 * d->bad <= d->blocks) {
        explain_blocks(w, d, out);
        return;
    }
    tt_weight_difference(&pair, &form);
    take_form(w, &form, out);
    snprintf(out->evidence, sizeof out->evidence, "no known form of A's numbers: NMSE %.3g where the types leave %.2g",
             tt_pair_nmse(d), tt_pair_expected(d));
    out->confidence = "unsure";
}

static void explain_nonfinite(const struct tt_pair_difference *d, struct tt_explanation *out)
{
    snprintf(out->cause, sizeof out->cause, "value.nan");
    snprintf(out->found, sizeof out->found, "%lld numbers", (long long)d->nonfinite);
    snprintf(out->evidence, sizeof out->evidence, "%lld of %lld numbers are not finite in one of the files alone",
             (long long)d->nonfinite, (long long)d->count);
    out->confidence = "certain";
}

int tt_explain(const struct tt_sides *sides, const struct tt_pair *pair, const struct tt_pair_difference *d,
               struct tt_explanation *out, struct tt_error *error)
{
    struct tt_window w;
    *out = (struct tt_explanation){.confidence = "certain", .from_layer = -2};
    if (d->nonfinite) {
        explain_nonfinite(d, out);
        return 0;
    }
    if (tt_explain_place(sides, pair, out) || tt_explain_experts(pair, out))
        return 0;
    int failed = open_window(pair, d, &w, error);
    if (!failed && few_are_zero(d))
        explain_blocks(&w, d, out);
    else if (!failed && !tt_explain_order(&w, out) && !tt_explain_folded(sides, &w, out) && !explain_form(&w, d, out) &&
             !tt_explain_split(sides, pair, out))
        explain_rest(&w, d, out);
    close_window(&w);
    return failed;
}
