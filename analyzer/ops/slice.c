/* SPDX-License-Identifier: Apache-2.0
 *
 * slice: part of the last axis, x [.., n] -> [.., count]. Copies, so nothing is rounded.
 *   first, count   which elements; count 0: all from `first`
 *   mirrored       1: counted from the other end, as when the parts lie in the other order (fault)
 */
#include <string.h>

#include "ops/support.h"

static double *part_of_rows(const double *from, int64_t rows, int64_t width, int64_t first, int64_t count)
{
    double *to = from ? tt_alloc_array((size_t)(rows * count), sizeof *to) : NULL;
    for (int64_t r = 0; from && r < rows; r++)
        memcpy(to + r * count, from + r * width + first, (size_t)count * sizeof *to);
    return to;
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "slice", 1, error))
        return -1;
    const struct tt_value *x = call->in[0]; /* [.., n] */
    int64_t width = tt_value_width(x), rows = tt_value_rows(x);
    int64_t first = (int64_t)tt_op_number(call, "first", 0), count = (int64_t)tt_op_number(call, "count", 0);
    if (first < 0 || count < 0 || first > width || count > width - first)
        return tt_fail(error, TT_EINPUT, "slice: %lld elements from %lld on, of %lld", (long long)count,
                       (long long)first, (long long)width);
    count = count ? count : width - first;
    if (tt_op_number(call, "mirrored", 0) != 0)
        first = width - count - first;
    *out = (struct tt_value){.rank = x->rank};
    memcpy(out->shape, x->shape, sizeof out->shape);
    out->shape[x->rank - 1] = count;
    out->v = part_of_rows(x->v, rows, width, first, count);
    out->var = part_of_rows(x->var, rows, width, first, count);
    out->row_var = part_of_rows(x->row_var, rows, 1, 0, 1);
    return 0;
}

static const struct tt_variant variants[] = {
    {"linear.split_order", "mirrored=1", NULL},
    {0},
};

const struct tt_op tt_op_slice = {
    .name = "slice",
    .defaults = "first=0, count=0, mirrored=0",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
};
