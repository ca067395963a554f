/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the evaluator: evaluator.c (its life), evaluate.c (values and hypotheses), forward.c (one node), op_call.c
 * (what its op is called with), caches.c, layout.c, overrides.c.
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

/* An evaluation under hypotheses: values that differ from the slots. */
struct overlay {
    const struct tt_overrides *overrides; /* NULL: none */
    int8_t *affected;                     /* [nodes] 0 unknown, 1 yes, -1 no */
    struct tt_value *values;              /* [nodes], rank 0: not computed */
    struct tt_value *some;                /* [nodes], the same in the rows asked for only */
};

struct streamed_weight { /* a weight that is read in parts */
    const struct tt_graph *graph;
    const struct tt_model_tensor *tensor;
};

struct prepared { /* an op call with everything it borrows */
    struct tt_op_call call;
    struct tt_attributes attributes;
    struct tt_value inputs[TT_OP_MAX_INPUTS];
    bool lent[TT_OP_MAX_INPUTS]; /* arrays are somebody else's */
    struct tt_pass_inputs pass;
    struct tt_value shapes[TT_OP_MAX_WEIGHTS]; /* of weights that come as streams */
    struct tt_weight_stream streams[TT_OP_MAX_WEIGHTS];
    struct streamed_weight streamed[TT_OP_MAX_WEIGHTS];
    const struct tt_op *op;
    bool held; /* weights as a whole wherever memory allows */
    unsigned row_inputs; /* bit i: of input i the output's rows need the same rows only */
};

struct tt_evaluator {
    struct tt_graph *graph;
    const struct tt_trace *trace;
    const struct tt_trace_pass *pass;
    int nnodes;
    double unit;
    struct slot *slots;      /* [nodes] */
    struct memory *memories; /* [sequences] */
    int nmemories;
    struct tt_overrides **kept; /* faults already named */
    int nkept;
    double least_unit;     /* ops round at least this much */
    bool as_defined;       /* `kept` does not apply */
    bool holds_weights;    /* of any size that memory allows: the op may read them in any order */
    bool values_only;      /* error bars are not needed */
    bool asked_only;       /* caches are carried over only if their value was asked for */
    int *last_reader;      /* [nodes] last node that reads it, NULL: not asked for yet */
    struct prepared *asked; /* by tt_evaluator_call: its caller reads it until the next evaluation; NULL: not yet */
    const uint8_t *focus; /* [ntokens] rows that evaluations under hypotheses are limited to, NULL: all */
};

/* evaluate.c */
const struct tt_override *tt_override_of(const struct tt_evaluator *evaluator, const struct overlay *overlay, int node);
/* What `consumer` read at `port`; NULL: nothing of it was seen. */
const struct tt_observation *tt_port_observation(const struct tt_evaluator *evaluator, int source, int consumer, int port);
/* Does this reader get the heads of `value` repeated? tt_in_shape: as it gets them; the copy is the caller's. */
bool tt_changes_shape(const struct tt_evaluator *evaluator, const struct tt_value *value, int node, int consumer, int port);
struct tt_value tt_in_shape(struct tt_evaluator *evaluator, const struct overlay *overlay, const struct tt_value *value,
                            int node, int consumer, int port);
/* The node's value under the overlay (NULL: as it is). *out is lent; `rows` [ntokens]: those needed, NULL: all. */
int tt_value_in(struct tt_evaluator *evaluator, struct overlay *overlay, int node, const uint8_t *rows,
                const struct tt_value **out, struct tt_error *error);

/* op_call.c. Released even where filling failed; bound after it came to the place where it stays. */
int tt_prepared_fill(struct tt_evaluator *evaluator, struct overlay *overlay, int node, const uint8_t *rows,
                     struct prepared *prepared, struct tt_error *error);
void tt_prepared_bind(struct prepared *prepared);
void tt_prepared_release(struct prepared *prepared);

/* forward.c: the node computed from its inputs. *out is the caller's. */
int tt_evaluate_node(struct tt_evaluator *evaluator, struct overlay *overlay, int node, const uint8_t *rows,
                     struct tt_value *out, struct tt_error *error);

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
