/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows are matched by sequence and position, so a reference in one prefill answers for a run in chunks and decode
 * steps. How far two right runs may be apart comes from the error model carried through the whole graph.
 */
#include "compare/compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/rows.h"
#include "diagnose/inputs.h"
#include "verify/evaluate.h"

#define UNRELATED 0.5 /* cosine: rounding keeps it near 1, another model's is near 0 */

struct sums {
    double error, expected, seen, product, largest;
    int64_t n;
};

static void add_row(struct sums *s, const struct tt_observation *o, int64_t row, const struct tt_row_match *m)
{
    int64_t width = tt_value_count(&o->value) / o->value.shape[0];
    if (width != tt_value_count(&m->seen->value) / m->seen->value.shape[0] || !tt_row_seen(o, row) ||
        !tt_row_seen(m->seen, m->row))
        return;
    for (int64_t i = 0; i < width; i++) {
        double y = o->value.v[row * width + i], r = m->seen->value.v[m->row * width + i];
        s->error += (y - r) * (y - r);
        s->expected += r * r;
        s->seen += y * y;
        s->product += y * r;
        s->largest = fmax(s->largest, fabs(y - r));
        s->n++;
    }
}

static const struct tt_trace_pass *pass_of(const struct tt_trace *trace, int pass, int sequence)
{
    for (int i = 0; i < trace->npasses; i++)
        if (trace->passes[i].pass == pass && trace->passes[i].sequence == sequence)
            return &trace->passes[i];
    return NULL;
}

static const struct tt_observation *observation_of(const struct tt_trace_pass *pass, const struct tt_row *row)
{
    const struct tt_observation *best = NULL;
    for (int i = 0; i < pass->nobservations; i++) {
        const struct tt_observation *o = &pass->observations[i];
        if (o->node == row->node && (o->consumer < 0) == (row->reader == NULL) && (!best || o->consumer < best->consumer))
            best = o;
    }
    return best;
}

static bool compare_row(const struct tt_graph *graph, const struct tt_verdict *v, struct tt_row *row,
                        const struct tt_trace *reference)
{
    const struct tt_trace_pass *pass = pass_of(v->trace, row->pass, row->sequence);
    const struct tt_observation *o = pass && row->in_span < 0 ? observation_of(pass, row) : NULL;
    struct sums s = {0};
    if (!o || !tt_node_by_token(tt_graph_node(graph, row->node)) || !o->value.shape[0])
        return false;
    for (int64_t t = 0; t < o->value.shape[0]; t++) {
        struct tt_row_match m;
        if (tt_find_row(reference, row->node, row->sequence, pass->inputs.positions[t], &m))
            add_row(&s, o, t, &m);
    }
    if (!s.n)
        return false;
    row->compared = true;
    row->ref_nmse = s.expected > 0 ? s.error / s.expected : s.error > 0 ? INFINITY : 0;
    row->ref_cosine = s.seen > 0 && s.expected > 0 ? s.product / sqrt(s.seen * s.expected) : 0;
    row->ref_max_abs = s.largest;
    return true;
}

/* ---- how far right runs may be apart ---- */

/* A run of the same inputs of which nothing was seen: what rounding alone makes of every value, caches included. */
struct envelope {
    double *nmse; /* [passes of the trace, nodes] predicted, 0: cannot be told */
    int nodes;
};

static double predicted(const struct tt_value *value)
{
    double size = 0, variance = 0;
    for (int64_t j = 0, n = value ? tt_value_count(value) : 0; j < n; j++) {
        size += value->v[j] * value->v[j];
        variance += tt_value_variance(value, j);
    }
    return size > 0 && !tt_unknown(variance) ? variance / size : 0;
}

