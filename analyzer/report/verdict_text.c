/* SPDX-License-Identifier: Apache-2.0
 *
 * The verdict for people: one headline, the ladder of layers × components, one card a fault, what could not be seen.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/sheet.h"
#include "report/verdict.h"

#define SHOWN 8 /* lines of a list */

/* ---- headline ---- */

static enum tt_style style_of(const char *overall)
{
    if (strcmp(overall, "match") == 0)
        return TT_GREEN;
    return strcmp(overall, "mismatch") == 0 ? TT_RED : TT_YELLOW;
}

static void print_headline(const struct tt_verdict *v, const struct tt_verdict_view *view, const struct tt_term *term)
{
    const struct tt_coverage *c = &v->coverage;
    fprintf(term->out, "%s%s%s   ", tt_style_begin(term, style_of(v->overall)), v->overall,
            tt_style_end(term, style_of(v->overall)));
    if (v->trace)
        fprintf(term->out, "components %d/%d", c->covered, c->components);
    else
        fprintf(term->out, "calls %d/%d", v->calls.measured, v->calls.seen);
    if (v->causes_total)
        fprintf(term->out, ", causes visible on this prompt %d/%d", v->causes_visible, v->causes_total);
    if (view->path && strcmp(view->path, "unaltered") != 0)
        fprintf(term->out, ", path: %s", view->path);
    fputc('\n', term->out);
}

/* ---- ladder ---- */

static char letter_of(enum tt_outcome status)
{
    return ".=+~#/>"[status]; /* unmeasured exact pass drift introduced broken_link propagated */
}

static enum tt_style style_of_outcome(enum tt_outcome status)
{
    static const enum tt_style styles[] = {TT_DIM, TT_GREEN, TT_GREEN, TT_YELLOW, TT_RED, TT_RED, TT_CYAN};
    return styles[status];
}

static int severity(enum tt_outcome status)
{
    static const int order[] = {0, 1, 2, 3, 6, 5, 4};
    return order[status];
}

/* Worst outcome of a component in a layer, over all passes. */
static enum tt_outcome worst(const struct tt_verdict *v, const char *component, int layer)
{
    enum tt_outcome out = TT_UNMEASURED;
    for (int i = 0; i < v->nrows; i++) {
        const struct tt_row *row = &v->rows[i];
        if (row->in_span < 0 && row->layer == layer && strcmp(row->component, component) == 0 &&
            severity(row->judged.status) > severity(out))
            out = row->judged.status;
    }
    return out;
}

/* A fault belongs to its component even where another, later value showed it. */
static enum tt_outcome blamed(const struct tt_verdict *v, const char *component, int layer, enum tt_outcome seen)
{
    for (int i = 0; i < v->nfaults; i++) {
        const struct tt_fault *f = &v->faults[i];
        bool component_hit = false, layer_hit = false;
        for (int j = 0; j < f->ncomponents; j++)
            component_hit = component_hit || strcmp(f->components[j], component) == 0;
        for (int j = 0; j < f->nlayers; j++)
            layer_hit = layer_hit || f->layers[j] == layer;
        if (component_hit && layer_hit)
            return f->status;
    }
    return seen;
}

static bool judged_in_span(const struct tt_verdict *v, const char *component, int layer)
{
    for (int i = 0; i < v->nrows; i++)
        if (v->rows[i].in_span >= 0 && v->rows[i].layer == layer && strcmp(v->rows[i].component, component) == 0)
            return true;
    return false;
}

static void print_cell(const struct tt_term *term, enum tt_outcome status, bool in_span)
{
    if (status == TT_UNMEASURED && in_span) {
        fprintf(term->out, "%s-%s", tt_style_begin(term, TT_GREEN), tt_style_end(term, TT_GREEN));
        return;
    }
    enum tt_style style = style_of_outcome(status);
    fprintf(term->out, "%s%c%s", tt_style_begin(term, style), letter_of(status), tt_style_end(term, style));
}

static bool first_of_its_name(const struct tt_graph *graph, int index)
{
    for (int i = 0; i < index; i++)
        if (strcmp(tt_graph_node(graph, i)->blame, tt_graph_node(graph, index)->blame) == 0)
            return false;
    return true;
}

