/* SPDX-License-Identifier: Apache-2.0
 *
 * The verdict on a run: one row a value seen, faults in execution order, and what could not be seen.
 * Its JSON form (report/verdict_json.c) is a contract; see docs/verdict.md.
 */
#ifndef TT_VERIFY_VERDICT_H
#define TT_VERIFY_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "verify/evaluate.h"
#include "verify/judge.h"
#include "verify/trace.h"

#define TT_MAX_TIES 4

struct tt_row {
    int pass, sequence, node, layer;
    const char *component;
    const char *operand;      /* "out", or "in" when seen as what a later node reads */
    const char *reader;       /* component that read it, NULL for "out" */
    enum tt_dtype dtype;
    int rank;
    int64_t shape[TT_VALUE_RANK];
    struct tt_judgement judged;
    const char *form;         /* benign form that explains a drift, NULL: none */
    bool explained;
    int in_span;              /* node by which it was judged, not being seen itself; -1: seen */
    enum tt_evidence evidence;
    const char *transform;
    uint64_t call;            /* rows of calls that no component names: node is -1, component "call" */
    const char *op, *routine; /* of that call, NULL in rows of components */
    bool compared;            /* against a reference run: */
    double ref_nmse, ref_floor, ref_cosine, ref_max_abs;
};

enum tt_confidence { TT_CERTAIN, TT_LIKELY, TT_UNSURE };
const char *tt_confidence_name(enum tt_confidence confidence);

struct tt_fault {
    int pass, sequence, node, layer;
    char component[64];
    enum tt_outcome status;   /* TT_INTRODUCED or TT_BROKEN_LINK */
    const char *fault_class;  /* "kernel" "call" "weights" "file" "architecture" "config" "input" "cache" … */
    const char *side;         /* "engine", "reference", "file" */
    char cause[48];
    char ties[TT_MAX_TIES][48];
    int nties;
    enum tt_confidence confidence;
    char expected[64], found[64];
    double chi2, chi2_after;
    char runner_up[48];
    double runner_up_chi2;
    char span[256];           /* components judged together, "" when one */
    struct tt_judgement judged;
    int rank;                 /* of the value in which it shows */
    char link[160];           /* for broken links: what should have been read and what was */
    uint64_t call;            /* in which it shows, 0: none */
    const char *routine;      /* of a call that no component names (node is -1), else NULL */
    char where[160];
    char evidence[400];
    bool explained;             /* a form was found under which the engine's numbers are right */
    struct tt_overrides repair; /* graph under which the engine's numbers are right; weight values are gone after the walk */
    int *repaired, nrepaired;   /* nodes that are re-executed in this form from then on */
    /* extent: the same cause elsewhere */
    int *layers, nlayers;     /* distinct, ascending */
    int *passes, npasses;
    char components[4][64];
    int ncomponents;
    int times;
};

struct tt_verdict {
    const struct tt_trace *trace;
    struct tt_row *rows;
    int nrows;
    struct tt_fault *faults;
    int nfaults;
    struct tt_coverage {
        int components, covered, alone; /* over the passes that count for `match` */
        int *unmeasured;                /* node indices, of the first pass in which each was missed */
        int nunmeasured;
        bool prefill, decode, decoded;  /* a complete prefill / decode pass was measured; the engine decoded at all */
        bool one_by_one;                /* of a prompt fed token by token: as decoding does it, but without logits */
    } coverage;
    struct tt_call_coverage {
        int seen, measured;   /* calls without a component that could be recomputed, and that were */
    } calls;
    int apart;                /* rows right by themselves, with no fault before them, and yet away from the reference */
    const char *overall;      /* "match" "mismatch" "partial" "unmeasured" */
    int causes_visible, causes_total;
    struct tt_unobservable {
        char cause[48];
        char why[160], prompt[160];
    } *unobservable;
    int nunobservable;
};

void tt_verdict_free(struct tt_verdict *verdict);
/* Exit status of analysis: 0, 1 or 3. */
int tt_verdict_status(const struct tt_verdict *verdict, bool strict);

#endif
