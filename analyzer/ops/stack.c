/* SPDX-License-Identifier: Apache-2.0
 *
 * stack: streams side by side. Inputs [tokens, width] (one stream) or [tokens, streams, width] -> [tokens, all streams,
 * width]. Copies, so nothing is rounded.
 *   rotate   streams land that many places late (a fault), 0
 */
#include "ops/streams.h"
#include "ops/support.h"

static int count_streams(const struct tt_op_call *call, struct tt_streams *all, struct tt_error *error)
{
    if (call->nin < 1 || tt_op_expect_inputs(call, "stack", call->nin, error) ||
        tt_streams_read(call->in[0], "stack", all, error))
        return tt_fail(error, TT_EINPUT, "stack: needs inputs [tokens, width] or [tokens, streams, width]");
    for (int i = 1; i < call->nin; i++) {
        struct tt_streams one;
        if (tt_streams_read(call->in[i], "stack", &one, error))
            return -1;
        if (one.tokens != all->tokens || one.width != all->width)
            return tt_fail(error, TT_EINPUT, "stack: input %d is [%lld, .., %lld], input 0 is [%lld, .., %lld]", i,
                           (long long)one.tokens, (long long)one.width, (long long)all->tokens, (long long)all->width);
        all->count += one.count;
    }
    return 0;
}

/* A stream's place after rotation; inputs of several streams are copied one by one. */
static void place(const struct tt_value *x, int64_t first, int64_t rotate, struct tt_value *out)
{
    int64_t count = x->rank == 3 ? x->shape[1] : 1, all = out->shape[1];
    for (int64_t i = 0; i < count; i++)
        tt_streams_copy(x, i, 1, out, (first + i + rotate) % all);
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    struct tt_streams all;
    if (count_streams(call, &all, error))
        return -1;
    int64_t rotate = (int64_t)tt_op_number(call, "rotate", 0) % all.count, first = 0;
    *out = tt_value_new(3, (int64_t[]){all.tokens, all.count, all.width});
    for (int i = 0; i < call->nin; i++) {
        place(call->in[i], first, rotate < 0 ? rotate + all.count : rotate, out);
        first += call->in[i]->rank == 3 ? call->in[i]->shape[1] : 1;
    }
    return 0;
}

static const struct tt_variant variants[] = {
    {"flow.wrong_operand", "rotate=1", NULL},
    {0},
};

const struct tt_op tt_op_stack = {
    .name = "stack",
    .defaults = "rotate=0",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
};
