/* SPDX-License-Identifier: Apache-2.0
 *
 * The right numbers under another name: weights of another layer, gate and up or keys and values exchanged, experts in
 * another order. Compared by a few rows, which no two weights share.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "inspect/explain.h"
#include "inspect/rounding.h"

#define SAMPLES 4 /* rows that are compared */

double tt_alike_below(const struct tt_placed *a, const struct tt_placed *b)
{
    double noise = tt_rounding_nominal(a->tensor->dtype) + tt_rounding_nominal(b->tensor->dtype);
    return fmin(0.5, fmax(6 * noise, 1e-6));
}

static bool row_alike(const double *a, const double *b, int64_t n, double below)
{
    double error = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        error += (a[i] - b[i]) * (a[i] - b[i]);
        size += a[i] * a[i];
    }
    return isfinite(error) && size > 0 && error <= below * size;
}

/* b as if it stood where `like` does: with the order of rows and the constants of that place. */
static struct tt_placed standing_at(const struct tt_placed *b, const struct tt_placed *like)
{
    struct tt_placed out = *like;
    out.tensor = b->tensor;
    return out;
}

static bool alike_at(const struct tt_placed *a, const struct tt_placed *b, int64_t row_a, int64_t row_b, int64_t count)
{
    double *left = tt_alloc_array((size_t)(count * a->columns), sizeof *left);
    double *right = tt_alloc_array((size_t)(count * a->columns), sizeof *right);
    bool alike = tt_placed_read(a, a, row_a, count, left, NULL) == 0 && tt_placed_read(b, a, row_b, count, right, NULL) == 0 &&
                 row_alike(left, right, count * a->columns, tt_alike_below(a, b));
    free(left);
    free(right);
    return alike;
}

bool tt_rows_alike(const struct tt_placed *a, const struct tt_placed *b, const struct tt_placed *like)
{
    struct tt_placed moved = standing_at(b, like);
    bool single = a->columns == 1; /* a number alone is no row */
    if (a->rows != b->rows || a->columns != b->columns || like->rows != a->rows)
        return false;
    if (single)
        return alike_at(a, &moved, 0, 0, a->rows);
    for (int64_t i = 0; i < SAMPLES; i++) {
        int64_t row = i * (a->rows - 1) / (SAMPLES - 1);
        if (!alike_at(a, &moved, row, row, 1))
            return false;
    }
    return true;
}

/* ---- another weight ---- */

struct wrong_place {
    const char *here, *there; /* globs of names would say more than is needed: parts of them */
    const char *cause;
};

static const struct wrong_place wrong_places[] = {
    {"gate_proj", "up_proj", "mlp.gate_up_swapped"}, {"up_proj", "gate_proj", "mlp.gate_up_swapped"},
    {"norm", "", "norm.wrong_weight"},               {"lm_head", "", "logits.wrong_head"},
    {"", "", "linear.wrong_weight"},
};

static const char *cause_of(const struct tt_placed *here, const struct tt_placed *there)
{
    const struct tt_model_tensor *a = here->tensor->base, *b = there->tensor->base;
    size_t i = 0;
    if (a && a == b) /* both are parts of one tensor */
        return "linear.split_order";
    while (!strstr(here->name, wrong_places[i].here) || !strstr(there->name, wrong_places[i].there))
        i++;
    return wrong_places[i].cause;
}

/* The same name in other layers, the same layer, anything: an exchange within a layer is no exchange of layers. */
static int kinship(const struct tt_placed *a, const struct tt_placed *b)
{
    if (strcmp(a->name, b->name) == 0)
        return 0;
    return a->layer == b->layer ? 1 : 2;
}

static const struct tt_placed *found_at(const struct tt_sides *sides, const struct tt_pair *pair)
{
    for (int kin = 0; kin < 3; kin++) {
        for (int i = 0; i < sides->in_a.count; i++) {
            const struct tt_placed *candidate = &sides->in_a.items[i];
            int at = tt_placed_find(&sides->in_b, candidate->name, candidate->layer);
            if (candidate != pair->a && kinship(candidate, pair->a) == kin && at >= 0 && tt_placed_present(candidate) &&
                tt_rows_alike(candidate, pair->b, &sides->in_b.items[at]))
                return candidate;
        }
    }
    return NULL;
}

bool tt_explain_place(const struct tt_sides *sides, const struct tt_pair *pair, struct tt_explanation *out)
{
    const struct tt_placed *there = found_at(sides, pair);
    if (!there)
        return false;
    bool same_name = strcmp(there->name, pair->a->name) == 0;
    snprintf(out->cause, sizeof out->cause, "%s", cause_of(pair->a, there));
    snprintf(out->expected, sizeof out->expected, "%s", tt_placed_address(pair->a).text);
    snprintf(out->found, sizeof out->found, "%s", tt_placed_address(there).text);
    snprintf(out->evidence, sizeof out->evidence, "its numbers are those of %s (%s) in A", tt_placed_address(there).text,
             there->tensor->name);
    out->confidence = "certain";
    out->from_layer = same_name ? there->layer : -2;
    return true;
}

/* ---- experts ---- */

/* The expert of A that B's is, -1: none. Its own place first. */
static int64_t expert_of(const struct tt_pair *pair, int64_t expert, int64_t n)
{
    int64_t each = pair->rows / n;
    if (alike_at(pair->a, pair->b, expert * each, expert * each, each))
        return expert;
    for (int64_t other = 0; other < n; other++)
        if (alike_at(pair->a, pair->b, other * each, expert * each, 1) &&
            alike_at(pair->a, pair->b, other * each, expert * each, each))
            return other;
    return -1;
}

bool tt_explain_experts(const struct tt_pair *pair, struct tt_explanation *out)
{
    const struct tt_model_tensor *a = pair->a->tensor;
    int64_t n = a->rank == 3 ? a->shape[0] : 0, moved = 0, first = -1, from = -1;
    if (n < 2 || pair->a->rows != pair->b->rows)
        return false;
    for (int64_t expert = 0; expert < n; expert++) {
        int64_t source = expert_of(pair, expert, n);
        if (source < 0)
            return false;
        moved += source != expert;
        if (source != expert && first < 0) {
            first = expert;
            from = source;
        }
    }
    if (!moved)
        return false;
    snprintf(out->cause, sizeof out->cause, "moe.expert_order");
    snprintf(out->expected, sizeof out->expected, "expert %lld", (long long)first);
    snprintf(out->found, sizeof out->found, "expert %lld", (long long)from);
    snprintf(out->evidence, sizeof out->evidence, "%lld of %lld experts stand in another order: in place %lld is expert %lld of A",
             (long long)moved, (long long)n, (long long)first, (long long)from);
    out->confidence = "certain";
    return true;
}
