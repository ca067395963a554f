/* SPDX-License-Identifier: Apache-2.0
 *
 * When a run is right by its own operands and still away from the reference, the reference may be the wrong side: another
 * model's, another adapter's, or of an engine with faults of its own.
 */
#include "compare/compare.h"

#include <string.h>

#include "diagnose/walk.h"

int tt_compare_judge_reference(struct tt_graph *graph, struct tt_verdict *v, struct tt_trace *reference)
{
    double unit = tt_trace_usual_unit(reference);
    reference->unit = unit;
    reference->weight_unit = unit > 0x1p-24 ? unit : 0; /* a model loaded into that type has weights of it */
    tt_graph_round_weights(graph, reference->weight_unit);
    struct tt_verdict *judged = tt_verify(graph, reference, &(struct tt_verify_options){0});
    int found = judged->nfaults;
    tt_graph_round_weights(graph, v->trace->weight_unit);
    if (found) {
        v->faults = tt_grow(v->faults, (size_t)(v->nfaults + found), sizeof *v->faults);
        memcpy(v->faults + v->nfaults, judged->faults, (size_t)found * sizeof *v->faults);
        for (int i = v->nfaults; i < v->nfaults + found; i++)
            v->faults[i].side = "reference";
        v->nfaults += found;
        v->overall = "mismatch";
        judged->nfaults = 0; /* their arrays are the verdict's now */
    }
    tt_verdict_free(judged);
    return found;
}