/* `unit`: round-off of the rougher of the two runs. */
static struct envelope envelope_of(struct tt_graph *graph, const struct tt_trace *run, double unit)
{
    struct envelope e = {.nodes = tt_graph_nnodes(graph)};
    struct tt_trace *trace = tt_trace_new(graph);
    e.nmse = tt_alloc_array((size_t)run->npasses * (size_t)e.nodes + 1, sizeof *e.nmse);
    for (int i = 0; i < run->npasses; i++) {
        struct tt_trace_pass *pass = tt_trace_add_pass(trace, &run->passes[i].inputs);
        pass->sequence = run->passes[i].sequence;
        pass->continues = run->passes[i].continues;
        pass->blind = run->passes[i].blind;
        pass->tokens_by = run->passes[i].tokens_by;
    }
    trace->unit = unit;
    struct tt_evaluator *evaluator = tt_evaluator_new(graph, trace);
    for (int i = 0; i < run->npasses; i++) {
        tt_evaluator_begin(evaluator, i);
        for (int node = 0; node < e.nodes && !run->passes[i].blind; node++)
            e.nmse[i * e.nodes + node] = predicted(tt_evaluator_value(evaluator, node, NULL));
        tt_evaluator_end(evaluator);
        tt_graph_release_weights(graph);
    }
    tt_evaluator_free(evaluator);
    tt_trace_free(trace);
    return e;
}

/* ---- downstream of a fault ---- */

static bool is_faulty(const struct tt_fault *fault, const struct tt_node *node)
{
    bool layer = false, component = false;
    for (int i = 0; i < fault->nlayers; i++)
        layer = layer || fault->layers[i] == node->layer;
    for (int i = 0; i < fault->ncomponents; i++)
        component = component || strcmp(fault->components[i], node->blame) == 0;
    return layer && component;
}

/* [nodes] 1: a faulty component, or one that its value flows into. */
static uint8_t *downstream(const struct tt_graph *graph, const struct tt_verdict *v)
{
    uint8_t *reached = tt_alloc((size_t)tt_graph_nnodes(graph) + 1);
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *node = tt_graph_node(graph, i);
        for (int j = 0; j < v->nfaults && !reached[i]; j++)
            reached[i] = is_faulty(&v->faults[j], node);
        for (int j = 0; j < node->nin && !reached[i]; j++)
            reached[i] = reached[node->in[j]];
    }
    return reached;
}

/* ---- inputs ---- */

struct shift {
    int64_t compared, different, first;
    int32_t distance;
    bool constant;
};

/* Compares the tokens of a pass with the reference's at the same positions. */
static struct shift compare_tokens(const struct tt_trace_pass *pass, const struct tt_trace *reference, int32_t *expected)
{
    struct shift s = {.constant = true};
    for (int64_t t = 0; t < pass->inputs.ntokens; t++) {
        for (int i = 0; i < reference->npasses; i++) {
            const struct tt_trace_pass *r = &reference->passes[i];
            for (int64_t u = 0; u < r->inputs.ntokens && r->sequence == pass->sequence; u++) {
                if (r->inputs.positions[u] != pass->inputs.positions[t])
                    continue;
                int32_t d = pass->inputs.tokens[t] - r->inputs.tokens[u];
                s.compared++;
                if (d && !s.different++) {
                    s.first = t;
                    s.distance = d;
                    *expected = r->inputs.tokens[u];
                }
                s.constant = s.constant && d == s.distance;
            }
        }
    }
    return s;
}

static void compare_inputs(struct tt_verdict *v, const struct tt_trace *reference)
{
    for (int i = 0; i < v->trace->npasses; i++) {
        const struct tt_trace_pass *pass = &v->trace->passes[i];
        int32_t expected = 0;
        struct shift s = compare_tokens(pass, reference, &expected);
        if (!s.different || pass->phase == TT_DECODE || pass->tokens_by == TT_BY_NONE)
            continue;
        bool wrong_row = s.constant && s.different == s.compared && s.compared > 1;
        tt_add_token_fault(v, pass, s.first, pass->inputs.tokens[s.first], expected, wrong_row);
        return;
    }
}

/* ---- where the texts part ---- */

/* The first position of a sequence at which a decoded token is not the reference's; INT64_MAX: none. From there on the
 * numbers are of different texts. */
