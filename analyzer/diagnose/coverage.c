/* SPDX-License-Identifier: Apache-2.0
 *
 * Coverage counts components, not calls: a pass is complete when every component between tokens and logits was seen or
 * lies in a span that was judged. Internal nodes and optional ends are not asked for.
 */
#include "diagnose/coverage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool counts(const struct tt_node *node)
{
    return !node->internal && !node->optional_end;
}

/* Everything that a cache is filled from; a chunk of a prompt has to compute nothing else. */
static void mark_needed(const struct tt_graph *graph, uint8_t *needed)
{
    for (int i = tt_graph_nnodes(graph) - 1; i >= 0; i--) {
        const struct tt_node *node = tt_graph_node(graph, i);
        needed[i] = needed[i] || node->state;
        for (int j = 0; needed[i] && j < node->nin; j++)
            needed[node->in[j]] = 1;
    }
}

void tt_coverage_add(struct tt_verdict *v, const struct tt_graph *graph, const struct tt_trace_pass *pass,
                     const uint8_t *covered)
{
    struct tt_coverage *c = &v->coverage;
    bool complete = true, first = pass == v->trace->passes;
    if (pass->blind)
        return;
    uint8_t *needed = tt_alloc((size_t)tt_graph_nnodes(graph));
    if (pass->chunk)
        mark_needed(graph, needed);
    else
        memset(needed, 1, (size_t)tt_graph_nnodes(graph));
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        if (!counts(tt_graph_node(graph, i)) || (!needed[i] && !covered[i]))
            continue;
        c->components++;
        c->covered += covered[i] > 0;
        c->alone += covered[i] == 2;
        complete = complete && covered[i];
        if (!covered[i] && (first || !c->nunmeasured)) {
            c->unmeasured = tt_grow(c->unmeasured, (size_t)c->nunmeasured + 1, sizeof *c->unmeasured);
            c->unmeasured[c->nunmeasured++] = i;
        }
    }
    free(needed);
    c->decoded = c->decoded || pass->phase == TT_DECODE;
    c->prefill = c->prefill || (complete && !pass->chunk && pass->phase == TT_PREFILL);
    c->decode = c->decode || (complete && pass->phase == TT_DECODE);
    c->one_by_one = c->one_by_one || (complete && pass->chunk && pass->inputs.ntokens == 1);
}

void tt_coverage_finish(struct tt_verdict *v)
{
    const struct tt_coverage *c = &v->coverage;
    int judged = 0;
    for (int i = 0; i < v->nrows; i++)
        judged += v->rows[i].judged.n > 0;
    if (v->nfaults)
        v->overall = "mismatch";
    else if (!judged)
        v->overall = "unmeasured";
    else
        v->overall = (c->prefill && (c->decode || !c->decoded)) || (c->one_by_one && c->decode) ? "match" : "partial";
}
