/* SPDX-License-Identifier: Apache-2.0
 *
 * Why did a call not compute what it was asked for? First forms that are no fault (operands rounded to TF32 or bf16 on the
 * way in), then where the wrong elements lie, then what the ops can recover, then how sums were taken.
 */
#include "verify/calls.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRONG_Z     8.0  /* an element this far off counts as wrong */
#define RECOVERIES  8
#define LOOSEST_FIT 0.02 /* χ² below which a round-off is too coarse to be the one that was used */

static bool right(const struct tt_judgement *j)
{
    return j->status == TT_EXACT || j->status == TT_PASS;
}

static void found_as(struct tt_call_check *c, const char *cause, double chi2)
{
    snprintf(c->cause, sizeof c->cause, "%s", cause);
    c->chi2_after = chi2;
}

/* ---- benign ---- */

static bool is_benign(const struct tt_call_product *p, struct tt_call_check *c)
{
    static const struct {
        const char *name;
        double unit;
    } forms[] = {{"tf32 operands", 0x1p-11}, {"bf16 operands", 0x1p-8}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms && p->u_store == 0x1p-24; i++) {
        struct tt_value expected = tt_call_product_expected(p, forms[i].unit, p->u_acc);
        struct tt_judgement j = tt_judge(&p->seen, &expected);
        tt_value_free(&expected);
        if (!right(&j))
            continue;
        j.status = TT_DRIFT;
        j.nmse = c->judged.nmse;
        c->judged = j;
        c->form = forms[i].name;
        return true;
    }
    return false;
}

/* ---- where ---- */

struct extents { /* of the wrong elements of all slices, half open */
    int64_t row[2], column[2], count;
};

static struct extents wrong_elements(const struct tt_call_product *p, const struct tt_value *expected)
{
    struct extents e = {{p->m, 0}, {p->n, 0}, 0};
    for (int64_t i = 0, count = p->batch * p->m * p->n; i < count; i++) {
        double d = p->seen.value.v[i] - expected->v[i];
        int64_t row = i / p->n % p->m, column = i % p->n;
        if (d * d <= WRONG_Z * WRONG_Z * expected->var[i] || p->seen.value.v[i] == expected->v[i])
            continue;
        e.count++;
        e.row[0] = row < e.row[0] ? row : e.row[0];
        e.row[1] = row + 1 > e.row[1] ? row + 1 : e.row[1];
        e.column[0] = column < e.column[0] ? column : e.column[0];
        e.column[1] = column + 1 > e.column[1] ? column + 1 : e.column[1];
    }
    return e;
}

/* Behind the last whole tile of a power of two. */
static bool is_remainder(int64_t first, int64_t n)
{
    for (int64_t tile = 2; tile <= 512; tile *= 2)
        if (first % tile == 0 && first > 0 && n - first < tile)
            return true;
    return false;
}

static bool is_tail(const struct tt_call_product *p, const struct tt_value *expected, struct tt_call_check *c)
{
    struct extents e = wrong_elements(p, expected);
    bool columns = is_remainder(e.column[0], p->n) && e.column[1] == p->n;
    bool rows = is_remainder(e.row[0], p->m) && e.row[1] == p->m;
    if (!columns && !rows)
        return false;
    found_as(c, "linear.tile_remainder", NAN);
    snprintf(c->expected, sizeof c->expected, "[%lld, %lld]", (long long)p->m, (long long)p->n);
    if (columns)
        snprintf(c->found, sizeof c->found, "columns %lld to %lld of %lld not computed", (long long)e.column[0],
                 (long long)p->n - 1, (long long)p->n);
    else
        snprintf(c->found, sizeof c->found, "rows %lld to %lld of %lld not computed", (long long)e.row[0], (long long)p->m - 1,
                 (long long)p->m);
    return true;
}

/* ---- not finite ---- */

static bool is_nonfinite(const struct tt_call_product *p, const struct tt_value *expected, struct tt_call_check *c)
{
    bool nan = false, overflow = p->u_store == 0x1p-11;
    if (!c->judged.nonfinite)
        return false;
    for (int64_t i = 0, n = tt_value_count(&p->seen.value); i < n; i++) {
        double seen = p->seen.value.v[i];
        nan = nan || isnan(seen);
        overflow = overflow && (isfinite(seen) || fabs(expected->v[i]) >= 65504);
    }
    found_as(c, overflow ? "precision.overflow_f16" : nan ? "value.nan" : "value.inf", NAN);
    snprintf(c->expected, sizeof c->expected, "finite values");
    snprintf(c->found, sizeof c->found, "%lld elements %s", (long long)c->judged.nonfinite, nan ? "NaN" : "infinite");
    return true;
}

