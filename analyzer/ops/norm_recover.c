/* SPDX-License-Identifier: Apache-2.0
 *
 * Recovers eps of a normalisation: every row's factor tells moment + eps, and rows with a small moment tell
 * it well.
 */
#include <math.h>

#include "ops/fit.h"
#include "ops/norm.h"
#include "ops/support.h"

static const double usual[] = {0, 1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1};

/* The op without its bias and with another eps. */
static int plain_rows(const struct tt_op_call *call, const char *form, double eps, struct tt_value *out)
{
    struct tt_attributes attributes = call->attributes ? *call->attributes : (struct tt_attributes){0};
    struct tt_op_call changed = *call;
    changed.attributes = &attributes;
    if (tt_attributes_set_number(&attributes, "eps", eps) ||
        tt_attributes_set_number(&attributes, "use_bias", 0))
        return -1;
    return tt_norm_forward(&changed, form, eps, out, NULL);
}

struct eps_fit {
    double sum, weight; /* Σ eps/σ², Σ 1/σ² */
};

/* Observed = factor·plain + bias; factor² = (moment + eps) / (moment + true eps). */
static void add_row(const struct tt_op_call *call, const struct tt_value *plain, const struct tt_value *other,
                    const struct tt_value *observed, double eps, double step, int64_t row,
                    struct eps_fit *fit)
{
    int64_t width = tt_value_width(plain);
    const struct tt_value *bias = tt_op_number(call, "use_bias", 1) != 0 ? call->weight[1] : NULL;
    double product = 0, square = 0, ratio_up = 0, ratio_down = 0;
    for (int64_t i = row * width; i < (row + 1) * width; i++) {
        double y = observed->v[i] - (bias ? bias->v[i % tt_value_count(bias)] : 0), v = plain->v[i];
        product += v * y / plain->var[i];
        square += v * v / plain->var[i];
        ratio_up += other->v[i] * v;
        ratio_down += v * v;
    }
    double factor = product / square, ratio = ratio_up / ratio_down;
    double shrink = ratio * ratio; /* (moment + eps) / (moment + eps + step) */
    double moment = shrink * step / (1 - shrink) - eps;
    double variance = 1 / square + (plain->row_var ? plain->row_var[row] : 0);
    double sigma = 2 * (moment + eps) * sqrt(variance), found = (moment + eps) / (factor * factor) - moment;
    if (!isfinite(found) || !(sigma > 0))
        return;
    fit->sum += found / (sigma * sigma);
    fit->weight += 1 / (sigma * sigma);
}

static double nearest_usual(double eps, double sigma)
{
    double best = eps, distance = 4 * sigma + 0.02 * fabs(eps);
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        if (fabs(usual[i] - eps) <= distance) {
            best = usual[i];
            distance = fabs(usual[i] - eps);
        }
    }
    return best;
}

static bool fit_eps(const struct tt_op_call *call, const struct tt_value *observed, const char *form,
                    double eps, struct eps_fit *fit)
{
    struct tt_value plain = {0}, other = {0};
    double step = 1e-3 + eps;
    bool fine = !plain_rows(call, form, eps, &plain) && !plain_rows(call, form, eps + step, &other) &&
                tt_value_count(&plain) == tt_value_count(observed) && plain.var;
    for (int64_t r = 0; fine && r < tt_value_rows(&plain); r++)
        add_row(call, &plain, &other, observed, eps, step, r, fit);
    tt_value_free(&plain);
    tt_value_free(&other);
    return fine && fit->weight > 0;
}

int tt_norm_recover(const struct tt_op_call *call, const struct tt_value *observed, const char *form,
                    double eps, struct tt_recovery *found, int most)
{
    const char *op = form[0] == 'r' ? "rmsnorm" : "layernorm";
    struct tt_recoveries list = {op, call, observed, found, most, 0, 0};
    struct eps_fit fit = {0};
    double configured = tt_op_number(call, "eps", eps);
    if (!fit_eps(call, observed, form, configured, &fit))
        return 0;
    double value = fit.sum / fit.weight, sigma = sqrt(1 / fit.weight);
    if (fabs(value - configured) < 4 * sigma)
        return 0;
    double near = nearest_usual(value, sigma);
    if (near == value && tt_value_rows(observed) < 2) /* any scale of one row is some eps */
        return 0;
    value = fmax(near, 0);
    if (value != configured)
        tt_recovery_number(&list, "norm.eps", "eps", configured, value);
    return list.count;
}
