/* SPDX-License-Identifier: Apache-2.0
 *
 * alibi: attention with linear biases, scores [T, H, S] -> scores + slope(h)·distance (Press et al. 2021).
 *   max_bias     8: of n = 2^k heads, head h has slope 2^(-max_bias·(h + 1) / n). Where the number of heads is no power
 *                of two the first n heads are those of the next smaller one, the others take every second slope of 2n
 *   form         "relative" (distance: key position - query position) | "position" (key position: a softmax cannot tell
 *                them apart)
 *   clamp        0; 1: nothing is added where the key lies behind the query
 *   bias_unit    unit round-off of a stored table of biases, -1: that of stored values
 * Faults:
 *   skip 0 · sign 1 · first 1 (the exponent of head 0) · plain 0 (1: slopes 2^(-max_bias·(h + 1) / H) for any H)
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/support.h"

struct alibi {
    const struct tt_op_call *call;
    const struct tt_value *x; /* [T, H, S] */
    double *slope;            /* [H] */
    double *variance;         /* [H] relative, of the slopes */
    bool relative, clamp;
    double unit; /* round-off of a table of biases */
};

/* Slopes are powers of a rounded base: the error of the base counts `power` times. */
static void set_slope(struct alibi *a, int64_t head, int64_t heads)
{
    double bias = tt_op_number(a->call, "max_bias", 8), first = tt_op_number(a->call, "first", 1);
    int64_t even = 1; /* largest power of two within the heads */
    while (2 * even <= heads)
        even *= 2;
    if (tt_op_number(a->call, "plain", 0) != 0)
        even = heads;
    double power = head < even ? (double)head + first : 2 * (double)(head - even) + first;
    double exponent = power / (double)(head < even ? even : 2 * even), error = power * a->call->numerics.u_acc;
    bool skip = tt_op_number(a->call, "skip", 0) != 0;
    a->slope[head] = skip ? 0 : tt_op_number(a->call, "sign", 1) * pow(2, -bias * exponent);
    a->variance[head] = TT_ROUNDING_VARIANCE * (error * error + a->unit * a->unit);
}

static int check(const struct tt_op_call *call, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "alibi", 1, error))
        return -1;
    const struct tt_value *x = call->in[0];
    const char *form = tt_op_string(call, "form", "relative");
    if (x->rank != 3)
        return tt_fail(error, TT_EINPUT, "alibi: needs scores [tokens, heads, keys]");
    if (strcmp(form, "relative") && strcmp(form, "position"))
        return tt_fail(error, TT_EINPUT, "alibi: unknown form '%s' (relative, position)", form);
    const struct tt_pass_inputs *pass = call->pass;
    if (!pass || !pass->positions || !pass->key_positions || pass->ntokens != x->shape[0] ||
        pass->nkeys != x->shape[2])
        return tt_fail(error, TT_EINPUT, "alibi: scores are [%lld, heads, %lld], positions are of %lld tokens and %lld keys",
                       (long long)x->shape[0], (long long)x->shape[2], pass ? (long long)pass->ntokens : 0LL,
                       pass ? (long long)pass->nkeys : 0LL);
    return 0;
}

static double distance(const struct alibi *a, int64_t query, int64_t key)
{
    double q = (double)a->call->pass->positions[query], k = (double)a->call->pass->key_positions[key];
    if (a->clamp && k > q)
        return 0;
    return a->relative ? k - q : k;
}

/* Adds to scores [T, H, S]. */
static void add_biases(const struct alibi *a, struct tt_value *out)
{
    const struct tt_value *x = a->x;
    int64_t heads = x->shape[1], keys = x->shape[2];
    for (int64_t i = 0; i < tt_value_count(x); i++) {
        int64_t head = i / keys % heads;
        double bias = a->slope[head] * distance(a, i / keys / heads, i % keys);
        out->v[i] = x->v[i] + bias;
        out->var[i] = tt_input_variance(x, i) + a->variance[head] * bias * bias +
                      tt_inner_variance(&a->call->numerics, bias) + tt_inner_variance(&a->call->numerics, out->v[i]);
    }
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    if (check(call, error))
        return -1;
    struct alibi a = {.call = call, .x = call->in[0], .clamp = tt_op_number(call, "clamp", 0) != 0};
    int64_t heads = a.x->shape[1];
    a.relative = !strcmp(tt_op_string(call, "form", "relative"), "relative");
    a.unit = tt_op_number(call, "bias_unit", -1);
    a.unit = a.unit < 0 ? call->numerics.u_store : a.unit;
    a.slope = tt_alloc_array(2 * (size_t)heads, sizeof *a.slope);
    a.variance = a.slope + heads;
    for (int64_t h = 0; h < heads; h++)
        set_slope(&a, h, heads);
    *out = tt_value_like(a.x);
    tt_value_need_var(out);
    add_biases(&a, out);
    tt_add_store_variance(call, out);
    tt_clear_nonfinite(out);
    free(a.slope);
    return 0;
}

static const struct tt_variant variants[] = {
    {"attn.alibi", "skip=1", NULL},
    {"attn.alibi", "sign=-1", "sign==1"},
    {"attn.alibi", "first=0", "first==1"},
    {"attn.alibi", "plain=1", "plain==0 && heads!=1 && heads!=2 && heads!=4 && heads!=8 && heads!=16 && heads!=32 && heads!=64"},
    {"attn.alibi", "max_bias=16", "max_bias!=16"},
    {"attn.alibi", "max_bias=4", "max_bias!=4"},
    {0},
};

static const struct tt_variant benign[] = {
    {"biases by the key's position", "form='position'", "form=='relative'"},
    {"biases by the distance", "form='relative'", "form=='position'"},
    {"no biases behind the query", "clamp=1", "clamp==0"},
    {0},
};

const struct tt_op tt_op_alibi = {
    .name = "alibi",
    .row_inputs = 1,
    .defaults = "max_bias=8, form='relative', clamp=0, bias_unit=-1, skip=0, sign=1, first=1, plain=0",
    .forward = forward,
    .variants = variants,
    .benign = benign,
};
