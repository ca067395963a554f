/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensor injection: a value of the reference run is replaced by one of another run, and the rest is computed from it. If
 * all that is behind it then agrees with the other run, what parts the two lies in this value or before it.
 */
#ifndef TT_COMPARE_INJECT_H
#define TT_COMPARE_INJECT_H

#include "verify/evaluate.h"

struct tt_injection {
    const char *what;        /* "L3.attn.context", "p0/L3.attn.context", "attn.context" in every layer, "attn.q_rope,attn.k_cache";
                                globs allowed */
    int pass;                /* -1: all */
    uint8_t *nodes;          /* [nodes] 1: replaced */
    struct tt_trace *source; /* borrowed */
    int64_t rows;            /* replaced so far */
};

/* Fills pass and nodes from `what` (borrowed). 0, or -1 with *error: nothing of that name. */
int tt_injection_new(const struct tt_graph *graph, const char *what, struct tt_injection *injection, struct tt_error *error);
void tt_injection_free(struct tt_injection *injection);
int tt_injection_count(const struct tt_graph *graph, const struct tt_injection *injection, int *first); /* of nodes */

/* Has the evaluator adopt the node's value from the source, rows that it lacks as computed. 0 or -1 with *error. */
int tt_inject(struct tt_injection *injection, struct tt_evaluator *evaluator, const struct tt_trace_pass *pass, int node,
              struct tt_error *error);

enum tt_apart { TT_UNCOMPARED, TT_EQUAL, TT_APART };

struct tt_injected_row { /* of one node, worst of all passes */
    enum tt_apart before, after; /* after: UNCOMPARED where the injected value does not reach */
    double nmse_before, nmse_after;
};

struct tt_injection_outcome {
    struct tt_injected_row *rows; /* [nodes] */
    int compared_before, apart_before, first_before; /* nodes; first -1: none */
    int compared_after, apart_after, first_after;
    int agrees_from;  /* first compared node behind the injected value from which on all agree, -1: none */
    int other_tokens; /* first pass in which the two go on with different tokens: left out, with what follows it in the
                         sequence; -1: none */
};

/* The reference's passes with and without the injection, each against the run's values. 0 or -1 with *error. */
int tt_injection_try(struct tt_graph *graph, struct tt_trace *run, const struct tt_trace *reference,
                     struct tt_injection *injection, struct tt_injection_outcome *outcome, struct tt_error *error);
void tt_injection_outcome_free(struct tt_injection_outcome *outcome);

#endif
