/* SPDX-License-Identifier: Apache-2.0
 *
 * linear_each: a linear layer of its own for each stream. x [T, in] (the same for all) or [T, n, in], weight
 * [n, out, in] -> [T, n, out].
 *   rotate      stream i uses weight i + rotate (a fault), 0
 *   transpose   1: weights read as [in, out] (a fault; square ones only)
 */
#include <stdlib.h>

#include "ops/product.h"
#include "ops/streams.h"
#include "ops/support.h"

struct each {
    struct tt_streams x;
    int64_t count, outputs, rotate;
    bool transpose;
    double *input_error;   /* like x: own variance and one step of the sum */
    double *buffer;        /* [out, in], for weights that come as a stream */
    double *square;        /* [out, in] */
};

static int read_shapes(const struct tt_op_call *call, struct each *e, struct tt_error *error)
{
    const struct tt_value *weight = call->weight[0];
    if (tt_op_expect_inputs(call, "linear_each", 1, error) || tt_streams_read(call->in[0], "linear_each", &e->x, error))
        return -1;
    if (!weight || weight->rank != 3 || weight->shape[2] != e->x.width || (e->x.count != 1 && e->x.count != weight->shape[0]))
        return tt_fail(error, TT_EINPUT, "linear_each: needs a weight [streams, outputs, %lld] for %lld streams",
                       (long long)e->x.width, (long long)e->x.count);
    e->count = weight->shape[0], e->outputs = weight->shape[1];
    e->rotate = (int64_t)tt_op_number(call, "rotate", 0);
    e->transpose = tt_op_number(call, "transpose", 0) != 0;
    if (e->transpose && e->outputs != e->x.width)
        return tt_fail(error, TT_EINPUT, "linear_each: only square weights can be transposed");
    return 0;
}

/* out[:, n, :] = a[:, n or 0, :]·wᵀ, rows of a and out lie a token apart */
static struct tt_matrices matrices(const struct each *e, int64_t n, const double *a, const double *w, double *out)
{
    int64_t from = e->x.count > 1 ? n : 0;
    return (struct tt_matrices){.transposed = !e->transpose, .m = e->x.tokens, .n = e->outputs, .k = e->x.width,
                                .a = a + from * e->x.width, .lda = e->x.count * e->x.width, .b = w, .ldb = e->x.width,
                                .c = out + n * e->outputs, .ldc = e->count * e->outputs};
}

static void open_errors(const struct tt_op_call *call, struct each *e)
{
    const struct tt_value *x = call->in[0];
    int64_t count = tt_value_count(x);
    double per_term = tt_sum_term_variance(call, e->x.width);
    e->square = tt_alloc_array((size_t)(e->outputs * e->x.width), sizeof *e->square);
    e->input_error = tt_alloc_array((size_t)count, sizeof *e->input_error);
    for (int64_t i = 0; i < count; i++)
        e->input_error[i] = per_term * x->v[i] * x->v[i] + (x->var ? x->var[i] : 0);
}

static int one_stream(const struct tt_op_call *call, struct each *e, int64_t n, struct tt_value *out, struct tt_error *error)
{
    uint64_t size = (uint64_t)(e->outputs * e->x.width);
    int64_t which = ((n + e->rotate) % e->count + e->count) % e->count;
    const double *w = tt_op_weight_rows(call, 0, (uint64_t)which * size, size, e->buffer, error);
    if (!w)
        return -1;
    struct tt_matrices values = matrices(e, n, call->in[0]->v, w, out->v);
    tt_op_product(call, &values);
    if (call->value_only)
        return 0;
    for (uint64_t i = 0; i < size; i++)
        e->square[i] = w[i] * w[i];
    struct tt_matrices errors = matrices(e, n, e->input_error, e->square, out->var);
    tt_op_product_f64(&errors, false);
    return 0;
}

static void finish(const struct tt_op_call *call, const struct each *e, struct tt_value *out)
{
    const struct tt_value *x = call->in[0];
    double drift = tt_sum_drift_variance(call, e->x.width);
    for (int64_t i = 0, count = tt_value_count(out); i < count; i++)
        out->var[i] += drift * out->v[i] * out->v[i];
    for (int64_t r = 0, rows = tt_value_rows(out); x->row_var && r < rows; r++)
        tt_value_need_row_var(out)[r] = x->row_var[e->x.count > 1 ? r : r / e->count];
    tt_finish_sums(call, out);
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    struct each e = {0};
    if (read_shapes(call, &e, error))
        return -1;
    *out = tt_value_new(3, (int64_t[]){e.x.tokens, e.count, e.outputs});
    if (!call->weight[0]->v)
        e.buffer = tt_alloc_array((size_t)(e.outputs * e.x.width), sizeof *e.buffer);
    if (!call->value_only) {
        tt_value_need_var(out);
        open_errors(call, &e);
    }
    int failed = 0;
    for (int64_t n = 0; n < e.count && !failed; n++)
        failed = one_stream(call, &e, n, out, error);
    if (!failed && !call->value_only)
        finish(call, &e, out);
    free(e.buffer);
    free(e.square);
    free(e.input_error);
    return failed;
}

static const struct tt_variant variants[] = {
    {"linear.wrong_weight", "rotate=1", NULL},
    {"linear.transposed", "transpose=1", NULL},
    {0},
};

const struct tt_op tt_op_linear_each = {
    .name = "linear_each",
    .defaults = "rotate=0, transpose=0",
    .weight_roles = {"weight"},
    .streams = 1,
    .rowwise = true,
    .forward = forward,
    .variants = variants,
};