/* ---- other arguments ---- */

/* The same call with alpha or beta left out. */
static bool ignores_factor(const struct tt_call_product *p, struct tt_call_check *c)
{
    for (int which = 0; which < 2; which++) {
        struct tt_call_product other = *p;
        if (which == 0)
            other.alpha = 1;
        else
            other.c = NULL;
        if ((which == 0 && p->alpha == 1) || (which == 1 && !p->c))
            continue;
        struct tt_value expected = tt_call_product_expected(&other, 0, p->u_acc);
        struct tt_judgement j = tt_judge(&p->seen, &expected);
        tt_value_free(&expected);
        if (!right(&j))
            continue;
        found_as(c, "linear.scale", j.chi2);
        snprintf(c->expected, sizeof c->expected, which ? "beta %.6g" : "alpha %.6g", which ? p->beta : p->alpha);
        snprintf(c->found, sizeof c->found, which ? "beta 0" : "alpha 1");
        return true;
    }
    return false;
}

/* The first slice as an op call, for what `linear` recovers from a result. */
struct slice {
    struct tt_value x, w, y;
    struct tt_attributes attributes;
    struct tt_op_call op;
};

static void open_slice(const struct tt_call_product *p, struct slice *s)
{
    *s = (struct slice){.x = {.rank = 2, .shape = {p->m, p->k}, .v = p->a},
                        .w = {.rank = 2, .shape = {p->n, p->k}, .v = p->b},
                        .y = {.rank = 2, .shape = {p->m, p->n}, .v = p->seen.value.v}};
    tt_attributes_set_number(&s->attributes, "scale", p->alpha);
    s->op = (struct tt_op_call){.nin = 1, .in = {&s->x}, .weight = {&s->w}, .attributes = &s->attributes,
                                .numerics = {.u_store = p->u_store, .u_acc = p->u_acc}};
}

static bool is_recovered(const struct tt_call_product *p, struct tt_call_check *c)
{
    struct slice s;
    if (p->elementwise || !p->a || !p->b || p->c || p->n < 2)
        return false;
    open_slice(p, &s);
    struct tt_recovery *list = tt_alloc_array(RECOVERIES, sizeof *list);
    int n = tt_op_find("linear")->recover(&s.op, &s.y, list, RECOVERIES);
    if (n > 0) {
        found_as(c, list[0].cause, NAN);
        snprintf(c->expected, sizeof c->expected, "%s", list[0].expected);
        snprintf(c->found, sizeof c->found, "%s", list[0].found);
    }
    free(list);
    return n > 0;
}

/* ---- how it was summed ---- */

/* Coarse sums are off everywhere; a loose error bar would also cover a single wrong element. */
static bool is_summed_coarsely(const struct tt_call_product *p, const struct tt_value *right_sums, struct tt_call_check *c)
{
    static const struct {
        const char *cause, *found;
        double unit;
    } sums[] = {{"precision.accumulate_f16", "sums in f16", 0x1p-11}, {"precision.accumulate_bf16", "sums in bf16", 0x1p-8}};
    double nearest = INFINITY;
    if (2 * wrong_elements(p, right_sums).count < tt_value_count(right_sums))
        return false;
    for (size_t i = 0; i < sizeof sums / sizeof *sums && p->u_store < 0x1p-11 && !p->elementwise; i++) {
        struct tt_value expected = tt_call_product_expected(p, 0, sums[i].unit);
        struct tt_judgement j = tt_judge(&p->seen, &expected);
        tt_value_free(&expected);
        if (!right(&j) || j.chi2 < LOOSEST_FIT || fabs(log(j.chi2)) >= nearest)
            continue;
        nearest = fabs(log(j.chi2));
        found_as(c, sums[i].cause, j.chi2);
        snprintf(c->expected, sizeof c->expected, "sums in %s", p->u_acc == 0x1p-53 ? "f64" : "f32");
        snprintf(c->found, sizeof c->found, "%s", sums[i].found);
    }
    return isfinite(nearest);
}

void tt_call_explain(const struct tt_call_product *p, struct tt_call_check *c)
{
    if (is_benign(p, c) || c->judged.status != TT_INTRODUCED)
        return;
    struct tt_value expected = tt_call_product_expected(p, 0, p->u_acc);
    if (!is_tail(p, &expected, c) && !is_nonfinite(p, &expected, c) && !ignores_factor(p, c) && !is_recovered(p, c) &&
        !is_summed_coarsely(p, &expected, c))
        found_as(c, "unknown", NAN);
    tt_value_free(&expected);
}
