/* SPDX-License-Identifier: Apache-2.0
 *
 * chunk: tokens in groups of equal size, [T, d] -> [⌈T/size⌉, size·d], zeros behind the last token. Copies.
 *   size    tokens a chunk
 *   shift   tokens that the cut lies too late (a fault), 0
 */
#include <string.h>

#include "ops/support.h"

static void copy_token(const struct tt_value *x, int64_t from, struct tt_value *out, int64_t to, int64_t width)
{
    memcpy(out->v + to * width, x->v + from * width, (size_t)width * sizeof(double));
    for (int64_t i = 0; out->var && i < width; i++)
        out->var[to * width + i] = tt_input_variance(x, from * width + i);
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    int64_t size = (int64_t)tt_op_number(call, "size", 1), shift = (int64_t)tt_op_number(call, "shift", 0);
    if (tt_op_expect_inputs(call, "chunk", 1, error))
        return -1;
    if (size < 1 || size > 1 << 20)
        return tt_fail(error, TT_EINPUT, "chunk: %lld tokens a chunk", (long long)size);
    const struct tt_value *x = call->in[0];
    int64_t tokens = tt_value_length0(x), width = tt_value_stride0(x), chunks = (tokens + size - 1) / size;
    *out = tt_value_new(2, (int64_t[]){chunks, size * width});
    if (!call->value_only)
        tt_value_need_var(out);
    for (int64_t t = 0; t < tokens; t++)
        if (t + shift >= 0 && t + shift < chunks * size)
            copy_token(x, t, out, t + shift, width);
    return 0;
}

static const struct tt_variant variants[] = {
    {"flow.wrong_operand", "shift=1", NULL},
    {"flow.wrong_operand", "shift=-1", NULL},
    {0},
};

const struct tt_op tt_op_chunk = {
    .name = "chunk",
    .defaults = "size=1, shift=0",
    .forward = forward,
    .variants = variants,
};