static void print_ladder(const struct tt_verdict *v, const struct tt_graph *graph, const struct tt_term *term)
{
    int layers = tt_graph_nlayers(graph), step = layers > 64 ? (layers + 63) / 64 : 1;
    fprintf(term->out, "\n  %-20s layer 0%s%d%s\n", "", layers > 1 ? "…" : "", layers - 1,
            step > 1 ? " (worst of several in one column)" : "");
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *node = tt_graph_node(graph, i);
        if (!first_of_its_name(graph, i) || (node->internal && strcmp(node->blame, node->component) == 0))
            continue;
        fprintf(term->out, "  %-20s ", node->blame);
        for (int layer = node->layer < 0 ? -1 : 0; layer < (node->layer < 0 ? 0 : layers); layer += step) {
            enum tt_outcome status = TT_UNMEASURED;
            bool in_span = false;
            for (int l = layer; l < layer + step && l < (layer < 0 ? 0 : layers); l++) {
                enum tt_outcome one = blamed(v, node->blame, l, worst(v, node->blame, l));
                status = severity(one) > severity(status) ? one : status;
                in_span = in_span || judged_in_span(v, node->blame, l);
            }
            print_cell(term, status, in_span);
        }
        fputc('\n', term->out);
    }
    fprintf(term->out, "  = exact  + pass  - right within a span  ~ drift  # introduced  / broken link  > propagated  . not seen\n");
}

/* ---- faults ---- */

static void print_list(const struct tt_term *term, const char *what, const int *values, int count)
{
    fprintf(term->out, "%s ", what);
    for (int i = 0; i < count; i++) {
        int last = i;
        while (last + 1 < count && values[last + 1] == values[last] + 1)
            last++;
        fprintf(term->out, "%s%d", i ? "," : "", values[i]);
        if (last > i)
            fprintf(term->out, "-%d", values[last]);
        i = last;
    }
}

static void print_extent(const struct tt_fault *f, const struct tt_term *term)
{
    tt_fact_begin(term, "extent");
    if (f->node < 0) {
        fprintf(term->out, "%s\n", tt_plural((uint64_t)f->times, "call").text);
        return;
    }
    if (f->nlayers && f->layers[0] >= 0)
        print_list(term, "layers", f->layers, f->nlayers);
    print_list(term, f->nlayers && f->layers[0] >= 0 ? "; passes" : "passes", f->passes, f->npasses);
    for (int i = 0; i < f->ncomponents && f->ncomponents > 1; i++)
        fprintf(term->out, "%s%s", i ? ", " : "; ", f->components[i]);
    fputc('\n', term->out);
}

static void print_numbers(const struct tt_fault *f, const struct tt_term *term)
{
    const struct tt_judgement *j = &f->judged;
    tt_fact(term, "seen", "NMSE %s (a right engine: %s), cosine %.6f, max abs %s at %s", tt_real(j->nmse).text,
            tt_real(j->floor).text, j->cosine, tt_real(j->max_abs).text, tt_shape(j->at, f->rank).text);
}

static void print_fault(const struct tt_fault *f, int number, const struct tt_graph *graph, const struct tt_term *term)
{
    char where[128];
    if (f->node < 0)
        snprintf(where, sizeof where, "%.100s", f->where);
    else
        snprintf(where, sizeof where, "p%d/%s", f->pass, tt_node_address(tt_graph_node(graph, f->node)).text);
    fprintf(term->out, "\n%s%d. %s  %s%s  (%s, %s%s)\n", tt_style_begin(term, TT_RED), number, where, f->cause,
            tt_style_end(term, TT_RED), tt_confidence_name(f->confidence), f->fault_class,
            strcmp(f->side, "reference") == 0 ? ", in the reference" : "");
    if (f->expected[0])
        tt_fact(term, "expected", "%s", f->expected);
    if (f->found[0])
        tt_fact(term, "found", "%s", f->found);
    if (f->nties) {
        tt_fact_begin(term, "same here");
        for (int i = 0; i < f->nties; i++)
            fprintf(term->out, "%s%s", i ? ", " : "", f->ties[i]);
        fputc('\n', term->out);
    }
    tt_fact(term, "evidence", "%s", f->evidence);
    if (f->span[0])
        tt_fact(term, "judged as", "%s", f->span);
    print_numbers(f, term);
    print_extent(f, term);
    if (isfinite(f->runner_up_chi2) && f->runner_up[0])
        tt_fact(term, "next best", "%s, chi2/N %s", f->runner_up, tt_real(f->runner_up_chi2).text);
    if (f->where[0] && f->node >= 0)
        tt_fact(term, "where", "%s", f->where);
}

/* ---- what was not seen ---- */

