/* SPDX-License-Identifier: Apache-2.0
 *
 * rows: keeps some rows of the first axis. Copies, so nothing is rounded.
 *   which = "all" | "first" | "last"
 */
#include <string.h>

#include "ops/support.h"

static void copy_part(double **to, const double *from, int64_t first, int64_t count)
{
    if (!from)
        return;
    *to = tt_alloc_array((size_t)count, sizeof **to);
    memcpy(*to, from + first, (size_t)count * sizeof **to);
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "rows", 1, error))
        return -1;
    const struct tt_value *x = call->in[0]; /* [rows, ...] */
    const char *which = tt_op_string(call, "which", "all");
    bool first = !strcmp(which, "first"), last = !strcmp(which, "last");
    if (!first && !last && strcmp(which, "all"))
        return tt_fail(error, TT_EINPUT, "rows: unknown which '%s' (all, first, last)", which);
    if (x->rank < 2 || !x->shape[0] || (!first && !last)) {
        *out = tt_value_copy(x);
        return 0;
    }
    int64_t row = last ? x->shape[0] - 1 : 0, stride = tt_value_stride0(x);
    int64_t width = tt_value_width(x), inner_rows = width ? stride / width : 0;
    out->rank = x->rank;
    memcpy(out->shape, x->shape, sizeof out->shape);
    out->shape[0] = 1;
    copy_part(&out->v, x->v, row * stride, stride);
    copy_part(&out->var, x->var, row * stride, stride);
    copy_part(&out->row_var, x->row_var, row * inner_rows, inner_rows);
    return 0;
}

static const struct tt_variant variants[] = {
    {"logits.wrong_row", "which='first'", "which=='last'"},
    {"logits.wrong_row", "which='last'", "which=='first'"},
    {0},
};

const struct tt_op tt_op_rows = {
    .name = "rows",
    .defaults = "which='all'",
    .forward = forward,
    .variants = variants,
};