static int64_t parting(const struct tt_trace *run, const struct tt_trace *reference, int sequence, char *why, size_t size)
{
    for (int i = 0; i < run->npasses; i++) {
        const struct tt_trace_pass *pass = &run->passes[i];
        if (pass->sequence != sequence || pass->phase != TT_DECODE || pass->tokens_by == TT_BY_NONE)
            continue;
        for (int j = 0; j < reference->npasses; j++) {
            const struct tt_trace_pass *r = &reference->passes[j];
            for (int64_t t = 0; t < r->inputs.ntokens && r->sequence == sequence; t++) {
                if (r->inputs.positions[t] != pass->inputs.positions[0] || r->inputs.tokens[t] == pass->inputs.tokens[0])
                    continue;
                snprintf(why, size, "compared up to position %lld, where the run read token %d and the reference %d",
                         (long long)pass->inputs.positions[0], pass->inputs.tokens[0], r->inputs.tokens[t]);
                return pass->inputs.positions[0];
            }
        }
    }
    return INT64_MAX;
}

/* The run's values, one pass at a time. */
static void load_only(struct tt_trace *trace, const struct tt_row *row)
{
    for (int i = 0; i < trace->npasses; i++) {
        if (trace->passes[i].pass == row->pass && trace->passes[i].sequence == row->sequence)
            tt_trace_load(trace, i);
        else if (trace->passes[i].loaded)
            tt_trace_unload(trace, i);
    }
}

/* Most of the first pass was right where it arose, and yet has nothing to do with the reference. */
static bool is_foreign(const struct tt_verdict *v)
{
    const struct tt_fault *fault = v->nfaults ? &v->faults[0] : NULL;
    int pass = -1, right = 0, unrelated = 0;
    for (int i = 0; i < v->nrows; i++) {
        const struct tt_row *row = &v->rows[i];
        if (!row->compared || !tt_judgement_right(&row->judged))
            continue;
        pass = pass < 0 ? row->pass : pass;
        if (row->pass != pass || (fault && (row->pass > fault->pass || row->node >= fault->node)))
            continue;
        right++;
        unrelated += row->ref_cosine < UNRELATED;
    }
    return 2 * unrelated > right;
}

int tt_compare(struct tt_graph *graph, struct tt_verdict *v, struct tt_trace *trace, struct tt_trace *reference,
               struct tt_error *error)
{
    int compared = 0;
    compare_inputs(v, reference);
    uint8_t *reached = downstream(graph, v);
    for (int i = 0; i < reference->npasses; i++)
        tt_trace_load(reference, i);
    struct envelope envelope = envelope_of(graph, trace, fmax(trace->unit, tt_trace_usual_unit(reference)));
    for (int i = 0; i < v->nrows; i++) {
        struct tt_row *row = &v->rows[i];
        load_only(trace, row);
        const struct tt_trace_pass *pass = pass_of(trace, row->pass, row->sequence);
        if (!pass || (pass->phase == TT_DECODE &&
                      pass->inputs.positions[0] >= parting(trace, reference, row->sequence, trace->note, sizeof trace->note)))
            continue;
        if (!compare_row(graph, v, row, reference))
            continue;
        compared++;
        row->ref_floor = envelope.nmse[(pass - trace->passes) * envelope.nodes + row->node];
        bool away = row->ref_floor > 0 && row->ref_nmse > TT_ENVELOPE * row->ref_floor;
        if (away && reached[row->node] && tt_judgement_right(&row->judged))
            row->judged.status = TT_PROPAGATED;
        else if (away && tt_judgement_right(&row->judged))
            v->apart++;
    }
    free(envelope.nmse);
    free(reached);
    if (compared && is_foreign(v)) {
        tt_fail(error, TT_EINPUT, "the capture is right by itself and unrelated to the reference, which is of another model or "
                                  "run; make its own with 'tensortap ref MODEL --like CAPTURE'");
        return 0;
    }
    if (!compared)
        tt_fail(error, TT_EINPUT, "the reference shares no component and position with the capture; was it made with "
                                  "the same prompt and model? try 'tensortap ref MODEL --like CAPTURE'");
    return compared;
}
