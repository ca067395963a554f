/* SPDX-License-Identifier: Apache-2.0
 *
 * stream: some of the streams of [tokens, streams, width]. Copies, so nothing is rounded.
 *   first   index of the first one, 0
 *   count   0: one, and its axis goes: [tokens, width]; otherwise [tokens, count, width]
 */
#include "ops/streams.h"
#include "ops/support.h"

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    struct tt_streams s;
    if (tt_op_expect_inputs(call, "stream", 1, error) || tt_streams_read(call->in[0], "stream", &s, error))
        return -1;
    int64_t first = (int64_t)tt_op_number(call, "first", 0), given = (int64_t)tt_op_number(call, "count", 0);
    int64_t count = given ? given : 1;
    if (first < 0 || count < 1 || count > s.count || first > s.count - count)
        return tt_fail(error, TT_EINPUT, "stream: %lld from %lld on, of %lld", (long long)count, (long long)first,
                       (long long)s.count);
    *out = given ? tt_value_new(3, (int64_t[]){s.tokens, count, s.width}) : tt_value_new(2, (int64_t[]){s.tokens, s.width});
    tt_streams_copy(call->in[0], first, count, out, 0);
    return 0;
}

static const struct tt_variant variants[] = {
    {"flow.wrong_operand", "first=first+1", "count==0"},
    {"flow.wrong_operand", "first=first-1", "first>0"},
    {0},
};

const struct tt_op tt_op_stream = {
    .name = "stream",
    .defaults = "first=0, count=0",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
};
