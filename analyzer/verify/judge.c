/* SPDX-License-Identifier: Apache-2.0
 *
 * χ² against the error model, with one free relative factor per row where the op has one (norms, softmax
 * denominators): the factor is estimated with its prior variance and charged for.
 */
#include "verify/judge.h"

#include <math.h>
#include <string.h>

const char *tt_outcome_name(enum tt_outcome status)
{
    static const char *const names[] = {"unmeasured", "exact", "pass", "drift", "introduced", "broken_link", "propagated"};
    return names[status];
}

#define MISSED 1e8 /* |z| of an exact expectation that was missed: as wrong as anything can be */

struct sums {
    double chi2, error, expected, variance, seen, product, largest;
    int64_t largest_at, positive, negative;
    bool exact;
};

static double variance_at(const struct tt_value *expected, int64_t i)
{
    return expected->var ? expected->var[i] : 0;
}

/* Maximum a posteriori of the row's relative factor, minus 1. */
static double row_factor(const double *seen, const struct tt_value *expected, int64_t first, int64_t width,
                         double prior)
{
    double a = 0, b = prior > 0 ? 1 / prior : 0;
    if (!(prior > 0))
        return 0;
    for (int64_t i = first; i < first + width; i++) {
        double e = expected->v[i], var = variance_at(expected, i);
        if (!(var > 0) || tt_unknown(var) || !isfinite(e) || !isfinite(seen[i]))
            continue;
        a += (seen[i] - e) * e / var;
        b += e * e / var;
    }
    return a / b;
}

static void judge_element(struct tt_judgement *j, struct sums *s, double y, double e, double e_row, double var,
                          int64_t at)
{
    j->n++;
    if (!isfinite(y) || !isfinite(e)) {
        bool same = (isnan(y) && isnan(e)) || y == e;
        j->nonfinite += !same;
        s->exact = s->exact && same;
        return;
    }
    double d = y - e_row, sigma = sqrt(var > 0 ? var : 1e-300);
    double z = fmin(d == 0 ? 0 : fabs(d) / sigma, MISSED);
    /* The row's factor is an estimate from the whole row: for one element anything between none and it is fair. */
    double lone = (y - e) * d <= 0 ? 0 : fmin(fmin(fabs(d), fabs(y - e)) / sigma, MISSED);
    s->exact = s->exact && y == e;
    s->chi2 += z * z;
    s->error += (y - e) * (y - e);
    s->expected += e * e;
    s->variance += var;
    s->seen += y * y;
    s->product += y * e;
    s->positive += d > 0;
    s->negative += d < 0;
    if (fabs(y - e) > j->max_abs)
        j->max_abs = fabs(y - e);
    if (lone > s->largest) {
        s->largest = lone;
        s->largest_at = at;
    }
}

static void judge_row(struct tt_judgement *j, struct sums *s, const struct tt_observation *o,
                      const struct tt_value *expected, int64_t row, int64_t width)
{
    double prior = expected->row_var ? expected->row_var[row] : 0;
    double factor = row_factor(o->value.v, expected, row * width, width, prior);
    for (int64_t i = row * width; i < (row + 1) * width; i++) {
        double e = expected->v[i], var = variance_at(expected, i);
        if (!tt_unknown(var))
            judge_element(j, s, o->value.v[i], e, e * (1 + factor), var, i);
    }
    if (prior > 0)
        s->chi2 += factor * factor / prior;
}

static void locate(const struct tt_value *value, int64_t at, int64_t index[TT_VALUE_RANK])
{
    for (int i = value->rank - 1; i >= 0; i--) {
        index[i] = value->shape[i] ? at % value->shape[i] : 0;
        at /= value->shape[i] ? value->shape[i] : 1;
    }
}

static enum tt_outcome status_of(const struct tt_judgement *j, bool exact)
{
    if (!j->n)
        return TT_UNMEASURED;
    if (exact)
        return TT_EXACT;
    if (j->nonfinite || j->chi2 > TT_CHI2_DRIFT || j->z_max > TT_Z_MAX)
        return TT_INTRODUCED;
    return j->chi2 <= TT_CHI2_PASS ? TT_PASS : TT_DRIFT;
}

struct tt_judgement tt_judge(const struct tt_observation *o, const struct tt_value *expected)
{
    struct tt_judgement j = {0};
    struct sums s = {.exact = true};
    int64_t rows = tt_value_rows(&o->value), width = tt_value_width(&o->value);
    for (int64_t r = 0; r < rows; r++)
        if (o->seen[r])
            judge_row(&j, &s, o, expected, r, width);
    j.chi2 = j.n ? s.chi2 / (double)j.n : 0;
    j.z_max = s.largest;
    j.nmse = s.expected > 0 ? s.error / s.expected : s.error > 0 ? INFINITY : 0;
    j.floor = s.expected > 0 ? s.variance / s.expected : 0;
    j.cosine = s.seen > 0 && s.expected > 0 ? s.product / sqrt(s.seen * s.expected) : s.seen == s.expected;
    j.sign_z = s.positive + s.negative ? (double)(s.positive - s.negative) / sqrt((double)(s.positive + s.negative)) : 0;
    locate(&o->value, s.largest_at, j.at);
    j.status = status_of(&j, s.exact);
    return j;
}

bool tt_judgement_right(const struct tt_judgement *j)
{
    return j->status == TT_EXACT || j->status == TT_PASS || j->status == TT_DRIFT;
}