static void print_gaps(const struct tt_verdict *v, const struct tt_graph *graph, const struct tt_verdict_view *view,
                       const struct tt_term *term)
{
    const struct tt_coverage *c = &v->coverage;
    if (c->nunmeasured || v->nunobservable || view->unnamed_calls || (view->note && *view->note))
        fputc('\n', term->out);
    if (c->nunmeasured) {
        tt_fact_begin(term, "not seen");
        for (int i = 0; i < c->nunmeasured && i < 8; i++)
            fprintf(term->out, "%s%s", i ? ", " : "", tt_node_address(tt_graph_node(graph, c->unmeasured[i])).text);
        if (c->nunmeasured > 8)
            fprintf(term->out, " and %d more", c->nunmeasured - 8);
        fputc('\n', term->out);
    }
    for (int i = 0; i < v->nunobservable && i < SHOWN; i++)
        tt_fact(term, i ? "" : "invisible", "%s: needs %s", v->unobservable[i].cause, v->unobservable[i].prompt);
    if (v->nunobservable > SHOWN)
        tt_fact(term, "", "and %d more, see --json", v->nunobservable - SHOWN);
    if (view->unnamed_calls)
        tt_fact(term, "unnamed", "%s; 'tensortap map' lists them", tt_plural((uint64_t)view->unnamed_calls, "call").text);
    if (view->note && *view->note)
        tt_fact(term, "note", "%s", view->note);
}

/* ---- rows ---- */

static void print_rows(const struct tt_verdict *v, const struct tt_graph *graph, const struct tt_verdict_view *view,
                       const struct tt_term *term)
{
    static const struct tt_column columns[] = {
        {"value", TT_LEFT, TT_PLAIN, false}, {"status", TT_LEFT, TT_PLAIN, false}, {"chi2/N", TT_RIGHT, TT_PLAIN, false},
        {"nmse", TT_RIGHT, TT_PLAIN, false}, {"floor", TT_RIGHT, TT_DIM, false},   {"cosine", TT_RIGHT, TT_PLAIN, false},
        {"ref nmse", TT_RIGHT, TT_PLAIN, false}, {"by", TT_LEFT, TT_DIM, true},    {"note", TT_LEFT, TT_DIM, true}};
    struct tt_sheet *sheet = tt_sheet_new(columns, sizeof columns / sizeof *columns);
    for (int i = 0; i < v->nrows; i++) {
        const struct tt_row *r = &v->rows[i];
        if (!tt_row_selected(view, r, graph ? tt_graph_nlayers(graph) : 0))
            continue;
        if (r->op)
            tt_sheet_cell(sheet, "call %llu %s", (unsigned long long)r->call, r->routine ? r->routine : r->op);
        else if (r->layer < 0)
            tt_sheet_cell(sheet, "p%d/%s%s%s", r->pass, r->component, r->reader ? " → " : "", r->reader ? r->reader : "");
        else
            tt_sheet_cell(sheet, "p%d/L%d.%s%s%s", r->pass, r->layer, r->component, r->reader ? " → " : "",
                          r->reader ? r->reader : "");
        tt_sheet_cell(sheet, "%s", tt_outcome_name(r->judged.status));
        tt_sheet_style(sheet, style_of_outcome(r->judged.status));
        bool seen = r->in_span < 0; /* a value inside a span has no numbers of its own */
        tt_sheet_cell(sheet, "%s", seen ? tt_real(r->judged.chi2).text : "");
        tt_sheet_cell(sheet, "%s", seen ? tt_real(r->judged.nmse).text : "");
        tt_sheet_cell(sheet, "%s", seen ? tt_real(r->judged.floor).text : "");
        if (seen)
            tt_sheet_cell(sheet, "%.7f", r->judged.cosine);
        else
            tt_sheet_cell(sheet, "%s", "");
        tt_sheet_cell(sheet, "%s", r->compared ? tt_real(r->ref_nmse).text : "");
        tt_sheet_cell(sheet, "%s", tt_evidence_name(r->evidence));
        if (seen)
            tt_sheet_cell(sheet, "%s", r->form ? r->form : r->transform ? r->transform : "");
        else
            tt_sheet_cell(sheet, "judged by %s", tt_node_address(tt_graph_node(graph, r->in_span)).text);
    }
    tt_sheet_print(sheet, term);
    tt_sheet_free(sheet);
}

void tt_verdict_print(const struct tt_verdict *v, const struct tt_graph *graph, const struct tt_verdict_view *view,
                      const struct tt_term *term)
{
    print_headline(v, view, term);
    if (graph)
        tt_fact(term, "model", "%s (%s, %s)", view->model, view->family,
                tt_plural((uint64_t)tt_graph_nlayers(graph), "layer").text);
    else
        tt_fact(term, "model", "none: each call is recomputed from its own operands, nothing is named");
    if (view->reference)
        tt_fact(term, "reference", "%s", view->reference);
    if (view->all_rows)
        print_rows(v, graph, view, term);
    else if (graph)
        print_ladder(v, graph, term);
    if (v->calls.seen && !view->all_rows)
        tt_print_calls(v, term);
    for (int i = 0; i < v->nfaults; i++)
        print_fault(&v->faults[i], i + 1, graph, term);
    print_gaps(v, graph, view, term);
}
