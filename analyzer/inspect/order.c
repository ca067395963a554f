/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows that a rope turns stand in the order of its pairs. Converters between the two orders forget to move them, move
 * them twice, or by the wrong number of heads.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "diagnose/weight_forms.h"
#include "inspect/explain.h"

static double predict_row(const struct tt_weight_pair *p, const struct tt_weight_rule *rule, int64_t row, int64_t column)
{
    return p->file[rule->map[row] * p->columns + column];
}

/* Whether the other file's row n is the exact one's row `n turned to that order`. */
static bool turned(const struct tt_window *w, int64_t head_dim, int64_t rotated, bool to_interleaved)
{
    struct tt_weight_pair pair = {.rows = w->rows, .columns = w->columns, .used = w->other, .file = w->exact, .noise = w->noise};
    int64_t *map = tt_alloc_array((size_t)w->rows, sizeof *map);
    struct tt_weight_rule rule = {.predict = predict_row, .map = map};
    for (int64_t row = 0; row < w->rows; row++)
        map[row] = tt_paired_row(row, head_dim, rotated, to_interleaved);
    bool found = tt_weight_obeys(&pair, &rule);
    free(map);
    return found;
}

static const char *order_name(bool interleaved)
{
    return interleaved ? "pairs (2i, 2i + 1)" : "pairs (i, i + n/2)";
}

/* `to_interleaved`: how the other file's rows have to be turned to become the exact one's. What was not moved is off by
 * the conversion, what was moved twice by its inverse. */
static const char *what_happened(const struct tt_pair *pair, bool to_interleaved)
{
    bool forgotten = to_interleaved == (pair->b->interleaved != pair->swapped);
    if (pair->a->interleaved == pair->b->interleaved)
        return "in the other order";
    return forgotten ? "not permuted" : "permuted twice";
}

static void say(const struct tt_window *w, bool to_interleaved, struct tt_explanation *out)
{
    const struct tt_placed *b = w->pair->b;
    const char *what = what_happened(w->pair, to_interleaved);
    snprintf(out->cause, sizeof out->cause, "file.permuted");
    snprintf(out->expected, sizeof out->expected, "rows of each head as %s", order_name(b->interleaved));
    snprintf(out->found, sizeof out->found, "%s", what);
    snprintf(out->evidence, sizeof out->evidence,
             "the rows of each head of %lld are %s: the rope of this kind of file has %s", (long long)b->head_dim, what,
             order_name(b->interleaved));
    out->confidence = "certain";
}

bool tt_explain_order(const struct tt_window *w, struct tt_explanation *out)
{
    const struct tt_placed *a = w->pair->a;
    if (!a->head_dim || a->rotated < 4 || w->first % a->head_dim || w->rows % a->head_dim)
        return false;
    for (int to_interleaved = 0; to_interleaved < 2; to_interleaved++) {
        if (!turned(w, a->head_dim, a->rotated, to_interleaved))
            continue;
        say(w, to_interleaved, out);
        return true;
    }
    return false;
}
