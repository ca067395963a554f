/* SPDX-License-Identifier: Apache-2.0
 *
 * Caches: which row was read where which row was written. Rows are compared whole (all heads), so a head map that is
 * wrong does not look like a row that is.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "diagnose/hypotheses.h"

const struct tt_variant tt_state_variants[] = {
    {"kv.shifted", "shift=1", NULL},
    {"kv.shifted", "shift=-1", NULL},
    {"kv.stale", "stale=1", NULL},
    {"kv.overwritten", "overwritten_row=0", NULL},
    {NULL, NULL, NULL},
};

#define SAME_ROW 1e-5 /* NMSE */

static double row_distance(const double *a, const double *b, int64_t n)
{
    double error = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        error += (a[i] - b[i]) * (a[i] - b[i]);
        size += b[i] * b[i];
    }
    return size > 0 ? error / size : error > 0 ? INFINITY : 0;
}

static bool is_zero(const double *a, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (a[i] != 0)
            return false;
    return true;
}

static void add_number(struct tt_hypotheses *out, int node, const char *cause, const char *attribute, int64_t row,
                       const char *found)
{
    struct tt_hypothesis *h = tt_hypotheses_add(out, node, TT_FROM_RECOVERY, cause);
    struct tt_scalar value = tt_scalar_number((double)row);
    tt_override_set(tt_overrides_add(&h->overrides, node), attribute, &value);
    snprintf(h->expected, sizeof h->expected, "row %lld as written", (long long)row);
    snprintf(h->found, sizeof h->found, "%s", found);
}

/* One wrong row: zero, or the copy of another. */
static void explain_row(const struct tt_observation *target, const struct tt_value *expected, int64_t row,
                        struct tt_hypotheses *out)
{
    int64_t rows = expected->shape[0], n = tt_value_count(expected) / rows;
    const double *seen = target->value.v + row * n;
    char found[64];
    if (is_zero(seen, n)) {
        add_number(out, target->node, "kv.hole", "hole_row", row, "never written: zeros");
        return;
    }
    for (int64_t other = 0; other < rows; other++) {
        if (other == row || row_distance(seen, expected->v + other * n, n) > SAME_ROW)
            continue;
        snprintf(found, sizeof found, "row %lld's content", (long long)other);
        add_number(out, target->node, other > row ? "kv.overwritten" : "kv.stale",
                   other > row ? "overwritten_row" : "stale_row", row, found);
        if (other == rows - 1) /* the one just written: so it will be in the next pass */
            return;
        struct tt_scalar value = tt_scalar_number((double)other);
        tt_override_set(&out->items[out->count - 1].overrides.items[0], "copied_row", &value);
        return;
    }
}

void tt_hypotheses_of_rows(const struct tt_diagnosis *d, const struct tt_observation *target, struct tt_hypotheses *out)
{
    struct tt_value expected;
    if (!tt_observation_complete(target) || target->value.rank != 3 ||
        tt_evaluate_as(d->evaluator, target, NULL, &expected, NULL))
        return;
    int64_t rows = expected.shape[0], n = rows ? tt_value_count(&expected) / rows : 0, wrong = -1, count = 0;
    for (int64_t r = 0; r < rows; r++) {
        if (row_distance(target->value.v + r * n, expected.v + r * n, n) > SAME_ROW) {
            wrong = r;
            count++;
        }
    }
    if (count == 1)
        explain_row(target, &expected, wrong, out);
    tt_value_free(&expected);
}

/* The observation as if its only row had been row `at`. */
static struct tt_judgement judge_at(const struct tt_diagnosis *d, const struct tt_observation *target, int64_t from, int64_t at)
{
    struct tt_observation moved = *target;
    struct tt_judgement judged = {.status = TT_UNMEASURED};
    struct tt_value expected;
    int64_t width = tt_value_width(&target->value);
    moved.value = tt_value_copy(&target->value);
    moved.seen = tt_alloc((size_t)tt_value_rows(&target->value) + 1);
    for (int64_t i = 0; i < width; i++)
        moved.value.v[at * width + i] = target->value.v[from * width + i];
    moved.seen[at] = 1;
    if (tt_evaluate_as(d->evaluator, &moved, NULL, &expected, NULL) == 0) {
        judged = tt_judge(&moved, &expected);
        tt_value_free(&expected);
    }
    tt_value_free(&moved.value);
    free(moved.seen);
    return judged;
}

void tt_hypotheses_of_chosen_row(const struct tt_diagnosis *d, const struct tt_observation *target, struct tt_hypotheses *out)
{
    int64_t rows = tt_value_rows(&target->value), from = 0;
    if (target->consumer < 0 || target->nseen != 1 || rows < 2 || target->value.rank != 2)
        return;
    while (!target->seen[from])
        from++;
    for (int64_t at = 0; at < rows; at++) {
        struct tt_judgement judged = at == from ? (struct tt_judgement){0} : judge_at(d, target, from, at);
        if (at == from || !judged.n || !tt_judgement_right(&judged))
            continue;
        struct tt_hypothesis *h = tt_hypotheses_add(out, target->consumer, TT_FROM_RECOVERY, "logits.wrong_row");
        h->tried = true;
        h->judged = judged;
        snprintf(h->expected, sizeof h->expected, "row %lld", (long long)from);
        snprintf(h->found, sizeof h->found, "row %lld", (long long)at);
        return;
    }
}
