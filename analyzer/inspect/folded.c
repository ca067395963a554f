/* SPDX-License-Identifier: Apache-2.0
 *
 * Constants that one file has folded into its weights and the other leaves to the graph: one added to a norm's weights,
 * an embedding's factor, multipliers. Folded twice, or not although the graph expects it, they show as one number that is
 * the same for every element.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "inspect/explain.h"

#define NEAR 5e-3 /* of a fitted number to the constant that it is */

struct fit {
    double offset, scale, error_offset, error_scale, size; /* errors: Σ of squares that the fit leaves */
};

static struct fit fit_constants(const struct tt_window *w)
{
    int64_t n = w->rows * w->columns;
    double product = 0, left = 0;
    struct fit f = {0};
    for (int64_t i = 0; i < n; i++) {
        f.offset += (w->other[i] - w->exact[i]) / (double)n;
        product += w->other[i] * w->exact[i];
        f.size += w->exact[i] * w->exact[i];
        left += w->other[i] * w->other[i];
    }
    f.scale = f.size > 0 ? product / f.size : 1;
    f.error_scale = left - f.scale * product;
    for (int64_t i = 0; i < n; i++) {
        double e = w->other[i] - w->exact[i] - f.offset;
        f.error_offset += e * e;
    }
    return f;
}

static bool near(double x, double constant)
{
    return fabs(x - constant) <= NEAR * fabs(constant);
}

static bool explain_offset(const struct tt_window *w, const struct fit *f, struct tt_explanation *out)
{
    double offset = w->pair->swapped ? -f->offset : f->offset, allowed = fmax(1e-6, 4 * w->noise) * f->size;
    if (!w->pair->a->norm || f->error_offset > allowed || !near(fabs(offset), 1))
        return false;
    bool extra = offset > 0;
    snprintf(out->cause, sizeof out->cause, extra ? "norm.offset_extra" : "norm.offset_missing");
    snprintf(out->expected, sizeof out->expected, "%s", w->pair->b->offset ? "weights stored as w - 1" : "weights as they are used");
    snprintf(out->found, sizeof out->found, extra ? "1 more" : "1 less");
    snprintf(out->evidence, sizeof out->evidence, "every weight is %s by 1 than in A%s", extra ? "larger" : "smaller",
             extra ? ": one was added twice, or the family adds it again" : ": one was not added");
    out->confidence = "certain";
    return true;
}

/* The entry of the configuration whose value is `number`; NULL: none. */
static const char *constant_named(const struct tt_graph *graph, double number)
{
    for (int i = 0; i < tt_graph_nconfig(graph); i++) {
        struct tt_graph_config_entry entry = tt_graph_config_at(graph, i);
        double value = entry.values[0].number;
        if (!entry.values[0].is_string && value != 0 && value != 1 && near(number, value))
            return entry.name;
    }
    return NULL;
}

static bool explain_scale(const struct tt_sides *sides, const struct tt_window *w, const struct fit *f,
                          struct tt_explanation *out)
{
    double scale = w->pair->swapped ? 1 / f->scale : f->scale;
    if (!(scale > 0) || near(scale, 1) || f->error_scale > fmax(1e-6, 4 * w->noise) * f->scale * f->scale * f->size)
        return false;
    const char *name = constant_named(sides->b, scale), *inverse = name ? NULL : constant_named(sides->b, 1 / scale);
    bool folded = name && (w->pair->b->scale != 1 || strstr(name, "scale") || strstr(name, "multiplier"));
    snprintf(out->cause, sizeof out->cause, folded ? "file.scale_folded_twice" : "linear.scale");
    snprintf(out->expected, sizeof out->expected, "scale 1");
    snprintf(out->found, sizeof out->found, "scale %.6g", scale);
    if (name || inverse)
        snprintf(out->evidence, sizeof out->evidence, "the numbers of A %s %s = %.6g%s", name ? "times" : "divided by",
                 name ? name : inverse, name ? scale : 1 / scale, folded ? ", which the family applies when it computes" : "");
    else
        snprintf(out->evidence, sizeof out->evidence, "the numbers of A times %.6g", scale);
    out->confidence = "certain";
    return true;
}

bool tt_explain_folded(const struct tt_sides *sides, const struct tt_window *w, struct tt_explanation *out)
{
    struct fit f = fit_constants(w);
    return explain_offset(w, &f, out) || explain_scale(sides, w, &f, out);
}
