/* SPDX-License-Identifier: Apache-2.0
 *
 * input: a value that the pass brings along by name (features of an encoder). No inputs.
 *   name   "audio"
 *   rows, columns   what it has to be, 0: anything
 * Where nobody gave it (a capture holds what an engine computed, not what it was fed with) its values are unknown.
 */
#include <string.h>

#include "ops/support.h"

static const struct tt_value *find(const struct tt_pass_inputs *pass, const char *name)
{
    for (int i = 0; pass && i < pass->ngiven; i++)
        if (strcmp(pass->given[i].name, name) == 0)
            return &pass->given[i].value;
    return NULL;
}

static void unknown(int64_t rows, int64_t columns, struct tt_value *out)
{
    *out = tt_value_new(2, (int64_t[]){rows, columns});
    tt_value_need_var(out);
    for (int64_t i = 0; i < rows * columns; i++)
        out->var[i] = TT_UNKNOWN_VARIANCE;
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    const char *name = tt_op_string(call, "name", "input");
    const struct tt_value *given = find(call->pass, name);
    int64_t rows = (int64_t)tt_op_number(call, "rows", 0), columns = (int64_t)tt_op_number(call, "columns", 0);
    if (!given && (call->value_only || !rows || !columns))
        return tt_fail(error, TT_EINPUT, "this model needs the input '%s'; give it with --input %s=FILE.npy", name, name);
    if (!given) {
        unknown(rows, columns, out);
        return 0;
    }
    if ((rows || columns) && (given->rank != 2 || given->shape[0] != rows || given->shape[1] != columns))
        return tt_fail(error, TT_EINPUT, "input '%s' is [%lld, %lld], the model needs [%lld, %lld]", name,
                       given->rank > 0 ? (long long)given->shape[0] : 0LL, given->rank > 1 ? (long long)given->shape[1] : 0LL,
                       (long long)rows, (long long)columns);
    *out = tt_value_copy(given);
    if (!call->value_only)
        tt_value_need_var(out);
    return 0;
}

const struct tt_op tt_op_input = {
    .name = "input",
    .defaults = "name='input', rows=0, columns=0",
    .forward = forward,
};
