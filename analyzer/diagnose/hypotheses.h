/* SPDX-License-Identifier: Apache-2.0
 *
 * The ways in which a span can be wrong, as overrides of its nodes.
 */
#ifndef TT_DIAGNOSE_HYPOTHESES_H
#define TT_DIAGNOSE_HYPOTHESES_H

#include "diagnose/diagnose.h"

enum tt_hypothesis_origin { /* simpler explanations first: they win ties */
    TT_FROM_KNOWN,     /* a fault already named, seen again */
    TT_FROM_OPERAND,   /* read from a call's own operands and arguments: no guess */
    TT_FROM_VARIANT,   /* a listed wrong form */
    TT_FROM_REWRITE,   /* a listed wrong wiring */
    TT_FROM_RECOVERY,  /* parameters fitted by the op */
    TT_FROM_WEIGHT,    /* another tensor of the model in the weight's place */
    TT_FROM_FIT,       /* one number fitted through the whole span */
};

struct tt_hypothesis {
    int node;          /* to blame */
    enum tt_hypothesis_origin origin;
    char cause[48];
    char expected[64], found[64];
    const char *fault_class; /* NULL: the cause's own */
    char evidence[256];      /* what was seen, "": only that it fits */
    struct tt_overrides overrides;
    bool tried;        /* judged already: no override can express it */
    struct tt_judgement judged; /* of the target under it */
};

struct tt_hypotheses {
    int count, capacity;
    struct tt_hypothesis *items;
};

/* Everything that could be wrong with `nodes` [n], given what was seen of the target. */
void tt_hypotheses_collect(const struct tt_diagnosis *diagnosis, const struct tt_observation *target, const int *nodes,
                           int n, struct tt_hypotheses *out);
/* Faults already named, in these nodes. */
void tt_hypotheses_known(const struct tt_diagnosis *diagnosis, const struct tt_observation *target, const int *nodes,
                         int n, struct tt_hypotheses *out);
/* Listed forms only (variants and rewrites): what `unobservable` asks about. */
void tt_hypotheses_listed(const struct tt_diagnosis *diagnosis, const int *nodes, int n, struct tt_hypotheses *out);
/* One form of one node, if its condition holds. */
void tt_hypotheses_form(const struct tt_diagnosis *diagnosis, int node, const struct tt_variant *form,
                        struct tt_hypotheses *out);
struct tt_hypothesis *tt_hypotheses_add(struct tt_hypotheses *list, int node, enum tt_hypothesis_origin origin,
                                        const char *cause);
void tt_hypotheses_free(struct tt_hypotheses *list);

/* Expressions over a node: its attributes, its op's defaults, the model's config. */
bool tt_condition_holds(struct tt_graph *graph, const struct tt_node *node, const char *when);

/* Wrong forms of a cache, which has no op of its own; and what its rows themselves tell. */
extern const struct tt_variant tt_state_variants[];
void tt_hypotheses_of_rows(const struct tt_diagnosis *diagnosis, const struct tt_observation *target,
                           struct tt_hypotheses *out);
/* A few rows read where others were due (an lm_head of the wrong token). */
void tt_hypotheses_of_chosen_row(const struct tt_diagnosis *diagnosis, const struct tt_observation *target,
                                 struct tt_hypotheses *out);
/* Ops of a span that share their settings, the first in execution order first; count 0 if `node` is not that one. */
#define TT_MAX_SIBLINGS 4
struct tt_siblings {
    int count;
    int node[TT_MAX_SIBLINGS];
};
struct tt_siblings tt_siblings_of(const struct tt_diagnosis *diagnosis, const int *nodes, int n, int node);
/* Forms of ops whose own output was not seen. */
void tt_hypotheses_of_unseen(const struct tt_diagnosis *diagnosis, const struct tt_observation *target, const int *nodes,
                             int n, struct tt_hypotheses *out);
/* Numbers fitted through a span. */
void tt_hypotheses_fit(const struct tt_diagnosis *diagnosis, const struct tt_observation *target, const int *nodes, int n,
                       struct tt_hypotheses *out);

#endif
