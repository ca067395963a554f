/* SPDX-License-Identifier: Apache-2.0
 *
 * Products with large weights are not computed: their outputs are made up, so that this costs nothing beside a run. What
 * lies between them (norms, rotations, masks, caches, softmax) is evaluated right and in every listed wrong form.
 */
#include "diagnose/shown.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "diagnose/hypotheses.h"
#include "verify/evaluate.h"

#define SAME 1e-12 /* relative: forms that differ by less differ by rounding */
#define SPAN 256

static void note(struct tt_shown *out, const char *cause, bool shown)
{
    int i = 0, most = (int)(sizeof out->causes / sizeof *out->causes);
    while (i < out->count && strcmp(out->causes[i].cause, cause) != 0)
        i++;
    if (i == most)
        return;
    if (i == out->count)
        snprintf(out->causes[out->count++].cause, sizeof out->causes[0].cause, "%s", cause);
    out->causes[i].shown = out->causes[i].shown || shown;
}

/* ---- numbers in place of products ---- */

static bool is_product(const struct tt_node *node)
{
    for (int i = 0; node->op && i < TT_OP_MAX_WEIGHTS; i++)
        if (node->weight[i] && node->weight[i]->rank > 1)
            return true;
    return false;
}

static double next_number(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int32_t)(*state >> 32) / (1u << 30);
}

static void make_up(struct tt_evaluator *evaluator, struct tt_trace *trace, struct tt_trace_pass *pass, int node)
{
    uint64_t state = (uint64_t)node * 1000003 + (uint64_t)pass->pass;
    struct tt_observation *o = tt_trace_observe(trace, pass, node, -1, -1);
    for (int64_t i = 0, n = tt_value_count(&o->value); i < n; i++)
        o->value.v[i] = next_number(&state);
    memset(o->seen, 1, (size_t)tt_value_rows(&o->value));
    tt_observation_finish(o);
    tt_evaluator_adopt(evaluator, o, &o->value);
}

/* ---- wrong forms of what one product reads ---- */

static bool differs(const struct tt_value *a, const struct tt_value *b)
{
    int64_t n = tt_value_count(a);
    double scale = 0;
    if (n != tt_value_count(b))
        return true;
    for (int64_t i = 0; i < n; i++)
        scale = fmax(scale, isfinite(a->v[i]) ? fabs(a->v[i]) : 0);
    for (int64_t i = 0; i < n; i++)
        if (isfinite(a->v[i]) != isfinite(b->v[i]) || fabs(a->v[i] - b->v[i]) > SAME * scale)
            return true;
    return false;
}

static bool is_shown(const struct tt_shown *out, const char *cause)
{
    for (int i = 0; i < out->count; i++)
        if (strcmp(out->causes[i].cause, cause) == 0)
            return out->causes[i].shown;
    return false;
}

static void try_forms(const struct tt_diagnosis *d, int target, const struct tt_value *right, const struct tt_hypotheses *list,
                      struct tt_shown *out)
{
    for (int i = 0; i < list->count; i++) {
        const struct tt_hypothesis *h = &list->items[i];
        struct tt_value wrong = {0};
        if (is_shown(out, h->cause) || tt_evaluate(d->evaluator, target, &h->overrides, NULL, &wrong, NULL))
            continue;
        note(out, h->cause, differs(right, &wrong));
        tt_value_free(&wrong);
    }
}

static void try_target(const struct tt_diagnosis *d, int target, struct tt_shown *out)
{
    int span[SPAN], small[SPAN], count = 0;
    int n = tt_evaluator_span(d->evaluator, target, span, SPAN);
    struct tt_hypotheses list = {0};
    struct tt_value right = {0};
    for (int i = 0; i < n; i++)
        if (!is_product(tt_graph_node(d->graph, span[i])))
            small[count++] = span[i];
    if (!count || tt_evaluate(d->evaluator, target, NULL, NULL, &right, NULL))
        return;
    tt_hypotheses_listed(d, small, count, &list);
    try_forms(d, target, &right, &list, out);
    tt_hypotheses_free(&list);
    tt_value_free(&right);
}

/* ---- one pass ---- */

static void try_pass(struct tt_diagnosis *d, struct tt_trace *trace, int index, struct tt_shown *out)
{
    struct tt_trace_pass *pass = &trace->passes[index];
    int nnodes = tt_graph_nnodes(d->graph);
    d->pass = pass;
    tt_evaluator_begin(d->evaluator, index);
    for (int i = 0; i < nnodes; i++) {
        const struct tt_node *node = tt_graph_node(d->graph, i);
        if (node->layer > 0 || node->iteration > 0) {
            if (is_product(node)) /* what stands behind the block reads the last layer */
                make_up(d->evaluator, trace, pass, i);
            continue;
        }
        for (int port = 0; is_product(node) && port < node->nin; port++)
            if (!is_product(tt_graph_node(d->graph, node->in[port])) && tt_graph_node(d->graph, node->in[port])->layer <= 0)
                try_target(d, node->in[port], out);
        if (is_product(node))
            make_up(d->evaluator, trace, pass, i);
        else if (!tt_evaluator_value(d->evaluator, i, NULL))
            break;
    }
    tt_evaluator_end(d->evaluator);
}

void tt_causes_shown(struct tt_graph *graph, const struct tt_trace *inputs, struct tt_shown *out)
{
    struct tt_trace *trace = tt_trace_bare(graph, inputs);
    uint8_t *confirmed = tt_alloc_array((size_t)tt_graph_nnodes(graph) + 1, 1);
    struct tt_diagnosis d = {.evaluator = tt_evaluator_new(graph, trace), .graph = graph, .trace = trace, .confirmed = confirmed};
    out->count = 0;
    tt_evaluator_values_only(d.evaluator, true);
    tt_evaluator_asked_only(d.evaluator, true);
    for (int i = 0; i < trace->npasses; i++)
        try_pass(&d, trace, i, out);
    tt_evaluator_free(d.evaluator);
    tt_trace_free(trace);
    free(confirmed);
}

/* ---- as words ---- */

static bool same_family(const char *a, const char *b)
{
    size_t n = strcspn(a, ".");
    return n == strcspn(b, ".") && memcmp(a, b, n) == 0;
}

static bool family_is_shown(const struct tt_shown *shown, const char *cause)
{
    for (int i = 0; i < shown->count; i++)
        if (shown->causes[i].shown && same_family(shown->causes[i].cause, cause))
            return true;
    return false;
}

/* Whether a cause of the same family stands before this one. */
static bool said_before(const struct tt_shown *shown, int index)
{
    for (int i = 0; i < index; i++)
        if (same_family(shown->causes[i].cause, shown->causes[index].cause))
            return true;
    return false;
}

char *tt_causes_not_shown(const struct tt_shown *shown)
{
    struct tt_string text = {0};
    for (int i = 0; i < shown->count; i++) {
        const char *cause = shown->causes[i].cause;
        bool whole = !family_is_shown(shown, cause);
        if (shown->causes[i].shown || (whole && said_before(shown, i)))
            continue;
        tt_string_add(&text, "%s%.*s%s", text.length ? ", " : "", whole ? (int)strcspn(cause, ".") : (int)strlen(cause), cause,
                      whole ? ".*" : "");
    }
    return text.text ? text.text : tt_strdup("");
}
