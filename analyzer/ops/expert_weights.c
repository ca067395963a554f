/* SPDX-License-Identifier: Apache-2.0
 *
 * expert_weights: how much each chosen expert counts. logits [T, E], topk [T, k] -> [T, k].
 *   scoring     "softmax" (over all experts) | "softmax_chosen" (over the chosen ones) | "sigmoid"
 *   normalise   1: divided by their sum (+ norm_eps) over the chosen ones
 *   scale       multiplier of the result (1)
 *   weight "bias" [E] is the one for choosing, which must not count here: add_bias 1 is that fault
 *   left_out    how many of the chosen ones, the last, do not count (fault); one is kept
 *   order       "score" | "reversed" | "expert" (faults): the place k in which an expert's weight is put
 *
 * With r = exp(logit) or sigmoid(logit) the result is r over a sum over some set of experts: all, the chosen ones, none.
 * Its relative error is that of r less its share in that of the sum.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/experts.h"
#include "ops/fit.h"
#include "ops/support.h"

struct gates {
    const struct tt_op_call *call;
    const struct tt_value *x, *topk; /* [T, E], [T, k] */
    const double *bias;              /* [E] added by mistake, or NULL */
    int64_t experts, k, kept;
    double scale, eps;
    bool sigmoid, over_all, over_chosen;
    const char *order;
    /* of one token */
    double *raw, *relative, *slope; /* [E] r, variance of its relative error, d ln r / d logit */
    bool *summed;                   /* [E] part of the sum */
    int64_t *place;                 /* [k] in which place of topk the weight for place j is found */
};

static int read_scoring(struct gates *g, struct tt_error *error)
{
    const char *scoring = tt_op_string(g->call, "scoring", "softmax");
    bool normalise = tt_op_number(g->call, "normalise", 0) != 0;
    g->sigmoid = !strcmp(scoring, "sigmoid");
    g->over_chosen = normalise || !strcmp(scoring, "softmax_chosen");
    g->over_all = !strcmp(scoring, "softmax") && !g->over_chosen;
    g->eps = normalise ? tt_op_number(g->call, "norm_eps", 0) : 0;
    if (!g->sigmoid && strcmp(scoring, "softmax") && strcmp(scoring, "softmax_chosen"))
        return tt_fail(error, TT_EINPUT, "expert_weights: unknown scoring '%s' (softmax, softmax_chosen, sigmoid)",
                       scoring);
    return 0;
}

static int read_call(const struct tt_op_call *call, struct gates *g, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "expert_weights", 2, error))
        return -1;
    *g = (struct gates){.call = call, .x = call->in[0], .topk = call->in[1]};
    g->scale = tt_op_number(call, "scale", 1);
    g->order = tt_op_string(call, "order", "score");
    if (g->x->rank != 2 || g->topk->rank != 2 || g->x->shape[0] != g->topk->shape[0])
        return tt_fail(error, TT_EINPUT, "expert_weights: needs logits [tokens, experts] and topk [tokens, k]");
    g->experts = g->x->shape[1], g->k = g->topk->shape[1];
    g->kept = g->k - (int64_t)tt_op_number(call, "left_out", 0);
    g->kept = g->kept > 0 ? g->kept : 1;
    if (call->weight[0] && tt_value_count(call->weight[0]) != g->experts)
        return tt_fail(error, TT_EINPUT, "expert_weights: bias of %lld for %lld experts",
                       (long long)tt_value_count(call->weight[0]), (long long)g->experts);
    if (call->weight[0] && tt_op_number(call, "add_bias", 0) != 0)
        g->bias = call->weight[0]->v;
    return read_scoring(g, error);
}

static void open_gates(struct gates *g)
{
    size_t experts = (size_t)g->experts;
    g->raw = tt_alloc_array(3 * experts, sizeof *g->raw);
    g->relative = g->raw + experts, g->slope = g->relative + experts;
    g->summed = tt_alloc_array(experts, sizeof *g->summed);
    g->place = tt_alloc_array((size_t)g->k, sizeof *g->place);
}

static void close_gates(struct gates *g)
{
    free(g->raw);
    free(g->summed);
    free(g->place);
}

