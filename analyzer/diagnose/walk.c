/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk over a trace: every value that was seen, in execution order, against what the graph makes of what was seen
 * before it. Later values build on what the engine had, right or wrong, so each fault is counted once, where it arose.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "diagnose/diagnose.h"
#include "diagnose/coverage.h"
#include "diagnose/hypotheses.h"
#include "diagnose/inputs.h"
#include "diagnose/otherwise.h"
#include "diagnose/walk.h"
#include "diagnose/weights.h"

#define MAX_SPAN 512
#define LINK_ROUNDING 0.18 /* variance of one rounding in (u·y)² */

struct walk {
    struct tt_graph *graph;
    struct tt_trace *trace;
    const struct tt_verify_options *options;
    struct tt_evaluator *evaluator;
    struct tt_verdict *verdict;
    struct tt_weights *weights;
    const struct tt_trace_pass *pass;
    uint8_t *confirmed; /* [nodes] part of a span that was right in this pass */
    uint8_t *doubtful;  /* [nodes] downstream of an unexplained fault through values nobody saw */
    uint8_t *reached;   /* [nodes] lay in a judged span in some pass */
    uint8_t *covered;   /* [nodes] 1 judged as part of a span, 2 seen itself; this pass */
    struct tt_visibility_of_causes *visible;
    bool stop;
};

/* ---- rows ---- */

static struct tt_row *add_row(struct walk *w, const struct tt_observation *o, const struct tt_judgement *j)
{
    struct tt_verdict *v = w->verdict;
    if ((v->nrows & (v->nrows - 1)) == 0)
        v->rows = tt_grow(v->rows, v->nrows ? 2 * (size_t)v->nrows : 1, sizeof *v->rows);
    const struct tt_node *node = tt_graph_node(w->graph, o->node);
    struct tt_row *row = &v->rows[v->nrows++];
    *row = (struct tt_row){.pass = w->pass->pass, .sequence = w->pass->sequence, .node = o->node, .layer = node->layer,
                           .component = node->blame, .operand = o->consumer < 0 ? "out" : "in",
                           .reader = o->consumer < 0 ? NULL : tt_graph_node(w->graph, o->consumer)->blame,
                           .in_span = -1, .dtype = o->dtype, .rank = o->value.rank, .judged = *j, .explained = true,
                           .evidence = o->evidence, .transform = o->transform};
    memcpy(row->shape, o->value.shape, sizeof row->shape);
    return row;
}

/* Values that nobody saw but that a right one was rebuilt from: as right as that one, for what it can show. */
static void add_span_rows(struct walk *w, const struct tt_observation *o, const struct tt_row *seen, const int *span, int n)
{
    struct tt_row judged = *seen;
    for (int i = n - 1; i >= 0; i--) {
        const struct tt_node *node = tt_graph_node(w->graph, span[i]);
        if (w->covered[span[i]] || node->internal || span[i] == o->node)
            continue;
        struct tt_row *row = add_row(w, o, &judged.judged);
        row->node = span[i];
        row->layer = node->layer;
        row->component = node->blame;
        row->operand = "span";
        row->reader = NULL;
        row->in_span = o->node;
        row->evidence = TT_BY_FLOW;
        row->rank = tt_trace_shape(w->graph, w->pass, span[i], -1, -1, row->shape);
    }
}

/* ---- faults ---- */

static bool add_distinct(int **list, int *count, int value)
{
    for (int i = 0; i < *count; i++)
        if ((*list)[i] == value)
            return false;
    *list = tt_grow(*list, (size_t)*count + 1, sizeof **list);
    (*list)[(*count)++] = value;
    return true;
}

static bool has_component(const struct tt_fault *fault, const char *component)
{
    for (int i = 0; i < fault->ncomponents; i++)
        if (strcmp(fault->components[i], component) == 0)
            return true;
    return false;
}

static void add_component(struct tt_fault *fault, const char *component)
{
    if (!has_component(fault, component) &&
        fault->ncomponents < (int)(sizeof fault->components / sizeof *fault->components))
        snprintf(fault->components[fault->ncomponents++], sizeof fault->components[0], "%s", component);
}

static void extend(struct tt_fault *fault, int layer, int pass, const char *component)
{
    add_distinct(&fault->layers, &fault->nlayers, layer);
    add_distinct(&fault->passes, &fault->npasses, pass);
    add_component(fault, component);
    fault->times++;
}

