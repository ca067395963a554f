/* SPDX-License-Identifier: Apache-2.0
 *
 * Shapes and copies of values with several streams a token.
 */
#include "ops/streams.h"

#include <string.h>

int tt_streams_read(const struct tt_value *x, const char *op, struct tt_streams *streams, struct tt_error *error)
{
    if (x->rank != 2 && x->rank != 3)
        return tt_fail(error, TT_EINPUT, "%s: needs [tokens, width] or [tokens, streams, width], got %d axes", op, x->rank);
    *streams = (struct tt_streams){x->shape[0], x->rank == 3 ? x->shape[1] : 1, x->shape[x->rank - 1]};
    return 0;
}

static int64_t streams_of(const struct tt_value *x)
{
    return x->rank == 3 ? x->shape[1] : 1;
}

void tt_streams_copy(const struct tt_value *x, int64_t from_first, int64_t count, struct tt_value *out, int64_t to_first)
{
    int64_t width = tt_value_width(x), from = streams_of(x), to = streams_of(out);
    if (x->var)
        tt_value_need_var(out);
    if (x->row_var)
        tt_value_need_row_var(out);
    for (int64_t t = 0; t < x->shape[0]; t++) {
        int64_t source = t * from + from_first, target = t * to + to_first;
        size_t bytes = (size_t)(count * width) * sizeof(double);
        memcpy(out->v + target * width, x->v + source * width, bytes);
        if (x->var)
            memcpy(out->var + target * width, x->var + source * width, bytes);
        if (x->row_var)
            memcpy(out->row_var + target, x->row_var + source, (size_t)count * sizeof(double));
    }
}
