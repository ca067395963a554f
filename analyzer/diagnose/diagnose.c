/* SPDX-License-Identifier: Apache-2.0
 *
 * Choosing among hypotheses. One is accepted when the engine's numbers are right under it; all that are accepted form a
 * tie class, of which the simplest is named. Two are combined only when no single one fits.
 */
#include "diagnose/diagnose.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diagnose/hypotheses.h"
#include "diagnose/weights.h"

#define MAX_SPAN  512
#define FEW_ROWS  40
#define MAX_PAIRS 400 /* combinations tried when no single form fits */

/* ---- trying ---- */

static void try_one(const struct tt_diagnosis *d, const struct tt_observation *target, struct tt_hypothesis *h)
{
    struct tt_value expected;
    if (h->tried)
        return;
    if (tt_evaluate_as(d->evaluator, target, &h->overrides, &expected, NULL)) {
        h->judged = (struct tt_judgement){.status = TT_INTRODUCED, .chi2 = INFINITY};
        return;
    }
    h->judged = tt_judge(target, &expected);
    if (h->judged.nonfinite || !h->judged.n)
        h->judged.chi2 = INFINITY;
    tt_value_free(&expected);
}

static bool accepted(const struct tt_hypothesis *h, double before)
{
    return h->judged.n && (h->judged.status == TT_EXACT || h->judged.status == TT_PASS ||
                           (h->judged.status == TT_DRIFT && h->judged.chi2 * 100 < before));
}

/* A form in a part of the span that was right for an earlier value is believed only if nothing else fits. */
static int suspicion(const struct tt_diagnosis *d, const struct tt_hypothesis *h)
{
    bool confirmed = d->confirmed && d->confirmed[h->node];
    return (int)h->origin + (confirmed ? 2 : 0);
}

static bool better(const struct tt_diagnosis *d, const struct tt_hypothesis *a, const struct tt_hypothesis *b,
                   double before)
{
    bool fits_a = accepted(a, before), fits_b = accepted(b, before);
    if (fits_a != fits_b)
        return fits_a;
    if (!fits_a)
        return a->judged.chi2 < b->judged.chi2;
    /* among those that fit, a much better fit wins over simplicity */
    if (a->judged.chi2 * 4 < b->judged.chi2 && b->judged.chi2 > 1)
        return true;
    if (b->judged.chi2 * 4 < a->judged.chi2 && a->judged.chi2 > 1)
        return false;
    int sa = suspicion(d, a), sb = suspicion(d, b);
    return sa != sb ? sa < sb : a->judged.chi2 < b->judged.chi2;
}

static const struct tt_hypothesis *best_of(const struct tt_diagnosis *d, const struct tt_hypotheses *list, double before)
{
    const struct tt_hypothesis *best = NULL;
    for (int i = 0; i < list->count; i++)
        if (isfinite(list->items[i].judged.chi2) && (!best || better(d, &list->items[i], best, before)))
            best = &list->items[i];
    return best;
}

/* ---- describing ---- */

static const char *class_of(const char *cause)
{
    static const struct {
        const char *prefix, *class;
    } classes[] = {
        {"input.", "input"},       {"embed.", "architecture"}, {"norm.eps", "config"},
        {"norm.wrong_weight", "weights"}, {"norm.", "architecture"},  {"rope.theta", "config"},
        {"rope.", "architecture"}, {"attn.scale", "config"},   {"attn.", "architecture"},
        {"kv.", "cache"},          {"linear.bias", "architecture"}, {"linear.leading", "call"},
        {"linear.transposed", "call"}, {"linear.truncated", "call"}, {"linear.tile", "kernel"},
        {"linear.scale", "call"},  {"linear.", "weights"},     {"quant.", "weights"},
        {"mlp.", "architecture"},  {"residual.", "architecture"}, {"moe.", "architecture"},
        {"logits.", "architecture"}, {"flow.", "flow"},        {"precision.", "precision"},
        {"parallel.", "parallel"},
    };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strncmp(cause, classes[i].prefix, strlen(classes[i].prefix)) == 0)
            return classes[i].class;
    return "kernel";
}

static bool listed(const struct tt_fault *fault, const char *cause)
{
    bool found = strcmp(fault->cause, cause) == 0;
    for (int i = 0; i < fault->nties; i++)
        found = found || strcmp(fault->ties[i], cause) == 0;
    return found;
}

