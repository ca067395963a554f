/* SPDX-License-Identifier: Apache-2.0
 *
 * Values adopted from another run, and what they change.
 */
#include "compare/inject.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "base/text.h"
#include "compare/compare.h"
#include "compare/rows.h"
#include "verify/judge.h"

/* ---- names ---- */

static bool is_meant(const struct tt_node *node, const char *pattern)
{
    return tt_glob(pattern, tt_node_address(node).text) || tt_glob(pattern, node->component);
}

/* 0, or -1 when nothing is meant by it. */
static int mark(const struct tt_graph *graph, const char *pattern, uint8_t *nodes)
{
    int found = 0;
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *node = tt_graph_node(graph, i);
        bool meant = !node->internal && is_meant(node, pattern) && (node->state || tt_node_by_token(node));
        nodes[i] |= meant;
        found += meant;
    }
    return found ? 0 : -1;
}

int tt_injection_new(const struct tt_graph *graph, const char *what, struct tt_injection *injection, struct tt_error *error)
{
    const char *name = what;
    char *end, *rest, *pattern;
    int failed = 0;
    *injection = (struct tt_injection){.what = what, .pass = -1};
    if (what[0] == 'p' && isdigit((unsigned char)what[1])) {
        long pass = strtol(what + 1, &end, 10);
        injection->pass = *end == '/' ? (int)pass : -1;
        name = *end == '/' ? end + 1 : what;
    }
    injection->nodes = tt_alloc((size_t)tt_graph_nnodes(graph) + 1);
    char *list = rest = tt_strdup(name);
    while (!failed && (pattern = strsep(&rest, ",")))
        if (mark(graph, pattern, injection->nodes))
            failed = tt_fail(error, TT_EINPUT, "'%s' is no value of family %s; names are like L3.attn.context or attn.context",
                             pattern, tt_graph_family(graph));
    free(list);
    return failed;
}

void tt_injection_free(struct tt_injection *injection)
{
    free(injection->nodes);
    *injection = (struct tt_injection){0};
}

int tt_injection_count(const struct tt_graph *graph, const struct tt_injection *injection, int *first)
{
    int count = 0;
    *first = -1;
    for (int i = tt_graph_nnodes(graph) - 1; i >= 0; i--) {
        count += injection->nodes[i];
        *first = injection->nodes[i] ? i : *first;
    }
    return count;
}

/* ---- adopting ---- */

/* The rows of `pass` in a trace of their own, *trace to be freed; NULL: the run has none of them. */
static struct tt_observation *rows_of(struct tt_trace *run, const struct tt_trace_pass *pass, int node, struct tt_trace **trace)
{
    *trace = tt_trace_new(run->graph);
    struct tt_trace_pass *made = tt_trace_add_pass(*trace, &pass->inputs);
    made->sequence = pass->sequence;
    struct tt_observation *o = tt_gather_rows(run, *trace, made, node);
    return o && o->nseen ? o : NULL;
}

static int adopt_rows(struct tt_injection *injection, struct tt_evaluator *evaluator, const struct tt_trace_pass *pass,
                      int node, const struct tt_value *computed)
{
    struct tt_trace *trace;
    struct tt_observation *o = rows_of(injection->source, pass, node, &trace);
    int64_t rows = o ? o->value.shape[0] : 0;
    if (o) {
        struct tt_value kept = tt_value_copy(computed); /* adopting frees it */
        tt_evaluator_adopt(evaluator, o, &kept);
        tt_value_free(&kept);
    }
    tt_trace_free(trace);
    injection->rows += rows;
    return 0;
}

/* The pass of the source that has the same rows behind it and in it. */
static const struct tt_trace_pass *same_pass(struct tt_trace *source, const struct tt_trace_pass *pass)
{
    for (int i = 0; i < source->npasses; i++) {
        const struct tt_pass_inputs *a = &source->passes[i].inputs, *b = &pass->inputs;
        if (source->passes[i].sequence != pass->sequence || a->ntokens != b->ntokens || a->nkeys != b->nkeys ||
            memcmp(a->key_positions, b->key_positions, (size_t)a->nkeys * sizeof *a->key_positions) != 0)
            continue;
        if (!source->passes[i].loaded)
            tt_trace_load(source, i);
        return &source->passes[i];
    }
    return NULL;
}

