/* SPDX-License-Identifier: Apache-2.0
 *
 * topk: which experts a token goes to. scores [T, E] -> [T, k] numbers of experts, best first.
 *   weight "bias" [E]   added to the scores for choosing only
 *   k             experts per token
 *   scoring       "none" | "sigmoid" | "softmax": what is made of the input before the bias is added
 *   groups        experts lie in this many groups of neighbours; only the groups_kept best ones are chosen from; 0: no
 *                 groups
 *   group_score   "max" | "top2" | "sum": what a group counts
 *   use_bias      1; 0 leaves the bias out (fault)
 *   lowest        1: the worst ones (fault)
 *   index_shift   added to each number, modulo E (fault)
 *
 * Near ties are ties. Where a chosen and a left-out expert (or group) are closer than the scores' error, the place is
 * unknown; where two chosen ones are, their order is: any number fits, and what hangs on the set alone goes on.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/support.h"

#define TIE_SIGMAS 8

struct choice {
    const struct tt_op_call *call;
    const struct tt_value *x; /* [T, E] */
    const double *bias;       /* [E] or NULL */
    int64_t experts, k, groups, kept;
    const char *group_score, *scoring;
    double sign; /* -1: the lowest */
    /* of one token */
    double *score, *variance;             /* [E] */
    double *group_total, *group_variance; /* [groups] */
    int64_t *order, *group_order;         /* [E], [groups] best first */
    bool *open;                           /* [E] in a group that is kept */
    bool tied_groups;
};

static bool known(const char *word, const char *const *words, int n)
{
    for (int i = 0; i < n; i++) {
        if (!strcmp(word, words[i]))
            return true;
    }
    return false;
}

static int check_words(const struct choice *c, struct tt_error *error)
{
    static const char *const scorings[] = {"none", "sigmoid", "softmax"};
    static const char *const totals[] = {"max", "top2", "sum"};
    if (!known(c->scoring, scorings, 3))
        return tt_fail(error, TT_EINPUT, "topk: unknown scoring '%s' (none, sigmoid, softmax)", c->scoring);
    if (!known(c->group_score, totals, 3))
        return tt_fail(error, TT_EINPUT, "topk: unknown group_score '%s' (max, top2, sum)", c->group_score);
    return 0;
}

static int check_numbers(const struct choice *c, struct tt_error *error)
{
    if (c->k < 1 || c->k > c->experts)
        return tt_fail(error, TT_EINPUT, "topk: %lld of %lld experts", (long long)c->k, (long long)c->experts);
    if (c->groups < 0 || (c->groups && (c->experts % c->groups || c->kept < 1 || c->kept > c->groups)))
        return tt_fail(error, TT_EINPUT, "topk: %lld of %lld groups of %lld experts", (long long)c->kept,
                       (long long)c->groups, (long long)c->experts);
    if (c->groups && c->k > c->kept * (c->experts / c->groups))
        return tt_fail(error, TT_EINPUT, "topk: %lld groups kept hold fewer than %lld experts",
                       (long long)c->kept, (long long)c->k);
    return 0;
}

static int read_call(const struct tt_op_call *call, struct choice *c, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "topk", 1, error))
        return -1;
    *c = (struct choice){.call = call, .x = call->in[0]};
    c->experts = tt_value_width(c->x);
    c->k = (int64_t)tt_op_number(call, "k", 1);
    c->groups = (int64_t)tt_op_number(call, "groups", 0);
    c->kept = (int64_t)tt_op_number(call, "groups_kept", 1);
    if (c->groups == 1)
        c->groups = 0;
    c->group_score = tt_op_string(call, "group_score", "max");
    c->scoring = tt_op_string(call, "scoring", "none");
    c->sign = tt_op_number(call, "lowest", 0) != 0 ? -1 : 1;
    if (c->x->rank != 2)
        return tt_fail(error, TT_EINPUT, "topk: needs scores [tokens, experts]");
    if (call->weight[0] && tt_value_count(call->weight[0]) != c->experts)
        return tt_fail(error, TT_EINPUT, "topk: bias of %lld for %lld experts",
                       (long long)tt_value_count(call->weight[0]), (long long)c->experts);
    if (call->weight[0] && tt_op_number(call, "use_bias", 1) != 0)
        c->bias = call->weight[0]->v;
    return check_words(c, error) || check_numbers(c, error) ? -1 : 0;
}

static void open_choice(struct choice *c)
{
    size_t experts = (size_t)c->experts, groups = (size_t)c->groups;
    c->score = tt_alloc_array(2 * (experts + groups), sizeof *c->score);
    c->variance = c->score + experts;
    c->group_total = c->variance + experts;
    c->group_variance = c->group_total + groups;
    c->order = tt_alloc_array(experts + groups, sizeof *c->order);
    c->group_order = c->order + experts;
    c->open = tt_alloc_array(experts, sizeof *c->open);
}

static void close_choice(struct choice *c)
{
    free(c->score);
    free(c->order);
    free(c->open);
}

/* ---- scores ---- */

static double denominator(const double *x, int64_t n, double *top)
{
    double sum = 0;
    *top = -INFINITY;
    for (int64_t e = 0; e < n; e++)
        *top = x[e] > *top ? x[e] : *top;
    for (int64_t e = 0; e < n; e++)
        sum += exp(x[e] - *top);
    return sum;
}

/* Score of one expert and its slope over the input. An error that the whole row shares moves no score past another. */
static double score_of(const struct choice *c, double x, double top, double sum, double *slope)
{
    *slope = 1;
    if (!strcmp(c->scoring, "none"))
        return x;
    bool sigmoid = !strcmp(c->scoring, "sigmoid");
    double y = sigmoid ? 1 / (1 + exp(-x)) : exp(x - top) / sum;
    *slope = sigmoid ? y * (1 - y) : y;
    return y;
}

