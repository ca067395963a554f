/* SPDX-License-Identifier: Apache-2.0
 *
 * gate: who goes on. In: a number a row [n, 1] and, optionally, who went on so far [n, 1] (0 or 1); out [n, 1]: 1 where
 * that was 1 and the number meets the condition. This is how a loop that stops by its data is a graph without jumps.
 *   keep    'below': x < limit | 'not_above': !(x > limit), true for NaN | 'always'
 *   limit   0
 * A row whose number is nearer to the limit than its error bar may go either way: its element is unknown.
 */
#include <math.h>
#include <string.h>

#include "ops/support.h"

static int read_condition(const struct tt_op_call *call, int *condition, struct tt_error *error)
{
    static const char *const names[] = {"below", "not_above", "always"};
    const char *keep = tt_op_string(call, "keep", "below");
    for (*condition = 0; *condition < 3; ++*condition)
        if (strcmp(keep, names[*condition]) == 0)
            return 0;
    return tt_fail(error, TT_EINPUT, "gate: unknown condition '%s' (below, not_above, always)", keep);
}

static int check(const struct tt_op_call *call, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "gate", call->nin, error))
        return -1;
    if (call->nin < 1 || call->nin > 2 ||
        (call->nin == 2 && tt_value_count(call->in[0]) != tt_value_count(call->in[1])))
        return tt_fail(error, TT_EINPUT, "gate: needs one number a row and, at most, one gate before it");
    return 0;
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    int condition = 0;
    if (check(call, error) || read_condition(call, &condition, error))
        return -1;
    const struct tt_value *x = call->in[0], *before = call->nin > 1 ? call->in[1] : NULL;
    double limit = tt_op_number(call, "limit", 0);
    *out = tt_value_like(x);
    double *var = call->value_only ? NULL : tt_value_need_var(out);
    for (int64_t i = 0, count = tt_value_count(x); i < count; i++) {
        bool goes = condition == 2 || (condition ? !(x->v[i] > limit) : x->v[i] < limit);
        double away = x->v[i] - limit, variance = tt_input_variance(x, i);
        out->v[i] = goes && (!before || before->v[i] != 0);
        if (var && before && tt_input_variance(before, i) > 0)
            var[i] = before->v[i] != 0 || goes ? TT_UNKNOWN_VARIANCE : 0;
        if (var && condition != 2 && away * away < 64 * variance && (!before || before->v[i] != 0))
            var[i] = TT_UNKNOWN_VARIANCE;
    }
    return 0;
}

static const struct tt_variant variants[] = {
    {"config.override", "limit=0", "limit!=0"},
    {"config.override", "limit=1", "limit!=1"},
    {"config.override", "limit=1-limit", "limit!=1-limit"},
    {"config.override", "keep='always'", "keep!='always'"},
    {0},
};

const struct tt_op tt_op_gate = {
    .name = "gate",
    .defaults = "keep='below', limit=0",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
};