/* A cache has rows of earlier passes too: it is taken as a whole, by whichever reader saw it. */
static int adopt_cache(struct tt_injection *injection, struct tt_evaluator *evaluator, const struct tt_trace_pass *pass,
                       int node, const struct tt_value *computed)
{
    const struct tt_trace_pass *from = same_pass(injection->source, pass);
    for (int i = 0; from && i < from->nobservations; i++) {
        const struct tt_observation *o = &from->observations[i];
        struct tt_value expected;
        if (o->node != node || !o->nseen || tt_evaluator_as_read(evaluator, o, computed, &expected))
            continue;
        tt_evaluator_adopt(evaluator, o, &expected);
        tt_value_free(&expected);
        injection->rows += o->value.shape[0];
        return 0;
    }
    return 0;
}

int tt_inject(struct tt_injection *injection, struct tt_evaluator *evaluator, const struct tt_trace_pass *pass, int node,
              struct tt_error *error)
{
    if (!injection->nodes[node] || (injection->pass >= 0 && injection->pass != pass->pass))
        return 0;
    const struct tt_value *computed = tt_evaluator_value(evaluator, node, error);
    if (!computed)
        return -1;
    return tt_graph_node(injection->source->graph, node)->state ? adopt_cache(injection, evaluator, pass, node, computed)
                                                                : adopt_rows(injection, evaluator, pass, node, computed);
}

/* ---- does the rest agree? ---- */

struct trial {
    struct tt_graph *graph;
    struct tt_trace *run;     /* what both are compared with */
    struct tt_trace *passes;  /* the reference's inputs */
    struct tt_injection *injection;
    uint8_t *reached;         /* [nodes] computed from an injected value, in this pass or by a cache */
    uint8_t *parted;          /* [passes] in this pass or before it the run had other tokens */
    struct tt_injection_outcome *outcome;
};

static bool knows_tokens(const struct tt_trace *trace)
{
    for (int i = 0; i < trace->npasses; i++)
        if (trace->passes[i].tokens_by == TT_BY_NONE)
            return false;
    return trace->npasses > 0;
}

/* Whether the run is known to have had another token at this position. */
static bool had_other_token(const struct tt_trace *run, int sequence, int64_t position, int32_t token)
{
    for (int i = 0; i < run->npasses; i++) {
        const struct tt_trace_pass *pass = &run->passes[i];
        for (int64_t k = 0; k < pass->inputs.ntokens && pass->sequence == sequence && pass->tokens_by != TT_BY_NONE; k++)
            if (pass->inputs.positions[k] == position)
                return pass->inputs.tokens[k] != token;
    }
    return false;
}

/* What follows other tokens is different whatever the engine does: decoding parts where the likeliest token changes. */
static void mark_parted(struct trial *t)
{
    t->outcome->other_tokens = -1;
    for (int i = 0; i < t->passes->npasses; i++) {
        const struct tt_trace_pass *pass = &t->passes->passes[i];
        for (int j = i - 1; j >= 0 && !t->parted[i] && pass->continues; j--)
            t->parted[i] = t->passes->passes[j].sequence == pass->sequence && t->parted[j];
        for (int64_t k = 0; k < pass->inputs.ntokens && !t->parted[i]; k++)
            t->parted[i] = had_other_token(t->run, pass->sequence, pass->inputs.positions[k], pass->inputs.tokens[k]);
        if (t->parted[i] && t->outcome->other_tokens < 0)
            t->outcome->other_tokens = pass->pass;
    }
}

static struct tt_trace *inputs_of(const struct tt_trace *from, double unit)
{
    struct tt_trace *trace = tt_trace_new(from->graph);
    for (int i = 0; i < from->npasses; i++) {
        const struct tt_trace_pass *pass = &from->passes[i];
        struct tt_trace_pass *made = tt_trace_add_pass(trace, &pass->inputs);
        made->pass = pass->pass;
        made->sequence = pass->sequence;
        made->continues = pass->continues;
        made->phase = pass->phase;
        made->tokens_by = pass->tokens_by;
    }
    trace->unit = unit;
    return trace;
}

static void mark_reached(struct trial *t)
{
    for (int i = 0; i < tt_graph_nnodes(t->graph); i++) {
        const struct tt_node *node = tt_graph_node(t->graph, i);
        for (int j = 0; j < node->nin && !t->reached[i]; j++)
            t->reached[i] = t->reached[node->in[j]] || t->injection->nodes[node->in[j]];
    }
}