/* Several readers of one value that got the same wrong thing. */
static bool same_link(const struct tt_fault *a, const struct tt_fault *b)
{
    return strncmp(a->cause, "flow.", 5) == 0 && a->pass == b->pass && a->layer == b->layer &&
           strcmp(a->expected, b->expected) == 0 && strcmp(a->found, b->found) == 0;
}

/* The same cause with the same finding is one fault, wherever it shows again. Unknown ones merge within a component. */
static struct tt_fault *same_fault(struct tt_verdict *v, const struct tt_fault *fault)
{
    for (int i = 0; i < v->nfaults; i++) {
        struct tt_fault *old = &v->faults[i];
        bool unknown = strcmp(fault->cause, "unknown") == 0 || strncmp(fault->cause, "value.", 6) == 0 ||
                       strncmp(fault->cause, "flow.", 5) == 0;
        if (strcmp(old->cause, fault->cause) == 0 &&
            (unknown ? has_component(old, fault->component) || same_link(old, fault)
                     : strcmp(old->found, fault->found) == 0 || strncmp(fault->cause, "kv.", 3) == 0 ||
                           strncmp(fault->cause, "linear.", 7) != 0))
            return old;
    }
    return NULL;
}

static void remember_repair(struct tt_fault *fault, const struct tt_fault *from)
{
    for (int i = 0; i < from->repair.count; i++)
        add_distinct(&fault->repaired, &fault->nrepaired, from->repair.items[i].node);
}

static void add_fault(struct walk *w, struct tt_fault *fault)
{
    struct tt_verdict *v = w->verdict;
    struct tt_fault *old = same_fault(v, fault);
    if (old) {
        extend(old, fault->layer, fault->pass, fault->component);
        remember_repair(old, fault);
        return;
    }
    struct tt_fault *faults = tt_alloc_array((size_t)v->nfaults + 1, sizeof *faults);
    for (int i = 0; i <= v->nfaults; i++) { /* overrides point into themselves: no plain copy */
        faults[i] = i < v->nfaults ? v->faults[i] : *fault;
        tt_overrides_copy(&faults[i].repair, i < v->nfaults ? &v->faults[i].repair : &fault->repair);
    }
    free(v->faults);
    v->faults = faults;
    extend(&v->faults[v->nfaults], fault->layer, fault->pass, fault->component);
    remember_repair(&v->faults[v->nfaults++], fault);
}

static void mark_doubtful(struct walk *w, const int *span, int n)
{
    for (int i = 0; i < n; i++)
        if (!w->confirmed[span[i]])
            w->doubtful[span[i]] = 1;
}

static bool any_doubtful(const struct walk *w, const int *span, int n)
{
    for (int i = 1; i < n; i++)
        if (w->doubtful[span[i]])
            return true;
    return false;
}

static struct tt_diagnosis diagnosis_of(const struct walk *w)
{
    return (struct tt_diagnosis){.evaluator = w->evaluator, .graph = w->graph, .trace = w->trace, .pass = w->pass,
                                 .weights = w->weights, .known = w->verdict->faults, .nknown = w->verdict->nfaults,
                                 .confirmed = w->confirmed};
}

/* Ops of a layer with the same settings (the rotations of q and k) have what is wrong with these in common: one fault. */
static void join_siblings(const struct walk *w, const struct tt_diagnosis *d, struct tt_fault *fault, const int *span, int n)
{
    for (int i = 0; i < w->verdict->nfaults && strcmp(fault->cause, "unknown") == 0; i++) {
        struct tt_fault *old = &w->verdict->faults[i];
        struct tt_siblings group = {0};
        int node = tt_graph_find(w->graph, old->component, fault->layer);
        if (node >= 0 && strcmp(old->cause, "unknown") == 0 && !has_component(old, fault->component))
            group = tt_siblings_of(d, span, n, node);
        if (group.count < 2)
            continue;
        snprintf(fault->component, sizeof fault->component, "%s", tt_graph_node(w->graph, group.node[1])->blame);
        add_component(old, fault->component);
    }
}

