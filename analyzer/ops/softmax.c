/* SPDX-License-Identifier: Apache-2.0
 *
 * softmax over the keys that a query may see: scores [T, H, S] -> probabilities, masked entries exactly 0.
 *   mask          "causal" (key position <= query position + offset) | "none" | "inverted" (a fault)
 *   window        sliding window: key position > query position - window; 0: none
 *   offset        0
 *   axis          "key" | "query" | "head" (faults): along which axis the sum runs
 *   normalise     1; 0: exponentials only
 *   subtract_max  1; 0 matters only without normalisation
 *   use_sink      1: the weight "sink" [H] is one more logit of each head's denominator
 * A row without any visible key is all zeros.
 */
#include <math.h>
#include <string.h>

#include "ops/softmax.h"
#include "ops/support.h"

struct lines { /* the sums' lines through [T, H, S] */
    int64_t count, length, stride;
    char axis; /* 'k', 'q', 'h' */
};

struct softmax {
    const struct tt_op_call *call;
    const struct tt_value *x;
    const double *sink; /* [H] or NULL */
    struct lines lines;
    struct tt_visibility visibility;
    bool normalise, subtract;
};

bool tt_key_visible(const struct tt_visibility *rule, int64_t query, int64_t key)
{
    bool past = key <= query + rule->offset;
    if (rule->window > 0 && key <= query - rule->window)
        return false;
    return rule->inverted ? !past : rule->causal ? past : true;
}

int tt_visibility_read(const struct tt_op_call *call, struct tt_visibility *rule, struct tt_error *error)
{
    const char *mask = tt_op_string(call, "mask", "causal");
    rule->causal = !strcmp(mask, "causal");
    rule->inverted = !strcmp(mask, "inverted");
    rule->window = (int64_t)tt_op_number(call, "window", 0);
    rule->offset = (int64_t)tt_op_number(call, "offset", 0);
    if (!rule->causal && !rule->inverted && strcmp(mask, "none"))
        return tt_fail(error, TT_EINPUT, "softmax: unknown mask '%s' (causal, none, inverted)", mask);
    return 0;
}

static int read_axis(const char *axis, const struct tt_value *x, struct lines *lines, struct tt_error *error)
{
    int64_t tokens = x->shape[0], heads = x->shape[1], keys = x->shape[2];
    if (!strcmp(axis, "key"))
        *lines = (struct lines){tokens * heads, keys, 1, 'k'};
    else if (!strcmp(axis, "query"))
        *lines = (struct lines){heads * keys, tokens, heads * keys, 'q'};
    else if (!strcmp(axis, "head"))
        *lines = (struct lines){tokens * keys, heads, keys, 'h'};
    else
        return tt_fail(error, TT_EINPUT, "softmax: unknown axis '%s' (key, query, head)", axis);
    return 0;
}

static int check_pass(const struct softmax *s, struct tt_error *error)
{
    const struct tt_pass_inputs *pass = s->call->pass;
    if (!s->visibility.causal && !s->visibility.inverted && !s->visibility.window)
        return 0;
    if (!pass || !pass->positions || !pass->key_positions)
        return tt_fail(error, TT_EINPUT, "softmax: a mask needs the positions of queries and keys");
    if (pass->ntokens != s->x->shape[0] || pass->nkeys != s->x->shape[2])
        return tt_fail(error, TT_EINPUT,
                       "softmax: scores are [%lld, heads, %lld], the pass has %lld tokens and %lld keys",
                       (long long)s->x->shape[0], (long long)s->x->shape[2], (long long)pass->ntokens,
                       (long long)pass->nkeys);
    return 0;
}

static int prepare(const struct tt_op_call *call, struct softmax *s, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "softmax", 1, error))
        return -1;
    s->call = call, s->x = call->in[0];
    if (s->x->rank != 3)
        return tt_fail(error, TT_EINPUT, "softmax: needs scores [tokens, heads, keys]");
    s->normalise = tt_op_number(call, "normalise", 1) != 0;
    s->subtract = s->normalise || tt_op_number(call, "subtract_max", 1) != 0;
    if (call->weight[0] && tt_op_number(call, "use_sink", 1) != 0)
        s->sink = call->weight[0]->v;
    if (s->sink && tt_value_count(call->weight[0]) != s->x->shape[1])
        return tt_fail(error, TT_EINPUT, "softmax: %lld sinks for %lld heads",
                       (long long)tt_value_count(call->weight[0]), (long long)s->x->shape[1]);
    if (tt_visibility_read(call, &s->visibility, error) ||
        read_axis(tt_op_string(call, "axis", "key"), s->x, &s->lines, error))
        return -1;
    return check_pass(s, error);
}