static void name_ties(const struct tt_hypotheses *list, const struct tt_hypothesis *best, struct tt_fault *fault)
{
    for (int i = 0; i < list->count; i++) {
        const struct tt_hypothesis *h = &list->items[i];
        bool fits = accepted(h, fault->chi2) && h->judged.chi2 <= fmax(4, 4 * best->judged.chi2);
        if (fits && !listed(fault, h->cause) && fault->nties < TT_MAX_TIES)
            snprintf(fault->ties[fault->nties++], sizeof fault->ties[0], "%s", h->cause);
    }
}

static void name_runner_up(const struct tt_hypotheses *list, struct tt_fault *fault)
{
    fault->runner_up_chi2 = INFINITY;
    for (int i = 0; i < list->count; i++) {
        const struct tt_hypothesis *h = &list->items[i];
        if (!listed(fault, h->cause) && h->judged.chi2 < fault->runner_up_chi2) {
            fault->runner_up_chi2 = h->judged.chi2;
            snprintf(fault->runner_up, sizeof fault->runner_up, "%s", h->cause);
        }
    }
}

static void name_span(const struct tt_diagnosis *d, const int *nodes, int n, struct tt_fault *fault)
{
    size_t length = 0;
    fault->span[0] = 0;
    for (int i = n - 1; i >= 0 && n > 1; i--) {
        const struct tt_node *node = tt_graph_node(d->graph, nodes[i]);
        if ((d->confirmed && d->confirmed[nodes[i]] && nodes[i] != fault->node) ||
            (i + 1 < n && strcmp(tt_node_address(tt_graph_node(d->graph, nodes[i + 1])).text, tt_node_address(node).text) == 0))
            continue;
        int written = snprintf(fault->span + length, sizeof fault->span - length, "%s%s", length ? " " : "",
                               tt_node_address(node).text);
        if (written < 0 || (size_t)written >= sizeof fault->span - length)
            break;
        length += (size_t)written;
    }
}

static void blame(const struct tt_diagnosis *d, int node, struct tt_fault *fault)
{
    const struct tt_node *n = tt_graph_node(d->graph, node);
    fault->node = node;
    fault->layer = n->layer;
    snprintf(fault->component, sizeof fault->component, "%s", n->blame);
}

/* Causes of other ops that make the same numbers: a scale of q is one of the scores, a residual stream that is scaled on
 * its way from the embedding one of the embedding. */
static void name_twins(const struct tt_diagnosis *d, const struct tt_hypothesis *best, struct tt_fault *fault)
{
    const struct tt_node *node = tt_graph_node(d->graph, best->node);
    const char *twin = NULL;
    if (strcmp(best->cause, "rope.magnitude_scale") == 0 && node->op && strcmp(node->op->name, "rope") == 0)
        twin = "attn.scale";
    for (int i = 0; i < node->nin && strcmp(best->cause, "residual.scale") == 0; i++) {
        const struct tt_node *source = tt_graph_node(d->graph, node->in[i]);
        if (source->layer < 0 && !tt_trace_find(d->pass, node->in[i], -1, -1))
            twin = "embed.scale_twice";
    }
    if (twin && !listed(fault, twin) && fault->nties < (int)(sizeof fault->ties / sizeof *fault->ties))
        snprintf(fault->ties[fault->nties++], sizeof fault->ties[0], "%s", twin);
}

/* What was read from the call leaves nothing to choose. */
static void accept_operand(const struct tt_hypothesis *best, struct tt_fault *fault)
{
    fault->nties = 0;
    fault->confidence = best->judged.chi2 <= TT_CHI2_PASS ? TT_CERTAIN : TT_LIKELY;
    snprintf(fault->evidence, sizeof fault->evidence, "%s; with it the engine's numbers have chi2/N %.3g, with the file's %.3g",
             best->evidence, best->judged.chi2, fault->chi2);
}

static void accept(const struct tt_diagnosis *d, const struct tt_hypotheses *list, const struct tt_hypothesis *best,
                   struct tt_fault *fault)
{
    snprintf(fault->cause, sizeof fault->cause, "%s", best->cause);
    snprintf(fault->expected, sizeof fault->expected, "%s", best->expected);
    snprintf(fault->found, sizeof fault->found, "%s", best->found);
    blame(d, best->node, fault);
    fault->chi2_after = best->judged.chi2;
    fault->explained = true;
    tt_overrides_copy(&fault->repair, &best->overrides);
    fault->fault_class = class_of(fault->cause);
    if (strncmp(fault->cause, "kv.", 3) == 0)
        fault->status = TT_BROKEN_LINK;
    name_ties(list, best, fault);
    name_twins(d, best, fault);
    name_runner_up(list, fault);
    fault->confidence = !fault->nties && best->judged.chi2 <= TT_CHI2_PASS && fault->runner_up_chi2 > 4 * fmax(best->judged.chi2, 1)
                            ? TT_CERTAIN
                            : TT_LIKELY;
    snprintf(fault->evidence, sizeof fault->evidence,
             "with %s (%s) the engine's numbers have chi2/N %.3g, as defined (%s) %.3g", fault->cause, fault->found,
             best->judged.chi2, fault->expected, fault->chi2);
    if (best->fault_class)
        fault->fault_class = best->fault_class;
    if (best->origin == TT_FROM_OPERAND)
        accept_operand(best, fault);
}

