/* SPDX-License-Identifier: Apache-2.0
 *
 * parameter: a weight as a value, for tables that are used as a whole (positions of an encoder).
 *   scale   multiplier (1)
 */
#include "ops/support.h"

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    if (!call->weight[0] || !call->weight[0]->v)
        return tt_fail(error, TT_EINPUT, "parameter: the weight is absent");
    *out = tt_value_copy(call->weight[0]);
    double scale = tt_op_number(call, "scale", 1);
    for (int64_t i = 0, count = tt_value_count(out); i < count && scale != 1; i++)
        out->v[i] *= scale;
    if (!call->value_only)
        tt_add_store_variance(call, out);
    return 0;
}

const struct tt_op tt_op_parameter = {
    .name = "parameter",
    .defaults = "scale=1",
    .weight_roles = {"weight"},
    .forward = forward,
};
