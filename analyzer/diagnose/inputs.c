/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens are recovered from what the first layer read, so a wrong row of the embedding table looks like another token.
 */
#include "diagnose/inputs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tt_add_token_fault(struct tt_verdict *v, const struct tt_trace_pass *pass, int64_t at, int32_t found, int32_t expected,
                        bool shifted)
{
    struct tt_fault *faults = tt_alloc_array((size_t)v->nfaults + 1, sizeof *faults);
    struct tt_fault *f = &faults[0];
    *f = (struct tt_fault){.pass = pass->pass, .sequence = pass->sequence, .node = 0, .layer = -1, .status = TT_INTRODUCED,
                           .fault_class = shifted ? "architecture" : "input", .side = "engine", .confidence = TT_LIKELY, .chi2_after = NAN,
                           .runner_up_chi2 = INFINITY, .rank = 1, .times = 1};
    snprintf(f->component, sizeof f->component, "embed");
    static const char *const causes[] = {"input.tokens", "embed.wrong_row"};
    snprintf(f->cause, sizeof f->cause, "%s", causes[shifted]);
    snprintf(f->ties[f->nties++], sizeof f->ties[0], "%s", causes[!shifted]);
    snprintf(f->expected, sizeof f->expected, "token %d at position %lld", expected, (long long)pass->inputs.positions[at]);
    snprintf(f->found, sizeof f->found, "token %d", found);
    snprintf(f->evidence, sizeof f->evidence,
             "the first layer reads the embedding of token %d where %d was due", found, expected);
    f->judged.at[0] = at;
    snprintf(f->components[f->ncomponents++], sizeof f->components[0], "embed");
    f->layers = tt_grow(NULL, 1, sizeof *f->layers);
    f->passes = tt_grow(NULL, 1, sizeof *f->passes);
    f->layers[f->nlayers++] = -1;
    f->passes[f->npasses++] = pass->pass;
    for (int i = 0; i < v->nfaults; i++) {
        faults[i + 1] = v->faults[i];
        tt_overrides_copy(&faults[i + 1].repair, &v->faults[i].repair);
    }
    free(v->faults);
    v->faults = faults;
    v->nfaults++;
    v->overall = "mismatch";
}

int32_t tt_greedy_token(const struct tt_graph *graph, const struct tt_trace_pass *pass)
{
    const struct tt_observation *o = NULL;
    for (int i = 0; i < pass->nobservations; i++) {
        const struct tt_node *node = tt_graph_node(graph, pass->observations[i].node);
        if (pass->observations[i].consumer < 0 && strcmp(node->blame, "lm_head") == 0)
            o = &pass->observations[i];
    }
    int64_t rows = o ? tt_value_rows(&o->value) : 0, width = o ? tt_value_width(&o->value) : 0, best = 0;
    if (!rows || !o->seen[rows - 1])
        return -1;
    const double *last = o->value.v + (rows - 1) * width;
    for (int64_t i = 1; i < width; i++)
        if (last[i] > last[best])
            best = i;
    return (int32_t)best;
}

static const struct tt_trace_pass *pass_after(const struct tt_trace *trace, int index)
{
    for (int i = index + 1; i < trace->npasses; i++)
        if (trace->passes[i].sequence == trace->passes[index].sequence)
            return &trace->passes[i];
    return NULL;
}

void tt_check_tokens(struct tt_verdict *v)
{
    int steps = 0, distance = 0;
    const struct tt_trace_pass *first = NULL;
    int32_t expected = 0;
    for (int i = 0; i < v->trace->npasses; i++) {
        const struct tt_trace_pass *next = pass_after(v->trace, i);
        int32_t wanted = next && next->phase == TT_DECODE && next->tokens_by == TT_BY_VALUE
                             ? v->trace->passes[i].greedy
                             : -1;
        if (wanted < 0)
            continue;
        int off = next->inputs.tokens[0] - wanted;
        if (off == 0 || (steps && off != distance))
            return;
        if (!steps++) {
            distance = off;
            first = next;
            expected = wanted;
        }
    }
    if (steps >= 2)
        tt_add_token_fault(v, first, 0, expected + distance, expected, true);
}
