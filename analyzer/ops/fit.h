/* SPDX-License-Identifier: Apache-2.0
 *
 * Fitting parameters to what an engine computed: least squares with error bars, and the test that a recovered
 * set of attributes reproduces the data before it is handed out.
 */
#ifndef TT_OPS_FIT_H
#define TT_OPS_FIT_H

#include "ops/op.h"

struct tt_recoveries {
    const char *op;
    const struct tt_op_call *call;
    const struct tt_value *observed;
    struct tt_recovery *found;
    int most, count;
    double before; /* chi²/N of the op as it is configured; 0: not computed yet */
};

/* chi²/N of `observed` under `expected`, each row's common factor fitted. INFINITY where one is finite and
 * the other is not, or an exact element differs. */
double tt_fit_chi2(const struct tt_value *expected, const struct tt_value *observed);

/* The same for the op under the call's attributes with `set` on top; INFINITY when they cannot be combined.
 */
double tt_fit_attributes(const struct tt_recoveries *list, const struct tt_attributes *set);

/* observed ≈ scale·model, weighted by 1/variance: that of `expected` and of having stored what was observed.
 * False without any finite data. *sigma: standard error of *scale. */
bool tt_fit_scale(const struct tt_op_call *call, const struct tt_value *expected, const double *model,
                  const double *observed, double *scale, double *sigma);

/* x within `tolerance` (absolute) of a number that people write: that number, else x. */
double tt_fit_snap(double x, double tolerance);

/* Adds a recovery if `set` reproduces the data (chi² below 100, the bound of drift, and four times better
 * than the op as configured) and there is room. */
bool tt_recovery_offer(struct tt_recoveries *list, const char *cause, const struct tt_attributes *set,
                       const char *expected, const char *found);
/* The same for one number. */
bool tt_recovery_number(struct tt_recoveries *list, const char *cause, const char *name, double expected,
                        double found);

#endif
