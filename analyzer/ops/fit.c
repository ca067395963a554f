/* SPDX-License-Identifier: Apache-2.0
 *
 * Fits.
 */
#include "ops/fit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ops/support.h"

#define DRIFT 100 /* chi²/N up to which a form may still be the engine's */

struct row_sums {
    double error, product, square; /* Σ e²/σ², Σ e·y/σ², Σ y²/σ² */
    bool impossible;
};

static void add_element(struct row_sums *sums, double y, double variance, double observed)
{
    double error = observed - y;
    if (!isfinite(y) || !isfinite(observed)) {
        sums->impossible |= isfinite(y) || isfinite(observed);
    } else if (variance > 0) {
        sums->error += error * error / variance;
        sums->product += error * y / variance;
        sums->square += y * y / variance;
    } else {
        sums->impossible |= error != 0;
    }
}

static double row_chi2(const struct tt_value *expected, const struct tt_value *observed, int64_t row)
{
    int64_t width = tt_value_width(expected);
    struct row_sums sums = {0};
    for (int64_t i = row * width; i < (row + 1) * width; i++)
        add_element(&sums, expected->v[i], expected->var ? expected->var[i] : 0, observed->v[i]);
    if (sums.impossible)
        return INFINITY;
    double prior = expected->row_var ? expected->row_var[row] : 0;
    return prior > 0 ? sums.error - sums.product * sums.product / (sums.square + 1 / prior) : sums.error;
}

double tt_fit_chi2(const struct tt_value *expected, const struct tt_value *observed)
{
    int64_t count = tt_value_count(expected), rows = tt_value_rows(expected);
    double sum = 0;
    if (!count || count != tt_value_count(observed))
        return INFINITY;
    for (int64_t r = 0; r < rows; r++)
        sum += row_chi2(expected, observed, r);
    return sum / (double)count;
}

static int merge(const struct tt_attributes *base, const struct tt_attributes *set, struct tt_attributes *out)
{
    int status = 0;
    *out = base ? *base : (struct tt_attributes){0};
    for (int i = 0; i < set->count; i++) {
        const struct tt_attribute_value *item = &set->items[i];
        status |= item->string ? tt_attributes_set_string(out, item->name, item->string)
                               : tt_attributes_set_number(out, item->name, item->number);
    }
    return status;
}

double tt_fit_attributes(const struct tt_recoveries *list, const struct tt_attributes *set)
{
    struct tt_attributes merged;
    struct tt_op_call call = *list->call;
    struct tt_value value = {0};
    double chi2 = INFINITY;
    if (merge(call.attributes, set, &merged))
        return INFINITY;
    call.attributes = &merged;
    if (!tt_op_find(list->op)->forward(&call, &value, NULL))
        chi2 = tt_fit_chi2(&value, list->observed);
    tt_value_free(&value);
    return chi2;
}

bool tt_fit_scale(const struct tt_op_call *call, const struct tt_value *expected, const double *model,
                  const double *observed, double *scale, double *sigma)
{
    double product = 0, square = 0;
    int64_t count = tt_value_count(expected);
    for (int64_t i = 0; i < count; i++) {
        double variance = expected->var ? expected->var[i] : 0;
        if (!isfinite(model[i]) || !isfinite(observed[i]) || fabs(observed[i]) > 1e30)
            continue;
        variance += tt_store_variance(&call->numerics, observed[i]);
        product += model[i] * observed[i] / variance;
        square += model[i] * model[i] / variance;
    }
    if (!(square > 0))
        return false;
    *scale = product / square;
    *sigma = sqrt(fmax(1, *scale * *scale) / square);
    return true;
}

double tt_fit_snap(double x, double tolerance)
{
    double size = fabs(x), sign = x < 0 ? -1 : 1;
    if (size <= tolerance)
        return 0;
    double snapped = tt_snap(size, tolerance / size);
    if (snapped == size && size < 1) { /* scales of attention are 1/√n */
        double n = rint(1 / (size * size));
        if (n >= 1 && fabs(1 / sqrt(n) - size) <= tolerance)
            snapped = 1 / sqrt(n);
    }
    return sign * snapped;
}

bool tt_recovery_offer(struct tt_recoveries *list, const char *cause, const struct tt_attributes *set,
                       const char *expected, const char *found)
{
    static const struct tt_attributes nothing;
    double after = list->count < list->most ? tt_fit_attributes(list, set) : INFINITY;
    if (list->before == 0)
        list->before = tt_fit_attributes(list, &nothing);
    if (!(after <= DRIFT && after * 4 <= list->before))
        return false;
    struct tt_recovery *recovery = &list->found[list->count++];
    memset(recovery, 0, sizeof *recovery);
    snprintf(recovery->cause, sizeof recovery->cause, "%s", cause);
    snprintf(recovery->expected, sizeof recovery->expected, "%s", expected);
    snprintf(recovery->found, sizeof recovery->found, "%s", found);
    recovery->set = *set;
    return true;
}

bool tt_recovery_number(struct tt_recoveries *list, const char *cause, const char *name, double expected,
                        double found)
{
    struct tt_attributes set = {0};
    char before[48], after[48];
    tt_attributes_set_number(&set, name, found);
    snprintf(before, sizeof before, "%s %.7g", name, expected);
    snprintf(after, sizeof after, "%s %.7g", name, found);
    return tt_recovery_offer(list, cause, &set, before, after);
}
