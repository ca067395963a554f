/* SPDX-License-Identifier: Apache-2.0
 *
 * A value that misses its expectation may still be right: because the engine keeps it in another form, because a fault
 * named before was not made here, or because only some weights were rounded on loading. Tried before any cause.
 */
#ifndef TT_DIAGNOSE_OTHERWISE_H
#define TT_DIAGNOSE_OTHERWISE_H

#include "diagnose/diagnose.h"

/* Attention's scale multiplied into q, or its root into q and k, before their product, when most rows of `seen`
 * have just that length: the pass is brought to the graph's form, operands and products divided by it. True when done. */
bool tt_undo_early_scale(const struct tt_diagnosis *diagnosis, struct tt_trace_pass *pass,
                         const struct tt_observation *seen, const struct tt_value *expected);

/* Is `seen` right without the faults named so far, or with the file's own weights? Then *expected and *judged are
 * replaced, and `form` says how, NULL where there is nothing to say. */
bool tt_right_otherwise(const struct tt_diagnosis *diagnosis, const struct tt_observation *seen, const int *span, int n,
                        struct tt_value *expected, struct tt_judgement *judged, const char **form);

#endif
