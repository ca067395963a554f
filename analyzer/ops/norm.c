/* SPDX-License-Identifier: Apache-2.0
 *
 * Normalisation forward. The sums over a group carry one error for the whole row (row_var): it is what a
 * sequential float sum does to the row's factor, and it would condemn right engines if it were counted per
 * element.
 */
#include "ops/norm.h"

#include <math.h>
#include <string.h>

#include "ops/support.h"

struct norm {
    const struct tt_op_call *call;
    const double *weight, *bias; /* [weight_width] or NULL */
    int64_t weight_width;
    int64_t group; /* elements normalised together */
    bool centred, sum, skip, round_first;
    double eps, offset;
};

struct moments {
    double centre, factor; /* y = (x - centre)·factor */
    double relative; /* moment / (moment + eps): the part of a common factor of the row that is normalised
                        away */
    double factor_variance, centre_variance;
};

static int read_form(const char *form, struct norm *norm, struct tt_error *error)
{
    norm->centred = !strcmp(form, "layernorm");
    norm->sum = !strcmp(form, "sum");
    norm->skip = !strcmp(form, "skip");
    if (!norm->centred && !norm->sum && !norm->skip && strcmp(form, "rmsnorm"))
        return tt_fail(error, TT_EINPUT, "norm: unknown form '%s' (rmsnorm, layernorm, sum, skip)", form);
    return 0;
}

static const double *weight_of(const struct tt_op_call *call, int role, const char *use, int64_t *width)
{
    const struct tt_value *weight = call->weight[role];
    if (!weight || tt_op_number(call, use, 1) == 0)
        return NULL;
    *width = tt_value_count(weight);
    return weight->v;
}

static int prepare(const struct tt_op_call *call, const char *form, double eps, struct norm *norm,
                   struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "norm", 1, error) ||
        read_form(tt_op_string(call, "form", form), norm, error))
        return -1;
    const struct tt_value *x = call->in[0];
    int64_t bias_width = 0, width = tt_value_width(x), groups = (int64_t)tt_op_number(call, "groups", 1);
    norm->call = call;
    norm->eps = tt_op_number(call, "eps", eps);
    norm->offset = tt_op_number(call, "offset", 0);
    norm->round_first = !strcmp(tt_op_string(call, "cast_order", "after"), "before");
    norm->weight = weight_of(call, 0, "use_weight", &norm->weight_width);
    norm->bias = weight_of(call, 1, "use_bias", &bias_width);
    if (tt_op_number(call, "join", 0) != 0)
        width = tt_value_stride0(x);
    if (groups < 1 || !width || width % groups)
        return tt_fail(error, TT_EINPUT, "norm: rows of %lld do not split into %lld groups", (long long)width,
                       (long long)groups);
    norm->group = width / groups;
    int64_t count = tt_value_count(x);
    if (norm->weight && (!norm->weight_width || count % norm->weight_width))
        return tt_fail(error, TT_EINPUT, "norm: weight of %lld for rows of %lld",
                       (long long)norm->weight_width, (long long)width);
    if (norm->bias && bias_width != norm->weight_width && norm->weight)
        return tt_fail(error, TT_EINPUT, "norm: weight of %lld but bias of %lld",
                       (long long)norm->weight_width, (long long)bias_width);
    if (norm->bias)
        norm->weight_width = bias_width;
    return 0;
}

/* Squares below half a unit of their sum vanish when they are added one after another: beside a massive
 * channel that is most of them. Returns their share of the sum. */
static double vanishing_share(const struct norm *norm, const double *x, double mean, double total)
{
    double sum = 0, least = norm->call->numerics.u_acc * total;
    for (int64_t i = 0; i < norm->group; i++) {
        double square = (x[i] - mean) * (x[i] - mean);
        sum += square < least ? square : 0;
    }
    return total > 0 ? sum / total : 0;
}

/* Rounding of the moments, as relative variance of the factor and absolute variance of the centre. */
static void round_moments(const struct norm *norm, const double *x, double mean, double moment,
                          struct moments *m)
{
    double u = norm->call->numerics.u_acc, n = (double)norm->group;
    double share = vanishing_share(norm, x, mean, norm->sum ? moment : moment * n);
    double cancelled = norm->centred && moment > 0 ? 1 + mean * mean / moment : 1; /* E[x²] - mean² */
    double relative = m->relative * fmin(cancelled, 1 / u);
    m->factor_variance = u * u * (0.5 + 0.25 * n * relative * relative) + 0.25 * share * share;
    m->centre_variance = norm->centred ? u * u * (0.06 * n * mean * mean + 0.09 * (moment + mean * mean)) : 0;
}