static void give_up(const struct tt_diagnosis *d, const struct tt_hypotheses *list, const struct tt_hypothesis *best,
                    struct tt_fault *fault)
{
    snprintf(fault->cause, sizeof fault->cause, "unknown");
    fault->confidence = TT_UNSURE;
    fault->fault_class = "kernel";
    fault->chi2_after = NAN;
    name_runner_up(list, fault);
    if (best)
        snprintf(fault->evidence, sizeof fault->evidence,
                 "none of %d wrong forms explains it; nearest is %s at %s with chi2/N %.3g, as defined %.3g", list->count,
                 best->cause, tt_node_address(tt_graph_node(d->graph, best->node)).text, best->judged.chi2, fault->chi2);
    else
        snprintf(fault->evidence, sizeof fault->evidence, "no wrong form of this span is known");
}

/* ---- NaN and Inf ---- */

static bool name_nonfinite(const struct tt_observation *seen, struct tt_fault *fault)
{
    bool nan = false;
    if (!fault->judged.nonfinite)
        return false;
    for (int64_t i = 0, n = tt_value_count(&seen->value); i < n; i++)
        nan = nan || isnan(seen->value.v[i]);
    snprintf(fault->cause, sizeof fault->cause, nan ? "value.nan" : "value.inf");
    snprintf(fault->expected, sizeof fault->expected, "finite values");
    snprintf(fault->found, sizeof fault->found, "%lld elements %s", (long long)fault->judged.nonfinite,
             nan ? "NaN" : "infinite");
    fault->fault_class = "kernel";
    fault->confidence = TT_CERTAIN;
    fault->chi2_after = NAN;
    fault->runner_up_chi2 = INFINITY;
    snprintf(fault->evidence, sizeof fault->evidence, "inputs are finite, %lld of %lld outputs are not",
             (long long)fault->judged.nonfinite, (long long)fault->judged.n);
    return true;
}

/* ---- two faults in one span ---- */

static bool combine(const struct tt_hypothesis *a, const struct tt_hypothesis *b, struct tt_overrides *out)
{
    if (a->node == b->node)
        return false;
    tt_overrides_copy(out, &a->overrides);
    return tt_overrides_append(out, &b->overrides) == 0;
}

/* Pairs of the most promising forms; the earlier node's is named, the other is told in the evidence. */
static bool try_pairs(const struct tt_diagnosis *d, const struct tt_observation *target, struct tt_hypotheses *list,
                      struct tt_fault *fault)
{
    int tried = 0;
    for (int i = 0; i < list->count; i++) {
        for (int j = i + 1; j < list->count && tried < MAX_PAIRS; j++) {
            struct tt_hypothesis pair = list->items[i];
            if (list->items[i].origin > TT_FROM_REWRITE || list->items[j].origin > TT_FROM_REWRITE ||
                (d->confirmed && (d->confirmed[list->items[i].node] || d->confirmed[list->items[j].node])) ||
                !combine(&list->items[i], &list->items[j], &pair.overrides))
                continue;
            tried++;
            try_one(d, target, &pair);
            if (pair.judged.status != TT_EXACT && pair.judged.status != TT_PASS)
                continue;
            bool swap = list->items[j].node < list->items[i].node;
            struct tt_hypothesis *first = &list->items[swap ? j : i], *second = &list->items[swap ? i : j];
            first->judged = pair.judged;
            accept(d, list, first, fault);
            tt_overrides_copy(&fault->repair, &pair.overrides);
            fault->confidence = TT_LIKELY;
            snprintf(fault->evidence, sizeof fault->evidence, "together with %s at %s (%s) chi2/N is %.3g, as defined %.3g",
                     second->cause, tt_node_address(tt_graph_node(d->graph, second->node)).text, second->found,
                     pair.judged.chi2, fault->chi2);
            return true;
        }
    }
    return false;
}

