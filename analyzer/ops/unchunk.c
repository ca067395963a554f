/* SPDX-License-Identifier: Apache-2.0
 *
 * unchunk: groups of tokens back to the sequence, [chunks, size·d] -> [T, d], the padding behind the last token cut. How
 * many tokens there are is known from the pass. Copies.
 *   size   tokens a chunk
 */
#include <string.h>

#include "ops/support.h"

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    int64_t size = (int64_t)tt_op_number(call, "size", 1);
    if (tt_op_expect_inputs(call, "unchunk", 1, error))
        return -1;
    const struct tt_value *x = call->in[0];
    int64_t tokens = call->pass ? call->pass->ntokens : 0, chunks = tt_value_length0(x), row = tt_value_stride0(x);
    if (size < 1 || row % size || tokens > chunks * size)
        return tt_fail(error, TT_EINPUT, "unchunk: %lld chunks of %lld values do not make %lld tokens, %lld a chunk",
                       (long long)chunks, (long long)row, (long long)tokens, (long long)size);
    *out = tt_value_new(2, (int64_t[]){tokens, row / size});
    memcpy(out->v, x->v, (size_t)tt_value_count(out) * sizeof(double));
    if (call->value_only)
        return 0;
    tt_value_need_var(out);
    for (int64_t i = 0, count = tt_value_count(out); i < count; i++)
        out->var[i] = tt_input_variance(x, i);
    return 0;
}

const struct tt_op tt_op_unchunk = {
    .name = "unchunk",
    .defaults = "size=1",
    .forward = forward,
};
