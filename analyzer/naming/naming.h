/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is who: the calls of a capture as (pass, sequence, layer, component) of a model's graph, with the evidence.
 */
#ifndef TT_NAMING_NAMING_H
#define TT_NAMING_NAMING_H

#include "tensortap/reader.h"
#include "verify/trace.h"

struct tt_naming_options {
    const int32_t *tokens; /* the prompt's ids when they are known, NULL: recovered from the run */
    int64_t ntokens;
};

/* One line of `map`: a call and what it was taken for. */
struct tt_named_call {
    uint64_t call;
    int pass, node;        /* -1: unnamed */
    int head;              /* -1: all */
    enum tt_evidence evidence;
    const char *transform;
    const char *why;       /* for unnamed calls, static */
};

struct tt_naming {
    struct tt_trace *trace;
    size_t ncalls;
    struct tt_named_call *calls; /* matrix products, in order */
    int nbroken;                 /* groups of products that are no whole pass */
    struct tt_namer *namer;      /* behind the trace: it reads values when a pass is loaded */
};

/* The capture and `options` must outlive it. NULL with one line when nothing in the capture belongs to this model. */
struct tt_naming *tt_naming_new(const struct tt_capture *capture, struct tt_graph *graph,
                                const struct tt_naming_options *options, struct tt_error *error);
void tt_naming_free(struct tt_naming *naming);

#endif
