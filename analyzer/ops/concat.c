/* SPDX-License-Identifier: Apache-2.0
 *
 * concat: 2 to 6 inputs side by side on the last axis. Rows are those of the input with the most axes; one with fewer,
 * [T, d] beside [T, H, n], is repeated over the heads. Copies, so nothing is rounded.
 *   reversed   1: the other way round (fault)
 *   drop       input that counts as zeros (fault), -1: none
 */
#include <string.h>

#include "ops/support.h"

/* The input whose rows are the result's. */
static const struct tt_value *widest(const struct tt_op_call *call)
{
    const struct tt_value *most = call->in[0];
    for (int i = 1; i < call->nin; i++)
        most = call->in[i]->rank > most->rank ? call->in[i] : most;
    return most;
}

static bool same_rows(const struct tt_value *x, const struct tt_value *rows)
{
    if (x->rank < 1 || x->rank > rows->rank)
        return false;
    for (int i = 0; i + 1 < x->rank; i++) {
        if (x->shape[i] != rows->shape[i])
            return false;
    }
    return true;
}

static int check(const struct tt_op_call *call, struct tt_error *error)
{
    if (call->nin < 2 || tt_op_expect_inputs(call, "concat", call->nin, error))
        return tt_fail(error, TT_EINPUT, "concat: needs 2 to %d inputs with values, got %d", TT_OP_MAX_INPUTS,
                       call->nin);
    for (int i = 0; i < call->nin; i++) {
        if (!same_rows(call->in[i], widest(call)))
            return tt_fail(error, TT_EINPUT, "concat: input %d has other rows than the rest", i);
    }
    return 0;
}

/* Columns [first, first + width of x) of out. */
static void place(const struct tt_value *x, int64_t first, bool zeros, struct tt_value *out)
{
    int64_t width = tt_value_width(x), total = tt_value_width(out), rows = tt_value_rows(out);
    int64_t repeat = tt_value_rows(x) ? rows / tt_value_rows(x) : 0;
    for (int64_t r = 0; r < rows && !zeros; r++) {
        for (int64_t i = 0; i < width; i++) {
            int64_t from = r / repeat * width + i, to = r * total + first + i;
            out->v[to] = x->v[from];
            if (out->var)
                out->var[to] = tt_input_variance(x, from);
        }
    }
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    if (check(call, error))
        return -1;
    bool reversed = tt_op_number(call, "reversed", 0) != 0;
    int drop = (int)tt_op_number(call, "drop", -1);
    int64_t shape[TT_VALUE_RANK], first = 0;
    const struct tt_value *rows = widest(call);
    memcpy(shape, rows->shape, sizeof shape);
    shape[rows->rank - 1] = 0;
    for (int i = 0; i < call->nin; i++)
        shape[rows->rank - 1] += tt_value_width(call->in[i]);
    *out = tt_value_new(rows->rank, shape);
    if (!call->value_only)
        tt_value_need_var(out);
    for (int i = 0; i < call->nin; i++) {
        int at = reversed ? call->nin - 1 - i : i;
        place(call->in[at], first, at == drop, out);
        first += tt_value_width(call->in[at]);
    }
    return 0;
}

static const struct tt_variant variants[] = {
    {"linear.split_order", "reversed=1", NULL},
    {"flow.wrong_operand", "drop=0", NULL},
    {"flow.wrong_operand", "drop=1", NULL},
    {0},
};

const struct tt_op tt_op_concat = {
    .name = "concat",
    .defaults = "reversed=0, drop=-1",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
};
