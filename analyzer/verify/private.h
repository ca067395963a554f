/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the evaluator, shared by evaluate.c, caches.c, layout.c and overrides.c.
 */
#ifndef TT_VERIFY_PRIVATE_H
#define TT_VERIFY_PRIVATE_H

#include "verify/evaluate.h"

struct slot {
    bool filled, observed; /* observed: every row was seen, so an override upstream changes nothing here */
    struct tt_value value;
};

struct memory { /* one sequence's caches, by node */
    struct tt_value *rows;    /* [nodes], [keys, heads, head_dim] as they were read; rank 0: nothing yet */
    struct tt_value *written; /* the same as they should have been written */
};

struct tt_evaluator {
    struct tt_graph *graph;
    const struct tt_trace *trace;
    const struct tt_trace_pass *pass;
    int nnodes;
    double unit;
    struct slot *slots;    /* [nodes] */
    struct memory *memories; /* [sequences] */
    int nmemories;
    struct tt_overrides **kept; /* faults already named */
    int nkept;
    double least_unit;     /* ops round at least this much */
    bool as_defined;       /* `kept` does not apply */
    bool holds_weights;    /* of any size that memory allows: the op may read them in any order */
    bool values_only;      /* error bars are not needed */
    int *last_reader;      /* [nodes] last node that reads it, NULL: not asked for yet */
    const uint8_t *focus; /* [ntokens] rows that evaluations under hypotheses are limited to, NULL: all */
};

/* overrides.c */
const struct tt_override *tt_overrides_find(const struct tt_overrides *overrides, int node); /* NULL: none */
void tt_override_apply(struct tt_attributes *attributes, const struct tt_override *override); /* NULL: nothing */

/* layout.c; rows are those of the first axis unless said otherwise */
void tt_fill_unknown(struct tt_value *value, int64_t first, int64_t count); /* elements */
void tt_copy_rows(struct tt_value *to, int64_t at, const struct tt_value *from, int64_t first, int64_t rows);
/* Seen rows from the observation, others from `expected` (same shape; NULL: unknown). */
struct tt_value tt_merge_seen(const struct tt_observation *seen, const struct tt_value *expected);
/* [n, groups, d] -> [n, heads, d]: each query head's copy of the key head it should read ("group", "tile", "first"). */
struct tt_value tt_repeat_heads(const struct tt_value *x, const int64_t *shape, const char *map);
/* Heads as read -> heads as stored: the first reader of each group speaks for it. */
struct tt_value tt_group_heads(const struct tt_value *x, const int64_t *shape);
/* The rows marked in `rows` [nrows], in order, back to their places; the others are unknown. */
struct tt_value tt_scatter_rows(const struct tt_value *some, const uint8_t *rows, int64_t nrows);

/* caches.c */
struct memory *tt_memory_of(struct tt_evaluator *evaluator, int sequence);
int tt_evaluate_cache(struct tt_evaluator *evaluator, int node, const struct tt_attributes *attributes,
                      const struct tt_value *fresh, struct tt_value *out, struct tt_error *error);
void tt_remember(struct tt_evaluator *evaluator, struct memory *memory, int node); /* for the next pass */
void tt_keep(struct tt_evaluator *evaluator, struct memory *memory, int node); /* a value of the sequence's first pass */
void tt_recall(struct tt_evaluator *evaluator, int node, struct tt_value *out); /* the same in a later pass; unknown if it was not kept */
void tt_forget(struct tt_evaluator *evaluator, struct memory *memory, int node);   /* nothing known but the length */

#endif