static void name_fault(struct walk *w, const struct tt_observation *o, const struct tt_judgement *j, const int *span,
                       int n)
{
    struct tt_fault fault = {.pass = w->pass->pass, .sequence = w->pass->sequence, .node = o->node,
                             .status = TT_INTRODUCED, .side = "engine", .fault_class = "kernel", .judged = *j,
                             .chi2 = j->chi2, .rank = o->value.rank};
    struct tt_diagnosis d = diagnosis_of(w);
    tt_diagnose(&d, o, &fault);
    if (fault.repair.count) {
        tt_evaluator_persist(w->evaluator, &fault.repair);
        tt_evaluator_forget(w->evaluator, span, n); /* caches that nobody saw hold what the engine wrote, fault included */
    } else if (!fault.explained)
        mark_doubtful(w, span, n);
    join_siblings(w, &d, &fault, span, n);
    add_fault(w, &fault);
    w->stop = w->options->stop_at_first;
}

/* A value that is right only because a named fault is part of the graph by now shows that fault again. */
static void extend_known(struct walk *w, const int *span, int n)
{
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < w->verdict->nfaults; j++) {
            struct tt_fault *fault = &w->verdict->faults[j];
            for (int k = 0; k < fault->nrepaired; k++)
                if (fault->repaired[k] == span[i] && !tt_graph_node(w->graph, span[i])->state && fault->pass != w->pass->pass)
                    extend(fault, tt_graph_node(w->graph, span[i])->layer, w->pass->pass,
                           tt_graph_node(w->graph, span[i])->blame);
        }
    }
}

/* ---- one value ---- */

static void judge_value(struct walk *w, const struct tt_observation *o)
{
    struct tt_value expected = {0};
    int span[MAX_SPAN], n = tt_evaluator_span(w->evaluator, o->node, span, MAX_SPAN);
    if (tt_evaluate_as(w->evaluator, o, NULL, &expected, NULL))
        return;
    struct tt_diagnosis d = diagnosis_of(w);
    struct tt_judgement j = tt_judge(o, &expected);
    if (j.status == TT_INTRODUCED &&
        tt_undo_early_scale(&d, &w->trace->passes[w->pass - w->trace->passes], o, &expected))
        j = tt_judge(o, &expected);
    const char *form = NULL;
    if (j.status == TT_INTRODUCED || (j.status == TT_DRIFT && w->trace->unit < 0x1p-24))
        tt_right_otherwise(&d, o, span, n, &expected, &j, &form);
    struct tt_row *row = add_row(w, o, &j);
    row->form = form;
    if (j.status == TT_DRIFT || j.status == TT_INTRODUCED) {
        row->form = tt_explain_benign(&d, o, &row->judged);
        row->explained = row->form != NULL;
    }
    if (row->judged.status == TT_INTRODUCED && any_doubtful(w, span, n))
        row->judged.status = TT_PROPAGATED; /* rebuilt from values that a fault nobody can undo has spoiled */
    if (row->judged.status == TT_INTRODUCED)
        name_fault(w, o, &row->judged, span, n);
    if (tt_judgement_right(&row->judged)) {
        extend_known(w, span, n);
        tt_note_visible_causes(w->visible, &d, o, span, n);
        for (int i = 0; i < n; i++)
            w->confirmed[span[i]] = 1;
    }
    if (j.n && row->judged.status != TT_INTRODUCED)
        add_span_rows(w, o, &w->verdict->rows[w->verdict->nrows - 1], span, n);
    for (int i = 0; i < n && j.n; i++)
        if (!w->covered[span[i]])
            w->covered[span[i]] = 1;
    w->covered[o->node] = j.n ? 2 : w->covered[o->node];
    tt_evaluator_adopt(w->evaluator, o, &expected);
    tt_value_free(&expected);
}

/* ---- edges ---- */

/* Did a reader get what was written? Where it differs, what did it get instead? */
static const char *find_source(const struct walk *w, const struct tt_observation *read, char *text, size_t size)
{
    for (int p = 0; p < w->trace->npasses; p++) {
        const struct tt_trace_pass *pass = &w->trace->passes[p];
        for (int i = 0; i < pass->nobservations && pass <= w->pass; i++) {
            const struct tt_observation *other = &pass->observations[i];
            if (other == read || other->nseen != read->nseen || (pass == w->pass && other->node == read->node) ||
                tt_value_count(&other->value) != tt_value_count(&read->value) ||
                memcmp(other->value.v, read->value.v, (size_t)tt_value_count(&read->value) * sizeof(double)) != 0)
                continue;
            snprintf(text, size, "p%d/%s", pass->pass, tt_node_address(tt_graph_node(w->graph, other->node)).text);
            return pass == w->pass ? "flow.wrong_operand" : "flow.stale";
        }
    }
    snprintf(text, size, "something that no value of the run equals");
    return "flow.overwritten";
}