static bool visible(const struct softmax *s, int64_t i)
{
    const struct tt_pass_inputs *pass = s->call->pass;
    const struct tt_visibility *rule = &s->visibility;
    if (!rule->causal && !rule->inverted && !rule->window)
        return true;
    int64_t key = i % s->x->shape[2], query = i / (s->x->shape[1] * s->x->shape[2]);
    return tt_key_visible(rule, pass->positions[query], pass->key_positions[key]);
}

static int64_t line_start(const struct lines *lines, int64_t line, int64_t keys)
{
    if (lines->axis == 'k')
        return line * lines->length;
    if (lines->axis == 'q')
        return line;
    return line / keys * lines->length * keys + line % keys;
}

/* Exponentials of one line into out; returns their sum, *top the largest score. */
static double exponentials(const struct softmax *s, int64_t start, struct tt_value *out, double *top)
{
    const struct lines *lines = &s->lines;
    int64_t end = start + lines->length * lines->stride, head = start / s->x->shape[2] % s->x->shape[1];
    double sum = 0;
    *top = s->sink && lines->axis == 'k' ? s->sink[head] : -INFINITY;
    for (int64_t i = start; i < end; i += lines->stride) {
        if (visible(s, i) && !(s->x->v[i] <= *top))
            *top = s->x->v[i];
    }
    if (!s->subtract)
        *top = 0;
    for (int64_t i = start; i < end; i += lines->stride) {
        bool counts = visible(s, i) && s->x->v[i] != -INFINITY; /* -Inf is a mask of the engine's own */
        out->v[i] = counts ? exp(s->x->v[i] - *top) : 0;
        sum += out->v[i];
    }
    if (s->sink && lines->axis == 'k')
        sum += exp(s->sink[head] - *top);
    return sum;
}

/* Variance of x_i from its own error; a relative error common to the scores' row shifts x_i against the mean.
 */
static double score_variance(const struct softmax *s, int64_t i, double mean)
{
    double variance = s->x->var ? s->x->var[i] : 0;
    if (s->x->row_var) {
        double away = s->x->v[i] - mean;
        variance += s->x->row_var[i / s->x->shape[2]] * away * away;
    }
    return variance;
}

static void line_moments(const struct softmax *s, int64_t start, const struct tt_value *out, double *mean,
                         double *spread)
{
    int64_t end = start + s->lines.length * s->lines.stride;
    *mean = *spread = 0;
    for (int64_t i = start; i < end; i += s->lines.stride)
        *mean += out->v[i] != 0 ? out->v[i] * s->x->v[i] : 0;
    for (int64_t i = start; i < end && (s->x->var || s->x->row_var); i += s->lines.stride)
        *spread += out->v[i] != 0 ? out->v[i] * out->v[i] * score_variance(s, i, *mean) : 0;
}

/* Without the division the error of the largest score, which is subtracted, stays in all others. */
static double top_variance(const struct softmax *s, int64_t start, double top)
{
    int64_t end = start + s->lines.length * s->lines.stride;
    for (int64_t i = start; i < end && !s->normalise && s->subtract; i += s->lines.stride)
        if (s->x->v[i] == top && visible(s, i))
            return score_variance(s, i, 0);
    return 0;
}

/* First order: dy_i = y_i·(dx_i - Σ y_j dx_j). */
static void line_errors(const struct softmax *s, int64_t start, double top, struct tt_value *out)
{
    double u = s->call->numerics.u_acc, mean, spread, subtracted = top_variance(s, start, top);
    int64_t end = start + s->lines.length * s->lines.stride;
    line_moments(s, start, out, &mean, &spread);
    for (int64_t i = start; i < end; i += s->lines.stride) {
        double y = out->v[i], rest = s->normalise ? 1 - y : 1;
        if (y == 0)
            continue;
        double own = score_variance(s, i, s->normalise ? mean : 0),
               others = s->normalise ? spread - y * y * own : 0;
        double argument = fabs(s->x->v[i] - top);
        out->var[i] = y * y * (rest * rest * own + fmax(others, 0) + subtracted + u * u * (1 + argument * argument));
    }
}

