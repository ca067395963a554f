/* SPDX-License-Identifier: Apache-2.0
 *
 * Which causes a prompt could show at all, asked before there is a capture: with one token at position 0 nothing is
 * rotated, masked or read from a cache.
 */
#ifndef TT_DIAGNOSE_SHOWN_H
#define TT_DIAGNOSE_SHOWN_H

#include "verify/trace.h"

struct tt_shown {
    int count;
    struct {
        char cause[48];
        bool shown;
    } causes[128];
};

/* Tries every listed wrong form between the matrix products of the first layer, with numbers of its own in their place: a
 * form that changes nothing that a product reads is not shown. Observations of `inputs` are ignored. */
void tt_causes_shown(struct tt_graph *graph, const struct tt_trace *inputs, struct tt_shown *out);

/* "rope.*, attn.mask_missing, kv.*": those not shown, families of which nothing is shown as one; "": all are. The caller's. */
char *tt_causes_not_shown(const struct tt_shown *shown);

#endif