/* A reader that is wired otherwise, as the family knows it: what it read is the value of another node. */
static bool name_other_wiring(const struct walk *w, const struct tt_observation *read, const struct tt_rewrite *rewrite,
                              struct tt_fault *fault)
{
    const struct tt_node *reader = tt_graph_node(w->graph, read->consumer);
    struct tt_observation other = *read;
    struct tt_value expected = {0};
    bool right = false;
    other.node = -1;
    for (int i = 0; i < rewrite->nsets; i++)
        if (strcmp(rewrite->sets[i].component, reader->component) == 0 && read->port < rewrite->sets[i].nin)
            other.node = tt_graph_resolve(w->graph, rewrite->sets[i].in[read->port], reader->layer);
    if (other.node < 0 || tt_evaluate_as(w->evaluator, &other, NULL, &expected, NULL))
        return false;
    struct tt_judgement j = tt_judge(&other, &expected);
    if ((right = j.status == TT_EXACT || j.status == TT_PASS)) {
        snprintf(fault->cause, sizeof fault->cause, "%s", rewrite->cause);
        snprintf(fault->found, sizeof fault->found, "%.63s", rewrite->found ? rewrite->found : "other wiring");
        snprintf(fault->evidence, sizeof fault->evidence, "%s read %s, chi2/N %.3g, in place of %s, %.3g",
                 tt_node_address(reader).text, fault->found, j.chi2, fault->expected, fault->chi2);
        fault->fault_class = "architecture";
        fault->confidence = TT_CERTAIN;
        fault->chi2_after = j.chi2;
        fault->explained = true;
    }
    tt_value_free(&expected);
    return right;
}

static bool wired_otherwise(const struct walk *w, const struct tt_observation *read, struct tt_fault *fault)
{
    const char *reader = tt_graph_node(w->graph, read->consumer)->component;
    bool found = false;
    for (int i = 0; i < tt_graph_nrewrites(w->graph) && !found; i++) {
        const struct tt_rewrite *rewrite = tt_graph_rewrite(w->graph, i);
        found = strcmp(rewrite->at, reader) == 0 && name_other_wiring(w, read, rewrite, fault);
    }
    return found;
}

static void name_broken_link(struct walk *w, const struct tt_observation *o, const struct tt_judgement *j)
{
    const struct tt_node *source = tt_graph_node(w->graph, o->node), *reader = tt_graph_node(w->graph, o->consumer);
    struct tt_fault fault = {.pass = w->pass->pass, .sequence = w->pass->sequence, .node = o->consumer,
                             .layer = reader->layer, .status = TT_BROKEN_LINK, .side = "engine",
                             .fault_class = "flow", .judged = *j, .chi2 = j->chi2, .chi2_after = NAN,
                             .runner_up_chi2 = INFINITY, .rank = o->value.rank, .confidence = TT_LIKELY};
    char got[112];
    snprintf(fault.cause, sizeof fault.cause, "%s", find_source(w, o, got, sizeof got));
    snprintf(fault.component, sizeof fault.component, "%s", reader->blame);
    snprintf(fault.expected, sizeof fault.expected, "%.63s", tt_node_address(source).text);
    snprintf(fault.found, sizeof fault.found, "%.63s", got);
    snprintf(fault.link, sizeof fault.link, "%.60s read for %.60s", got, tt_node_address(source).text);
    snprintf(fault.evidence, sizeof fault.evidence, "%s read %s in place of %s", tt_node_address(reader).text, got,
             tt_node_address(source).text);
    struct tt_diagnosis d = diagnosis_of(w);
    if (!wired_otherwise(w, o, &fault))
        tt_weights_conclude(&d, o, &fault);
    add_fault(w, &fault);
    w->stop = w->options->stop_at_first;
}