static void score_token(struct choice *c, int64_t t)
{
    const double *x = c->x->v + t * c->experts;
    double top = 0, sum = strcmp(c->scoring, "softmax") ? 1 : denominator(x, c->experts, &top), slope;
    double unit = c->call->numerics.u_acc;
    bool scored = strcmp(c->scoring, "none") != 0;
    for (int64_t e = 0; e < c->experts; e++) {
        double y = score_of(c, x[e], top, sum, &slope), own = c->x->var ? c->x->var[t * c->experts + e] : 0;
        double total = y + (c->bias ? c->bias[e] : 0);
        c->score[e] = c->sign * total;
        c->variance[e] = slope * slope * own + (scored ? unit * unit * y * y : 0) +
                         (c->bias ? tt_inner_variance(&c->call->numerics, total) : 0);
        c->open[e] = true;
    }
}

/* ---- order ---- */

static void insert_best_first(int64_t *order, int64_t n, int64_t item, const double *score)
{
    int64_t at = n;
    while (at > 0 && score[item] > score[order[at - 1]]) { /* equal ones stay in the order of their numbers */
        order[at] = order[at - 1];
        at--;
    }
    order[at] = item;
}

/* Could the other of the two as well be the better one? */
static bool tie(const double *score, const double *variance, int64_t a, int64_t b)
{
    double margin = score[a] - score[b];
    return margin * margin <= TIE_SIGMAS * TIE_SIGMAS * (variance[a] + variance[b]);
}

/* ---- groups ---- */

static void total_of_group(struct choice *c, int64_t g)
{
    int64_t size = c->experts / c->groups, first = g * size, n = 0;
    int64_t most = !strcmp(c->group_score, "max") ? 1 : !strcmp(c->group_score, "top2") ? 2 : size;
    c->group_total[g] = c->group_variance[g] = 0;
    for (int64_t e = first; e < first + size; e++)
        insert_best_first(c->order, n++, e, c->score);
    for (int64_t i = 0; i < most && i < n; i++) {
        c->group_total[g] += c->score[c->order[i]];
        c->group_variance[g] += c->variance[c->order[i]];
    }
}

static void close_groups(struct choice *c)
{
    int64_t size = c->groups ? c->experts / c->groups : 0;
    c->tied_groups = false;
    for (int64_t g = 0; g < c->groups; g++) {
        total_of_group(c, g);
        insert_best_first(c->group_order, g, g, c->group_total);
    }
    for (int64_t i = c->kept; i < c->groups; i++) {
        for (int64_t e = 0; e < size; e++)
            c->open[c->group_order[i] * size + e] = false;
        c->tied_groups |= tie(c->group_total, c->group_variance, c->group_order[c->kept - 1], c->group_order[i]);
    }
}

/* ---- choice ---- */

static int64_t order_open(struct choice *c)
{
    int64_t n = 0;
    for (int64_t e = 0; e < c->experts; e++) {
        if (c->open[e])
            insert_best_first(c->order, n++, e, c->score);
    }
    return n;
}

/* Variance of the number in place j of `n` candidates. */
static double place_variance(const struct choice *c, int64_t j, int64_t n)
{
    if (c->tied_groups || !isfinite(c->score[c->order[j]]))
        return TT_UNKNOWN_VARIANCE;
    if (n > c->k && tie(c->score, c->variance, c->order[j], c->order[c->k]))
        return TT_UNKNOWN_VARIANCE;
    bool before = j > 0 && tie(c->score, c->variance, c->order[j - 1], c->order[j]);
    bool after = j + 1 < c->k && tie(c->score, c->variance, c->order[j], c->order[j + 1]);
    return before || after ? (double)(c->experts * c->experts) : 0;
}

static void choose(struct choice *c, int64_t t, struct tt_value *out)
{
    int64_t shift = (int64_t)tt_op_number(c->call, "index_shift", 0);
    score_token(c, t);
    close_groups(c);
    int64_t n = order_open(c);
    for (int64_t j = 0; j < c->k; j++) {
        int64_t number = (c->order[j] + shift) % c->experts;
        out->v[t * c->k + j] = (double)(number < 0 ? number + c->experts : number);
        if (out->var)
            out->var[t * c->k + j] = place_variance(c, j, n);
    }
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    struct choice c;
    if (read_call(call, &c, error))
        return -1;
    *out = tt_value_new(2, (int64_t[]){c.x->shape[0], c.k});
    if (!call->value_only)
        tt_value_need_var(out);
    open_choice(&c);
    for (int64_t t = 0; t < c.x->shape[0]; t++)
        choose(&c, t, out);
    close_choice(&c);
    return 0;
}

static const struct tt_variant variants[] = {
    {"moe.bias", "use_bias=0", "has_bias"},
    {"moe.bias", "scoring='none'", "has_bias && scoring!='none'"},
    {"moe.groups", "groups=0", "groups>1 && groups_kept<groups"},
    {"moe.groups", "group_score='max'", "groups>1 && group_score!='max'"},
    {"moe.groups", "group_score='top2'", "groups>1 && group_score!='top2'"},
    {"moe.expert_order", "index_shift=1", NULL},
    {"moe.expert_order", "index_shift=-1", NULL},
    {"moe.expert_order", "lowest=1", NULL},
    {0},
};

const struct tt_op tt_op_topk = {
    .name = "topk",
    .defaults = "k=1, scoring='none', groups=0, groups_kept=1, group_score='max', use_bias=1, lowest=0, index_shift=0",
    .weight_roles = {"bias"},
    .rowwise = true,
    .forward = forward,
    .variants = variants,
};