/* The expert in place j of token t; -1: none. */
static int64_t expert_at(const struct gates *g, int64_t t, int64_t j)
{
    return j < g->kept ? tt_expert_index(g->topk, t * g->k + j, g->experts) : -1;
}

static void mark_summed(struct gates *g, int64_t t)
{
    for (int64_t e = 0; e < g->experts; e++)
        g->summed[e] = g->over_all;
    for (int64_t j = 0; g->over_chosen && j < g->k; j++) {
        int64_t e = expert_at(g, t, j);
        if (e >= 0)
            g->summed[e] = true;
    }
}

static double top_logit(const struct gates *g, int64_t t)
{
    double top = -INFINITY;
    for (int64_t e = 0; e < g->experts; e++)
        top = g->x->v[t * g->experts + e] > top ? g->x->v[t * g->experts + e] : top;
    return top;
}

/* r of each expert; exp's own error grows with its argument, and a sigmoid's is at most an exp's and a division's. */
static void raw_scores(struct gates *g, int64_t t)
{
    double top = top_logit(g, t), u = g->call->numerics.u_acc;
    for (int64_t e = 0; e < g->experts; e++) {
        double x = g->x->v[t * g->experts + e], own = g->x->var ? g->x->var[t * g->experts + e] : 0;
        double away = g->sigmoid ? 0.6 + 0.3 * fabs(x) : x - top;
        g->raw[e] = g->sigmoid ? 1 / (1 + exp(-x)) : exp(x - top);
        g->slope[e] = g->sigmoid ? 1 - g->raw[e] : 1;
        g->raw[e] += g->bias ? g->bias[e] : 0;
        double rounding = g->slope[e] * g->slope[e] * away * away + 1;
        g->relative[e] = g->slope[e] * g->slope[e] * own + u * u * rounding;
    }
}

struct sums {
    double total, relative, logit; /* Σ r; Σ y²·(relative error of r); Σ y·(d ln r / d ln logit); y = r / total */
    int64_t terms;
};

static struct sums sum_up(const struct gates *g, int64_t t)
{
    struct sums s = {0};
    for (int64_t e = 0; e < g->experts; e++) {
        s.total += g->summed[e] ? g->raw[e] : 0;
        s.terms += g->summed[e];
    }
    s.total = s.terms ? s.total + g->eps : 1;
    for (int64_t e = 0; e < g->experts; e++) {
        double y = g->summed[e] ? g->raw[e] / s.total : 0;
        s.relative += y * y * g->relative[e];
        s.logit += y * g->slope[e] * g->x->v[t * g->experts + e];
    }
    return s;
}

/* Variance of the relative error of expert e's weight, storing and the sum's own rounding left out. */
static double relative_error(const struct gates *g, const struct sums *s, int64_t t, int64_t e)
{
    double y = g->summed[e] ? g->raw[e] / s->total : 0, left = 1 - y;
    double variance = left * left * g->relative[e] + s->relative - y * y * g->relative[e];
    if (g->x->row_var) {
        double shift = g->slope[e] * g->x->v[t * g->experts + e] - s->logit;
        variance += g->x->row_var[t] * shift * shift;
    }
    return variance;
}

static void weigh(const struct gates *g, const struct sums *s, int64_t t, int64_t j, struct tt_value *out)
{
    int64_t at = t * g->k + j, e = expert_at(g, t, g->place[j]);
    bool open = tt_expert_open(g->topk, t * g->k + g->place[j], g->experts);
    out->v[at] = e < 0 ? 0 : g->scale * g->raw[e] / s->total;
    if (!out->var)
        return;
    if (open)
        out->var[at] = TT_UNKNOWN_VARIANCE;
    else if (e >= 0)
        out->var[at] = out->v[at] * out->v[at] * relative_error(g, s, t, e) +
                       (g->scale != 1 ? tt_inner_variance(&g->call->numerics, out->v[at]) : 0) +
                       tt_store_variance(&g->call->numerics, out->v[at]);
}

static void order_places(struct gates *g, int64_t t)
{
    bool by_expert = !strcmp(g->order, "expert"), reversed = !strcmp(g->order, "reversed");
    for (int64_t j = 0; j < g->k; j++) {
        int64_t at = j;
        while (by_expert && at > 0 && expert_at(g, t, g->place[at - 1]) > expert_at(g, t, j)) {
            g->place[at] = g->place[at - 1];
            at--;
        }
        g->place[at] = reversed ? g->k - 1 - j : j;
    }
}