static void judge_edge(struct walk *w, const struct tt_observation *o)
{
    const struct tt_value *written = tt_evaluator_value(w->evaluator, o->node, NULL);
    struct tt_value expected = {0};
    if (!written || tt_evaluator_as_read(w->evaluator, o, written, &expected))
        return;
    double unit = fmax(o->unit, w->trace->unit);
    double *var = tt_value_need_var(&expected);
    for (int64_t i = 0, n = tt_value_count(&expected); i < n; i++)
        if (!tt_unknown(var[i]))
            var[i] += LINK_ROUNDING * unit * unit * expected.v[i] * expected.v[i] + 1e-300;
    struct tt_judgement j = tt_judge(o, &expected);
    if (j.status == TT_INTRODUCED)
        j.status = w->doubtful[o->node] ? TT_PROPAGATED : TT_BROKEN_LINK;
    add_row(w, o, &j);
    if (j.status == TT_BROKEN_LINK)
        name_broken_link(w, o, &j);
    tt_value_free(&expected);
}

/* ---- the walk ---- */

/* As produced when that was seen, else as the first reader got it. */
static const struct tt_observation *primary(const struct tt_trace_pass *pass, int node)
{
    const struct tt_observation *best = NULL;
    for (int i = 0; i < pass->nobservations; i++) {
        const struct tt_observation *o = &pass->observations[i];
        if (o->node == node && o->nseen && (!best || o->consumer < best->consumer))
            best = o;
    }
    return best;
}

static void walk_node(struct walk *w, int node)
{
    const struct tt_observation *first = primary(w->pass, node);
    if (!first)
        return;
    judge_value(w, first);
    for (int i = 0; i < w->pass->nobservations && !w->stop; i++) {
        const struct tt_observation *o = &w->pass->observations[i];
        if (o->node == node && o != first && o->nseen)
            judge_edge(w, o);
    }
}

static void walk_pass(struct walk *w, int index)
{
    size_t nodes = (size_t)tt_graph_nnodes(w->graph);
    tt_trace_load(w->trace, index);
    w->pass = &w->trace->passes[index];
    memset(w->confirmed, 0, nodes);
    memset(w->doubtful, 0, nodes);
    memset(w->covered, 0, nodes);
    tt_evaluator_begin(w->evaluator, index);
    for (int node = 0; node < (int)nodes && !w->stop; node++)
        walk_node(w, node);
    for (size_t i = 0; i < nodes; i++)
        w->reached[i] |= w->covered[i];
    tt_coverage_add(w->verdict, w->graph, w->pass, w->covered);
    w->trace->passes[index].greedy = tt_greedy_token(w->graph, w->pass);
    tt_evaluator_end(w->evaluator);
    tt_graph_release_weights(w->graph);
    for (int i = 0; i < index; i++) /* this one stays for a while: a stale operand is looked for in the pass before */
        tt_trace_unload(w->trace, i);
}

struct tt_verdict *tt_verify(struct tt_graph *graph, struct tt_trace *trace,
                             const struct tt_verify_options *options)
{
    size_t nodes = (size_t)tt_graph_nnodes(graph);
    struct walk w = {.graph = graph, .trace = trace, .options = options};
    w.verdict = tt_alloc(sizeof *w.verdict);
    w.verdict->trace = trace;
    w.evaluator = tt_evaluator_new(graph, trace);
    w.weights = tt_weights_new(options->capture, graph);
    w.visible = tt_visibility_new(graph);
    w.confirmed = tt_alloc(nodes);
    w.doubtful = tt_alloc(nodes);
    w.covered = tt_alloc(nodes);
    w.reached = tt_alloc(nodes);
    struct tt_progress progress = tt_progress_begin("verifying", (uint64_t)trace->npasses);
    for (int i = 0; i < trace->npasses && !w.stop; i++) {
        walk_pass(&w, i);
        tt_progress_step(&progress, (uint64_t)i + 1);
    }
    tt_progress_end(&progress);
    struct tt_diagnosis d = diagnosis_of(&w);
    tt_note_hidden_causes(w.visible, &d, w.reached);
    tt_check_tokens(w.verdict);
    tt_visibility_report(w.visible, w.verdict);
    tt_coverage_finish(w.verdict);
    tt_visibility_free(w.visible);
    tt_evaluator_free(w.evaluator);
    tt_weights_free(w.weights);
    free(w.confirmed);
    free(w.doubtful);
    free(w.covered);
    free(w.reached);
    return w.verdict;
}
