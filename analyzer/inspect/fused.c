/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts of a fused tensor in an order that the family does not have: q, k and v of each head together, or the other way
 * round. Some rows of the part are looked for among the rows of all parts.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "inspect/explain.h"

#define SAMPLES 24        /* rows that are looked for */
#define LARGEST (1 << 25) /* elements of a part that is searched */

struct search {
    const struct tt_pair *pair;
    double *rows;          /* [SAMPLES, columns] of B */
    bool found[SAMPLES];
    const char *parts[8];  /* names of the parts that have some of them */
    int nparts;
};

static bool alike(const double *a, const double *b, int64_t n, double below)
{
    double error = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        error += (a[i] - b[i]) * (a[i] - b[i]);
        size += b[i] * b[i];
    }
    return size > 0 && error <= below * size;
}

static void search_part(struct search *s, const struct tt_placed *part)
{
    int64_t columns = s->pair->columns;
    double *v = tt_alloc_array((size_t)(part->rows * columns), sizeof *v), below = tt_alike_below(part, s->pair->b);
    bool any = false, readable = tt_placed_read(part, part, 0, part->rows, v, NULL) == 0;
    for (int i = 0; i < SAMPLES && readable; i++)
        for (int64_t row = 0; row < part->rows && !s->found[i]; row++)
            if (alike(s->rows + i * columns, v + row * columns, columns, below))
                s->found[i] = any = true;
    free(v);
    if (any && s->nparts < (int)(sizeof s->parts / sizeof *s->parts))
        s->parts[s->nparts++] = part->name;
}

static bool read_samples(struct search *s)
{
    const struct tt_pair *pair = s->pair;
    for (int64_t i = 0; i < SAMPLES; i++)
        if (tt_placed_read(pair->b, pair->a, i * (pair->rows - 1) / (SAMPLES - 1), 1, s->rows + i * pair->columns, NULL))
            return false;
    return true;
}

/* Parts of A's whose counterparts B has in the same tensor. */
static void search_parts(struct search *s, const struct tt_sides *sides)
{
    for (int i = 0; i < sides->in_b.count; i++) {
        const struct tt_placed *b = &sides->in_b.items[i];
        int at = b->tensor->base && b->tensor->base == s->pair->b->tensor->base
                     ? tt_placed_find(&sides->in_a, b->name, b->layer)
                     : -1;
        const struct tt_placed *a = at < 0 ? NULL : &sides->in_a.items[at];
        if (a && tt_placed_present(a) && a->columns == s->pair->columns && a->rows * a->columns <= LARGEST)
            search_part(s, a);
    }
}

bool tt_explain_split(const struct tt_sides *sides, const struct tt_pair *pair, struct tt_explanation *out)
{
    struct search s = {.pair = pair};
    int found = 0;
    if (!pair->b->tensor->base || pair->rows < 2 || pair->columns < 2)
        return false;
    s.rows = tt_alloc_array((size_t)(SAMPLES * pair->columns), sizeof *s.rows);
    if (read_samples(&s))
        search_parts(&s, sides);
    free(s.rows);
    for (int i = 0; i < SAMPLES; i++)
        found += s.found[i];
    if (found < SAMPLES || s.nparts < 2)
        return false;
    snprintf(out->cause, sizeof out->cause, "linear.split_order");
    snprintf(out->expected, sizeof out->expected, "rows of %s", pair->a->name);
    snprintf(out->found, sizeof out->found, "rows of %s, %s%s", s.parts[0], s.parts[1], s.nparts > 2 ? " and others" : "");
    snprintf(out->evidence, sizeof out->evidence, "this part of %s holds rows of %d of its parts: they are fused in another order",
             pair->b->tensor->name, s.nparts);
    return true;
}
