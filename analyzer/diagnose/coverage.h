/* SPDX-License-Identifier: Apache-2.0
 *
 * How much of the run was seen, and how much of what can go wrong would have shown.
 */
#ifndef TT_DIAGNOSE_COVERAGE_H
#define TT_DIAGNOSE_COVERAGE_H

#include "diagnose/diagnose.h"
#include "verify/verdict.h"

/* `covered` [nodes]: 0 not at all, 1 as part of a span that was judged, 2 seen itself. */
void tt_coverage_add(struct tt_verdict *verdict, const struct tt_graph *graph, const struct tt_trace_pass *pass,
                     const uint8_t *covered);
/* Decides `overall`. */
void tt_coverage_finish(struct tt_verdict *verdict);

/* Which causes would have been noticed: each listed wrong form is tried on right values of the first layer. */
struct tt_visibility_of_causes;
struct tt_visibility_of_causes *tt_visibility_new(struct tt_graph *graph);
void tt_visibility_free(struct tt_visibility_of_causes *visibility);
void tt_note_visible_causes(struct tt_visibility_of_causes *visibility, const struct tt_diagnosis *diagnosis,
                            const struct tt_observation *seen, const int *span, int n);
/* Forms of nodes that no span contained: nothing that was captured depends on them. `reached` [nodes]. */
void tt_note_hidden_causes(struct tt_visibility_of_causes *visibility, const struct tt_diagnosis *diagnosis,
                           const uint8_t *reached);
void tt_visibility_report(const struct tt_visibility_of_causes *visibility, struct tt_verdict *verdict);

#endif