static struct moments measure(const struct norm *norm, const double *x)
{
    double mean = 0, moment = 0, n = (double)norm->group;
    for (int64_t i = 0; norm->centred && i < norm->group; i++)
        mean += x[i] / n;
    for (int64_t i = 0; i < norm->group; i++)
        moment += (x[i] - mean) * (x[i] - mean);
    moment = norm->sum ? moment : moment / n;
    struct moments m = {.centre = mean, .factor = 1 / sqrt(moment + norm->eps)};
    m.relative = moment / (moment + norm->eps);
    round_moments(norm, x, mean, moment, &m);
    return m;
}

/* Inputs' independent errors move the factor too: Σ (dr/dx)² var. */
static double factor_input_variance(const struct norm *norm, const struct moments *m, const double *x,
                                    const double *var)
{
    double sum = 0, n = norm->sum ? 1 : (double)norm->group;
    for (int64_t i = 0; var && i < norm->group; i++)
        sum += (x[i] - m->centre) * (x[i] - m->centre) * var[i];
    double slope = m->factor * m->factor / n;
    return sum * slope * slope;
}

static void apply(const struct norm *norm, const struct moments *m, int64_t first, struct tt_value *out)
{
    const struct tt_value *x = norm->call->in[0];
    int bits = norm->round_first ? (int)rint(-log2(norm->call->numerics.u_store)) : 0;
    for (int64_t i = first; i < first + norm->group; i++) {
        int64_t k = norm->weight_width ? i % norm->weight_width : 0;
        double gain = norm->weight ? norm->weight[k] + norm->offset : 1;
        double centred = x->v[i] - m->centre, y = tt_round_bits(centred * m->factor, bits) * gain;
        double slope = m->factor * gain;
        out->v[i] = y + (norm->bias ? norm->bias[k] : 0);
        out->var[i] = slope * slope * ((x->var ? x->var[i] : 0) + m->centre_variance) +
                      3 * tt_inner_variance(&norm->call->numerics, y);
    }
}

static void add_row_factor(const struct norm *norm, double variance, int64_t first, struct tt_value *out)
{
    int64_t width = tt_value_width(out);
    if (norm->group % width == 0 && !norm->bias) {
        for (int64_t r = first / width; r < (first + norm->group) / width; r++)
            out->row_var[r] = variance;
        return;
    }
    for (int64_t i = first; i < first + norm->group;
         i++) { /* several factors in a row, or a bias beside them */
        double y = out->v[i] - (norm->bias ? norm->bias[i % norm->weight_width] : 0);
        out->var[i] += variance * y * y;
    }
}

static void normalise(const struct norm *norm, int64_t first, struct tt_value *out)
{
    const struct tt_value *x = norm->call->in[0];
    struct moments m = measure(norm, x->v + first);
    double variance =
        m.factor_variance + factor_input_variance(norm, &m, x->v + first, x->var ? x->var + first : NULL);
    apply(norm, &m, first, out);
    if (x->row_var) { /* a common factor of the input survives only as far as eps matters */
        double survives = 1 - m.relative;
        variance += x->row_var[first / tt_value_width(x)] * survives * survives;
    }
    add_row_factor(norm, variance, first, out);
}

int tt_norm_forward(const struct tt_op_call *call, const char *form, double eps, struct tt_value *out,
                    struct tt_error *error)
{
    struct norm norm = {0};
    if (prepare(call, form, eps, &norm, error))
        return -1;
    if (norm.skip) {
        *out = tt_value_copy(call->in[0]);
        tt_add_store_variance(call, out);
        return 0;
    }
    *out = tt_value_like(call->in[0]);
    tt_value_need_var(out);
    tt_value_need_row_var(out);
    int64_t count = tt_value_count(out);
    for (int64_t first = 0; first < count; first += norm.group)
        normalise(&norm, first, out);
    tt_finish_sums(call, out);
    return 0;
}
