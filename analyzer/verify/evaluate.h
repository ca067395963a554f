/* SPDX-License-Identifier: Apache-2.0
 *
 * What each value should have been, from what the engine itself had just before.
 *
 * A value is recomputed from its nearest observed ancestors; unobserved values in between are recomputed too and form
 * the *span* that is judged as a whole. With nothing observed this is the reference engine.
 *
 * Passes are evaluated in the order of the trace; caches carry what each sequence has written over to the next pass.
 */
#ifndef TT_VERIFY_EVALUATE_H
#define TT_VERIFY_EVALUATE_H

#include "verify/trace.h"

/* A node done differently: a hypothesis, or a fault already named whose effect later spans must include. */
struct tt_override {
    int node;
    struct tt_attributes set; /* on top of the node's attributes; strings borrowed from `text` or static */
    char text[4][64];
    int nin;                  /* -1: inputs stay */
    int in[TT_OP_MAX_INPUTS];
    int as;                   /* -1, or the node whose op and attributes are applied to the inputs */
    const struct tt_model_tensor *weight; /* NULL: stays; replaces weight 0 */
    const struct tt_value *weight_value;  /* the same by its numbers, borrowed: must outlive the evaluator's use of it */
};

struct tt_overrides {
    int count;
    struct tt_override items[4];
};

void tt_overrides_copy(struct tt_overrides *to, const struct tt_overrides *from); /* not by assignment */
int tt_overrides_append(struct tt_overrides *to, const struct tt_overrides *from); /* -1: no room */
int tt_override_set(struct tt_override *override, const char *name, const struct tt_scalar *value);
struct tt_override *tt_overrides_add(struct tt_overrides *overrides, int node); /* NULL when full */

struct tt_evaluator;

struct tt_evaluator *tt_evaluator_new(struct tt_graph *graph, const struct tt_trace *trace);
void tt_evaluator_free(struct tt_evaluator *evaluator);

/* Rounds every value computed to the nearest number of this unit round-off (0: exact arithmetic, the default): the
 * reference "as the engine rounds". */
void tt_evaluator_round(struct tt_evaluator *evaluator, double unit);

/* Nobody will ask for error bars: a reference run. */
void tt_evaluator_values_only(struct tt_evaluator *evaluator, bool values_only);
/* Caches that nobody asks for in a pass are not carried over to the next one. */
void tt_evaluator_asked_only(struct tt_evaluator *evaluator, bool asked_only);
/* Nodes are asked for in order and this one is done: values that no later node reads are dropped. */
void tt_evaluator_done(struct tt_evaluator *evaluator, int node);

/* Starts pass `index` of the trace: values of the pass before are dropped, its caches kept by sequence. */
void tt_evaluator_begin(struct tt_evaluator *evaluator, int index);
void tt_evaluator_end(struct tt_evaluator *evaluator);

/* Value of `node` as computed from its inputs (observed where they were), never the node's own observation. *out is
 * the caller's. `rows` [first axis]: only these rows are needed (others get TT_UNKNOWN_VARIANCE); NULL: all. */
int tt_evaluate(struct tt_evaluator *evaluator, int node, const struct tt_overrides *overrides, const uint8_t *rows,
                struct tt_value *out, struct tt_error *error);

/* The same in the shape in which `observation` saw it (heads repeated as the reader reads them). */
int tt_evaluate_as(struct tt_evaluator *evaluator, const struct tt_observation *observation,
                   const struct tt_overrides *overrides, struct tt_value *out, struct tt_error *error);

/* `written` (the node's own value) as the observation's reader should get it. *out is the caller's. */
int tt_evaluator_as_read(struct tt_evaluator *evaluator, const struct tt_observation *observation,
                         const struct tt_value *written, struct tt_value *out);

/* The node's value as later nodes shall see it: computed on first use. */
const struct tt_value *tt_evaluator_value(struct tt_evaluator *evaluator, int node, struct tt_error *error);

/* From now on the node's value is what was seen, `expected` where it was not. Takes a copy. */
void tt_evaluator_adopt(struct tt_evaluator *evaluator, const struct tt_observation *observation,
                        const struct tt_value *expected);
/* Evaluations under overrides compute these rows [ntokens] of token-wise values only, others are unknown; NULL: all. The
 * array must stay until it is replaced. */
void tt_evaluator_focus(struct tt_evaluator *evaluator, const uint8_t *rows);
/* Keeps a fault's override for all later evaluations of this node (all passes). */
void tt_evaluator_persist(struct tt_evaluator *evaluator, const struct tt_overrides *overrides);

/* Is any of these nodes done differently by now? */
bool tt_evaluator_persists(const struct tt_evaluator *evaluator, const int *nodes, int n);
/* While set, nodes are done as the graph defines them, whatever was kept. */
void tt_evaluator_as_defined(struct tt_evaluator *evaluator, bool as_defined);
/* While set, every op is taken to round to `unit` or coarser, whatever its result is stored in; 0: as stored. */
void tt_evaluator_at_least(struct tt_evaluator *evaluator, double unit);
/* Values of these nodes that were computed and not seen are computed anew. */
void tt_evaluator_forget(struct tt_evaluator *evaluator, const int *nodes, int n);

/* Nodes whose computation went into `node`'s value in this pass, itself first, nearest first. Observed ancestors end it.
 * Returns the number, at most `most`. */
int tt_evaluator_span(struct tt_evaluator *evaluator, int node, int *nodes, int most);

/* The inputs and weights with which the op of `node` is called now, for recovery. Valid until the next evaluation. */
int tt_evaluator_call(struct tt_evaluator *evaluator, int node, struct tt_op_call *call,
                      struct tt_attributes *attributes, struct tt_error *error);

#endif