uint8_t *tt_choose_rows(const struct tt_diagnosis *d, const struct tt_observation *target, const struct tt_judgement *j)
{
    int64_t rows = d->pass->inputs.ntokens;
    if (rows <= FEW_ROWS || tt_graph_node(d->graph, target->node)->axes[0] != TT_AXIS_TOKEN)
        return NULL;
    uint8_t *chosen = tt_alloc((size_t)rows);
    for (int64_t i = 0; i < FEW_ROWS; i++)
        chosen[i * (rows - 1) / (FEW_ROWS - 1)] = 1;
    chosen[1] = chosen[rows - 2] = chosen[j->at[0]] = 1;
    return chosen;
}

/* What fits some rows must fit all of them. The best few are tried on everything. */
static void confirm(const struct tt_diagnosis *d, const struct tt_observation *target, struct tt_hypotheses *list,
                    double before)
{
    for (int tries = 0; tries < 4; tries++) {
        struct tt_hypothesis *best = (struct tt_hypothesis *)best_of(d, list, before);
        if (!best || !accepted(best, before))
            return;
        try_one(d, target, best);
        if (accepted(best, before))
            return;
        best->judged.chi2 = INFINITY;
    }
}

/* The same fault again in another layer or pass is the rule: nothing else is tried when a known one explains it. */
static bool known_again(const struct tt_diagnosis *d, const struct tt_observation *target, const int *nodes, int n,
                        struct tt_fault *fault)
{
    struct tt_hypotheses list = {0};
    tt_hypotheses_known(d, target, nodes, n, &list);
    for (int i = 0; i < list.count; i++)
        try_one(d, target, &list.items[i]);
    const struct tt_hypothesis *best = best_of(d, &list, fault->chi2);
    bool found = best && accepted(best, fault->chi2) && best->judged.chi2 <= TT_CHI2_PASS;
    if (found)
        accept(d, &list, best, fault);
    tt_hypotheses_free(&list);
    return found;
}

void tt_diagnose(const struct tt_diagnosis *d, const struct tt_observation *target, struct tt_fault *fault)
{
    int nodes[MAX_SPAN];
    struct tt_hypotheses list = {0};
    int n = tt_evaluator_span(d->evaluator, target->node, nodes, MAX_SPAN);
    name_span(d, nodes, n, fault);
    blame(d, target->node, fault);
    if (known_again(d, target, nodes, n, fault))
        return;
    uint8_t *rows = tt_choose_rows(d, target, &fault->judged);
    tt_evaluator_focus(d->evaluator, rows);
    tt_hypotheses_collect(d, target, nodes, n, &list);
    for (int i = 0; i < list.count; i++)
        try_one(d, target, &list.items[i]);
    tt_evaluator_focus(d->evaluator, NULL);
    if (rows)
        confirm(d, target, &list, fault->chi2);
    free(rows);
    const struct tt_hypothesis *best = best_of(d, &list, fault->chi2);
    if (best && accepted(best, fault->chi2))
        accept(d, &list, best, fault);
    else if (!name_nonfinite(target, fault) && !try_pairs(d, target, &list, fault))
        give_up(d, &list, best, fault);
    tt_weights_conclude(d, target, fault);
    tt_hypotheses_free(&list);
}

const char *tt_explain_benign(const struct tt_diagnosis *d, const struct tt_observation *seen, struct tt_judgement *judged)
{
    int nodes[MAX_SPAN];
    int n = tt_evaluator_span(d->evaluator, seen->node, nodes, MAX_SPAN);
    const char *form_of_weight = tt_weights_benign(d, seen, nodes, n, judged); /* seen itself: surer than any fit */
    if (form_of_weight)
        return form_of_weight;
    for (int i = 0; i < n; i++) {
        const struct tt_op *op = tt_graph_node(d->graph, nodes[i])->op;
        for (const struct tt_variant *form = op ? op->benign : NULL; form && form->cause; form++) {
            struct tt_hypotheses list = {0};
            tt_hypotheses_form(d, nodes[i], form, &list);
            struct tt_judgement j = {0};
            if (list.count) {
                try_one(d, seen, &list.items[0]);
                j = list.items[0].judged;
            }
            tt_hypotheses_free(&list);
            if (j.status == TT_PASS || j.status == TT_EXACT) {
                j.status = TT_DRIFT;
                j.nmse = judged->nmse;
                *judged = j;
                return form->cause;
            }
        }
    }
    return NULL;
}
