/* SPDX-License-Identifier: Apache-2.0
 *
 * One number of an op inside a span fitted so that the span's visible end comes right. Ops fit their parameters
 * themselves where their own output is seen; this is for those whose output is not.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "diagnose/hypotheses.h"

#define GRID 41
#define REFINEMENTS 40

static const struct fit {
    const char *op, *cause, *attribute, *when;
    double low, high; /* of value / value as defined, or of the value itself when `absolute` */
    bool absolute;
    bool shared;       /* by several ops of the span, and fitted in them together: alone an op recovers it */
    double usual[12];  /* values that models have, where χ² has too many valleys for a grid; ends with 0 */
} fits[] = {
    {"rope", "rope.theta", "theta", NULL, 100, 1e8, true, true,
     {10000, 500000, 1e6, 100000, 160000, 150000, 1e7, 5e6, 250000, 8e6}},
    {"rope", "rope.frequency_scale", "frequency_scale", NULL, 1.0 / 64, 64, true, true,
     {0.5, 0.25, 0.125, 1.0 / 16, 1.0 / 32, 2, 4, 8, 16, 32}},
    {"scale", "attn.scale", "factor", "cause_prefix=='attn'", 1.0 / 64, 64, false, false, {0}},
    {"scale", "attn.softcap_extra", "softcap", "cause_prefix=='attn' && softcap==0", 0.5, 200, true, false, {0}},
    {"scale", "logits.scale", "factor", "cause_prefix=='logits'", 1.0 / 64, 64, false, false, {0}},
    {"expert_weights", "moe.scale", "scale", NULL, 1.0 / 64, 64, false, false, {0}},
    {"add", "residual.scale", "scale", NULL, 1.0 / 64, 64, false, false, {0}},
    {"embedding", "embed.scale_missing", "scale", "index=='token'", 1.0 / 256, 256, false, false, {0}},
    {"rmsnorm", "norm.eps", "eps", NULL, 1e-12, 1, true, false, {0}},
    {"layernorm", "norm.eps", "eps", NULL, 1e-14, 1, true, false, {0}},
};

struct trial {
    const struct tt_diagnosis *d;
    const struct tt_observation *target;
    struct tt_hypothesis *h;
    const char *attribute;
};

static double score(struct trial *t, double value)
{
    struct tt_value expected;
    struct tt_scalar scalar = tt_scalar_number(value);
    for (int i = 0; i < t->h->overrides.count; i++)
        tt_override_set(&t->h->overrides.items[i], t->attribute, &scalar);
    if (tt_evaluate_as(t->d->evaluator, t->target, &t->h->overrides, &expected, NULL))
        return INFINITY;
    struct tt_judgement j = tt_judge(t->target, &expected);
    tt_value_free(&expected);
    return j.n && !j.nonfinite ? j.chi2 : INFINITY;
}

/* Smallest χ² on a logarithmic grid, then golden section around it. Returns the value. */
static double minimise(struct trial *t, double low, double high)
{
    double best = INFINITY, at = low, step = log(high / low) / (GRID - 1);
    for (int i = 0; i < GRID; i++) {
        double value = low * exp(step * i), chi2 = score(t, value);
        if (chi2 < best) {
            best = chi2;
            at = value;
        }
    }
    double a = log(at) - step, b = log(at) + step, golden = 0.6180339887498949;
    double c = b - golden * (b - a), e = a + golden * (b - a);
    double fc = score(t, exp(c)), fe = score(t, exp(e));
    for (int i = 0; i < REFINEMENTS; i++) {
        if (fc < fe) {
            b = e;
            e = c;
            fe = fc;
            fc = score(t, exp(c = b - golden * (b - a)));
        } else {
            a = c;
            c = e;
            fc = fe;
            fe = score(t, exp(e = a + golden * (b - a)));
        }
    }
    return exp((a + b) / 2);
}

/* The usual value that fits best, if it is right or at least as good as `found`; else that. */
static double usual_value(struct trial *t, const struct fit *fit, double found)
{
    double best = INFINITY, at = found;
    for (const double *usual = fit->usual; *usual != 0; usual++) {
        double chi2 = score(t, *usual);
        if (chi2 < best) {
            best = chi2;
            at = *usual;
        }
    }
    return best <= fmax(TT_CHI2_PASS, score(t, found)) ? at : found;
}

static void fit_one(const struct tt_diagnosis *d, const struct tt_observation *target, int node,
                    const struct tt_siblings *group, const struct fit *fit, struct tt_hypotheses *out)
{
    const struct tt_node *n = tt_graph_node(d->graph, node);
    if ((fit->shared && group->count < 2) || !tt_condition_holds(d->graph, n, fit->when))
        return;
    double right = tt_attributes_number(&n->attributes, fit->attribute, 1);
    struct tt_hypothesis *h = tt_hypotheses_add(out, node, TT_FROM_FIT, fit->cause);
    for (int i = 0; i < (fit->shared ? group->count : 1); i++)
        tt_overrides_add(&h->overrides, i ? group->node[i] : node);
    struct trial trial = {d, target, h, fit->attribute};
    double scale = fit->absolute ? 1 : right;
    double found = minimise(&trial, fit->low * scale, fit->high * scale);
    score(&trial, found = usual_value(&trial, fit, found));
    snprintf(h->expected, sizeof h->expected, "%s %.9g", fit->attribute, right);
    snprintf(h->found, sizeof h->found, "%s %.6g", fit->attribute, found);
}

void tt_hypotheses_fit(const struct tt_diagnosis *d, const struct tt_observation *target, const int *nodes, int n,
                       struct tt_hypotheses *out)
{
    for (int i = 0; i < n; i++) {
        const struct tt_node *node = tt_graph_node(d->graph, nodes[i]);
        struct tt_siblings group = tt_siblings_of(d, nodes, n, nodes[i]);
        for (size_t j = 0; j < sizeof fits / sizeof *fits; j++)
            if (node->op && !(d->confirmed && d->confirmed[nodes[i]]) && strcmp(node->op->name, fits[j].op) == 0)
                fit_one(d, target, nodes[i], &group, &fits[j], out);
    }
}
