/* SPDX-License-Identifier: Apache-2.0
 *
 * select: row by row one of two values. In: gate [n, 1], a [n, d], b [n, d]; out = gate != 0 ? a : b. Copies. What comes of
 * an unknown gate is unknown where a and b differ.
 *   invert   1: the other one (a fault)
 */
#include <string.h>

#include "ops/support.h"

static int check(const struct tt_op_call *call, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "select", 3, error))
        return -1;
    int64_t rows = tt_value_count(call->in[0]), count = tt_value_count(call->in[1]);
    if (count != tt_value_count(call->in[2]) || (rows ? count % rows : count))
        return tt_fail(error, TT_EINPUT, "select: %lld gates for %lld and %lld values", (long long)rows, (long long)count,
                       (long long)tt_value_count(call->in[2]));
    return 0;
}

static void choose_row(const struct tt_op_call *call, int64_t row, int64_t width, bool invert, struct tt_value *out)
{
    const struct tt_value *gate = call->in[0], *other = call->in[(gate->v[row] != 0) == invert ? 1 : 2];
    const struct tt_value *chosen = call->in[(gate->v[row] != 0) != invert ? 1 : 2];
    bool open = !call->value_only && tt_input_variance(gate, row) > 0;
    memcpy(out->v + row * width, chosen->v + row * width, (size_t)width * sizeof *out->v);
    for (int64_t i = row * width; !call->value_only && i < (row + 1) * width; i++)
        out->var[i] = open && chosen->v[i] != other->v[i] ? TT_UNKNOWN_VARIANCE : tt_input_variance(chosen, i);
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    if (check(call, error))
        return -1;
    int64_t rows = tt_value_count(call->in[0]), width = rows ? tt_value_count(call->in[1]) / rows : 0;
    bool invert = tt_op_number(call, "invert", 0) != 0;
    *out = tt_value_like(call->in[1]);
    if (!call->value_only)
        tt_value_need_var(out);
    for (int64_t r = 0; r < rows; r++)
        choose_row(call, r, width, invert, out);
    return 0;
}

static const struct tt_variant variants[] = {
    {"flow.wrong_operand", "invert=1", NULL},
    {0},
};

const struct tt_op tt_op_select = {
    .name = "select",
    .defaults = "invert=0",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
};