/* A place that is not known makes the sum over the chosen ones unknown with it. */
static bool depends_on_unknown(const struct gates *g, int64_t t)
{
    bool unknown = false;
    for (int64_t j = 0; j < g->k; j++)
        unknown |= tt_expert_open(g->topk, t * g->k + j, g->experts);
    return unknown && g->over_chosen;
}

static void weigh_token(struct gates *g, int64_t t, struct tt_value *out)
{
    double u = g->call->numerics.u_acc;
    mark_summed(g, t);
    raw_scores(g, t);
    order_places(g, t);
    struct sums s = sum_up(g, t);
    for (int64_t j = 0; j < g->k; j++)
        weigh(g, &s, t, j, out);
    if (!out->var)
        return;
    tt_value_need_row_var(out)[t] = s.terms ? u * u * (0.5 + 0.25 * (double)s.terms) : 0;
    for (int64_t j = 0; depends_on_unknown(g, t) && j < g->k; j++)
        out->var[t * g->k + j] = TT_UNKNOWN_VARIANCE;
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    struct gates g;
    if (read_call(call, &g, error))
        return -1;
    *out = tt_value_new(2, (int64_t[]){g.topk->shape[0], g.k});
    if (!call->value_only)
        tt_value_need_var(out);
    open_gates(&g);
    for (int64_t t = 0; t < g.topk->shape[0]; t++)
        weigh_token(&g, t, out);
    close_gates(&g);
    tt_clear_nonfinite(out);
    return 0;
}

/* observed = factor·expected */
static int recover(const struct tt_op_call *call, const struct tt_value *observed, struct tt_recovery *found, int most)
{
    struct tt_recoveries list = {"expert_weights", call, observed, found, most, 0, 0};
    struct tt_value expected = {0};
    double ratio, sigma, scale = tt_op_number(call, "scale", 1);
    if (forward(call, &expected, NULL) || tt_value_count(&expected) != tt_value_count(observed)) {
        tt_value_free(&expected);
        return 0;
    }
    if (tt_fit_scale(call, &expected, expected.v, observed->v, &ratio, &sigma) && fabs(ratio - 1) > 6 * sigma)
        tt_recovery_number(&list, "moe.scale", "scale", scale,
                           tt_fit_snap(ratio * scale, 6 * sigma * fabs(scale)));
    tt_value_free(&expected);
    return list.count;
}

static const struct tt_variant variants[] = {
    {"moe.router_norm", "normalise=0", "normalise!=0"},
    {"moe.router_norm", "normalise=1", "normalise==0 && scoring!='softmax_chosen'"},
    {"moe.router_norm", "scoring='softmax'", "scoring=='softmax_chosen'"},
    {"moe.router_norm", "scoring='softmax'", "scoring=='sigmoid'"},
    {"moe.router_norm", "scoring='sigmoid'", "scoring!='sigmoid'"},
    {"moe.router_norm", "scoring='sigmoid', normalise=1", "scoring!='sigmoid'"},
    {"moe.bias", "add_bias=1", "has_bias"},
    {"moe.scale", "scale=1", "scale!=1"},
    {"moe.scale", "scale=scale*scale", "scale!=1"},
    {"moe.gate_order", "order='reversed'", NULL},
    {"moe.gate_order", "order='expert'", NULL},
    {"moe.top_k", "left_out=1", NULL},
    {"moe.top_k", "left_out=2", NULL},
    {"moe.top_k", "left_out=3", NULL},
    {"moe.top_k", "left_out=4", NULL},
    {"moe.top_k", "left_out=6", NULL},
    {"moe.top_k", "left_out=7", NULL},
    {0},
};


const struct tt_op tt_op_expert_weights = {
    .name = "expert_weights",
    .defaults = "scoring='softmax', normalise=0, norm_eps=0, scale=1, add_bias=0, order='score', left_out=0",
    .weight_roles = {"bias"},
    .rowwise = true,
    .forward = forward,
    .variants = variants,
    .recover = recover,
};
