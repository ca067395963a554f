/* SPDX-License-Identifier: Apache-2.0
 *
 * The reference engine: the graph evaluated with nothing observed, written as a capture whose calls carry component names;
 * and such captures read back as traces.
 */
#ifndef TT_VERIFY_REFERENCE_H
#define TT_VERIFY_REFERENCE_H

#include "tensortap/reader.h"
#include "tensortap/writer.h"
#include "verify/evaluate.h"

enum tt_precision { TT_EXACT_F64, TT_AS_F32, TT_AS_F16, TT_AS_BF16 };

struct tt_reference_options {
    enum tt_precision precision;
    const char *directory; /* of the capture to create */
    char *prompt;          /* JSON for the manifest's "prompt", NULL: none */
    int64_t decode;        /* passes of one token to add for each sequence, always the likeliest next one */
    /* Asked at each value before any later one reads it: may have the evaluator adopt another. 0 or -1 with *error. NULL:
     * nothing is replaced. */
    int (*replace)(void *user, struct tt_evaluator *evaluator, const struct tt_trace_pass *pass, int node,
                   struct tt_error *error);
    void *user;
};

/* Runs every pass of `inputs` (its observations are ignored) and records every component. 0 or -1 with *error. */
int tt_reference_run(struct tt_graph *graph, const struct tt_trace *inputs, const struct tt_reference_options *options,
                     struct tt_error *error);

/* Whether the capture was made by tt_reference_run. */
bool tt_is_reference(const struct tt_capture *capture);
struct tt_trace *tt_reference_read(const struct tt_capture *capture, const struct tt_graph *graph, struct tt_error *error);

/* Unit round-off, and names for --precision. */
double tt_precision_unit(enum tt_precision precision);

#endif