static void judge(const struct tt_observation *seen, const struct tt_value *expected, enum tt_apart *apart, double *nmse)
{
    struct tt_judgement j = tt_judge(seen, expected);
    if (!j.n)
        return;
    bool right = j.status == TT_EXACT ||
                 (!j.nonfinite && j.nmse <= TT_ENVELOPE * (j.floor + TT_STORED * seen->unit * seen->unit));
    *apart = right && *apart != TT_APART ? TT_EQUAL : TT_APART;
    *nmse = fmax(*nmse, j.nmse);
}

static int try_node(struct trial *t, struct tt_evaluator *plain, struct tt_evaluator *injected,
                    const struct tt_trace_pass *pass, int node, struct tt_error *error)
{
    struct tt_injected_row *row = &t->outcome->rows[node];
    struct tt_trace *trace = NULL;
    const struct tt_value *before = tt_evaluator_value(plain, node, error);
    const struct tt_value *after = before ? tt_evaluator_value(injected, node, error) : NULL;
    struct tt_observation *o = after ? rows_of(t->run, pass, node, &trace) : NULL;
    if (o)
        judge(o, before, &row->before, &row->nmse_before);
    if (o && t->reached[node] && !t->injection->nodes[node])
        judge(o, after, &row->after, &row->nmse_after);
    tt_trace_free(trace);
    return after ? tt_inject(t->injection, injected, pass, node, error) : -1;
}

static int try_passes(struct trial *t, struct tt_error *error)
{
    struct tt_evaluator *plain = tt_evaluator_new(t->graph, t->passes), *injected = tt_evaluator_new(t->graph, t->passes);
    struct tt_progress progress = tt_progress_begin("injecting", (uint64_t)t->passes->npasses);
    int failed = 0;
    for (int i = 0; i < t->passes->npasses && !failed; i++) {
        if (t->parted[i])
            continue;
        tt_evaluator_begin(plain, i);
        tt_evaluator_begin(injected, i);
        for (int node = 0; node < tt_graph_nnodes(t->graph) && !failed; node++)
            failed = try_node(t, plain, injected, &t->passes->passes[i], node, error);
        tt_evaluator_end(plain);
        tt_evaluator_end(injected);
        for (int j = 0; j < t->run->npasses; j++)
            if (t->run->passes[j].loaded)
                tt_trace_unload(t->run, j);
        tt_progress_step(&progress, (uint64_t)i + 1);
    }
    tt_progress_end(&progress);
    tt_evaluator_free(plain);
    tt_evaluator_free(injected);
    return failed;
}

static void count(const struct trial *t)
{
    struct tt_injection_outcome *o = t->outcome;
    o->first_before = o->first_after = o->agrees_from = -1;
    for (int i = tt_graph_nnodes(t->graph) - 1; i >= 0; i--) {
        const struct tt_injected_row *row = &o->rows[i];
        o->compared_before += row->before != TT_UNCOMPARED;
        o->apart_before += row->before == TT_APART;
        o->first_before = row->before == TT_APART ? i : o->first_before;
        o->compared_after += row->after != TT_UNCOMPARED;
        o->apart_after += row->after == TT_APART;
        o->first_after = row->after == TT_APART ? i : o->first_after;
        if (row->after == TT_EQUAL && !o->apart_after)
            o->agrees_from = i;
    }
}

int tt_injection_try(struct tt_graph *graph, struct tt_trace *run, const struct tt_trace *reference,
                     struct tt_injection *injection, struct tt_injection_outcome *outcome, struct tt_error *error)
{
    size_t nodes = (size_t)tt_graph_nnodes(graph);
    struct trial t = {.graph = graph, .run = run, .injection = injection, .outcome = outcome};
    *outcome = (struct tt_injection_outcome){.rows = tt_alloc_array(nodes + 1, sizeof *outcome->rows)};
    t.passes = inputs_of(knows_tokens(reference) ? reference : run, run->unit);
    t.reached = tt_alloc(nodes + 1);
    injection->source = run;
    t.parted = tt_alloc_array((size_t)t.passes->npasses + 1, sizeof *t.parted);
    mark_parted(&t);
    mark_reached(&t);
    int failed = try_passes(&t, error);
    count(&t);
    tt_trace_free(t.passes);
    free(t.reached);
    free(t.parted);
    if (!failed && !injection->rows)
        failed = tt_fail(error, TT_EINPUT, "the run holds no value of %s at the positions of the reference; 'tensortap map' "
                                           "and 'show' say what it holds", injection->what);
    return failed;
}

void tt_injection_outcome_free(struct tt_injection_outcome *outcome)
{
    free(outcome->rows);
    *outcome = (struct tt_injection_outcome){0};
}