/* Of the sum of exponentials. Added one by one to a sum that is large already, terms below its last place vanish: up to
 * u of each is lost, always to the same side. */
static double sum_variance(const struct softmax *s, int64_t start, const struct tt_value *out)
{
    int64_t terms = 0, end = start + s->lines.length * s->lines.stride;
    double u = s->call->numerics.u_acc, lost = 0;
    for (int64_t i = start; i < end; i += s->lines.stride) {
        terms += out->v[i] != 0;
        lost += fmin(fabs(out->v[i]), u);
    }
    return s->normalise ? u * u * (0.5 + 0.25 * (double)terms) + 0.25 * lost * lost : 0;
}

static void share_sum_variance(const struct softmax *s, int64_t start, double variance, struct tt_value *out)
{
    int64_t end = start + s->lines.length * s->lines.stride;
    if (s->lines.axis == 'k') {
        tt_value_need_row_var(out)[start / s->lines.length] = variance;
        return;
    }
    for (int64_t i = start; i < end; i += s->lines.stride)
        out->var[i] += variance * out->v[i] * out->v[i];
}

static void softmax_line(const struct softmax *s, int64_t start, struct tt_value *out)
{
    double top, sum = exponentials(s, start, out, &top);
    int64_t end = start + s->lines.length * s->lines.stride;
    for (int64_t i = start; s->normalise && sum != 0 && i < end; i += s->lines.stride)
        out->v[i] = visible(s, i) ? out->v[i] / sum : 0; /* masked entries stay 0 even beside a NaN */
    line_errors(s, start, top, out);
    share_sum_variance(s, start, sum_variance(s, start, out), out);
}

/* Storing does not touch the zeros of the mask. */
static void store(const struct tt_op_call *call, struct tt_value *out)
{
    int64_t count = tt_value_count(out);
    for (int64_t i = 0; i < count; i++)
        out->var[i] += out->v[i] != 0 ? tt_store_variance(&call->numerics, out->v[i]) : 0;
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    struct softmax s = {0};
    if (prepare(call, &s, error))
        return -1;
    *out = tt_value_like(s.x);
    tt_value_need_var(out);
    for (int64_t line = 0; line < s.lines.count; line++)
        softmax_line(&s, line_start(&s.lines, line, s.x->shape[2]), out);
    store(call, out);
    tt_clear_nonfinite(out);
    return 0;
}

static const struct tt_variant variants[] = {
    {"attn.mask_missing", "mask='none'", "mask=='causal'"},
    {"attn.mask_missing", "mask='none', window=0", "mask=='causal' && window!=0"},
    {"attn.mask_extra", "mask='causal'", "mask=='none'"},
    {"attn.mask_inverted", "mask='inverted'", "mask=='causal'"},
    {"attn.mask_off_by_one", "offset=1", "mask=='causal'"},
    {"attn.mask_off_by_one", "offset=-1", "mask=='causal'"},
    {"attn.window", "window=0", "window!=0"},
    {"attn.window", "window=window+1", "window!=0"},
    {"attn.window", "window=window-1", "window>1"},
    {"attn.softmax_axis", "axis='query'", NULL},
    {"attn.softmax_axis", "axis='head'", "heads>1"},
    {"attn.not_normalised", "normalise=0", NULL},
    {"attn.not_normalised", "normalise=0, subtract_max=0", NULL},
    {"attn.sink", "use_sink=0", "has_sink"},
    {0},
};

const struct tt_op tt_op_softmax = {
    .name = "softmax",
    .row_inputs = 1,
    .defaults = "mask='causal', window=0, offset=0, axis='key', normalise=1, subtract_max=1, use_sink=1",
    .weight_roles = {"sink"},
    .forward = forward,
    .variants = variants,
    .recover = tt_softmax_recover,
};
