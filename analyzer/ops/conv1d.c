/* SPDX-License-Identifier: Apache-2.0
 *
 * conv1d: y[r, o] = Σ_c Σ_j w[o, c, j]·x[r·stride + j - padding, c] + b[o], zeros beyond the ends. x [rows, channels],
 * weight [outputs, channels, taps] -> [rows out, outputs]. As one product of unrolled rows.
 *   stride, padding   1, 0
 *   channels_first    1: x is [channels, rows]
 *   reverse           1: taps in reverse order, a convolution of mathematicians (a fault)
 *   use_bias          1; 0 leaves it out (a fault)
 *   shift             rows read too late (a fault), 0
 */
#include <stdlib.h>

#include "ops/product.h"
#include "ops/support.h"

struct conv {
    int64_t rows, channels, outputs, taps, stride, padding, rows_out;
    bool channels_first;
};

static int read_shapes(const struct tt_op_call *call, struct conv *c, struct tt_error *error)
{
    const struct tt_value *weight = call->weight[0];
    if (tt_op_expect_inputs(call, "conv1d", 1, error))
        return -1;
    const struct tt_value *x = call->in[0];
    c->channels_first = tt_op_number(call, "channels_first", 0) != 0;
    if (x->rank != 2 || !weight || weight->rank != 3 || weight->shape[1] != x->shape[c->channels_first ? 0 : 1])
        return tt_fail(error, TT_EINPUT, "conv1d: needs x [rows, channels] and a weight [outputs, channels, taps]");
    c->rows = x->shape[c->channels_first ? 1 : 0], c->channels = weight->shape[1];
    c->outputs = weight->shape[0], c->taps = weight->shape[2];
    c->stride = (int64_t)tt_op_number(call, "stride", 1), c->padding = (int64_t)tt_op_number(call, "padding", 0);
    if (c->stride < 1 || c->padding < 0 || c->padding > c->taps || c->rows + 2 * c->padding < c->taps)
        return tt_fail(error, TT_EINPUT, "conv1d: %lld taps, stride %lld and padding %lld do not fit %lld rows",
                       (long long)c->taps, (long long)c->stride, (long long)c->padding, (long long)c->rows);
    if (call->weight[1] && tt_value_count(call->weight[1]) != c->outputs)
        return tt_fail(error, TT_EINPUT, "conv1d: bias of %lld for %lld outputs", (long long)tt_value_count(call->weight[1]),
                       (long long)c->outputs);
    c->rows_out = (c->rows + 2 * c->padding - c->taps) / c->stride + 1;
    return 0;
}

static int64_t index_of(const struct conv *c, int64_t row, int64_t channel)
{
    return c->channels_first ? channel * c->rows + row : row * c->channels + channel;
}

/* [rows out, channels, taps] of the values or of what each contributes to the variance of y per w². */
static double *unroll(const struct tt_op_call *call, const struct conv *c, bool errors)
{
    const struct tt_value *x = call->in[0];
    double per_term = tt_sum_term_variance(call, c->channels * c->taps);
    int64_t shift = (int64_t)tt_op_number(call, "shift", 0);
    double *rows = tt_alloc_array((size_t)(c->rows_out * c->channels * c->taps), sizeof *rows), *to = rows;
    for (int64_t r = 0; r < c->rows_out; r++) {
        for (int64_t i = 0; i < c->channels * c->taps; i++, to++) {
            int64_t from = r * c->stride + i % c->taps - c->padding + shift;
            if (from < 0 || from >= c->rows)
                continue;
            int64_t at = index_of(c, from, i / c->taps);
            *to = errors ? per_term * x->v[at] * x->v[at] + tt_input_variance(x, at) : x->v[at];
        }
    }
    return rows;
}

static double *prepare_weight(const struct tt_op_call *call, const struct conv *c, bool square)
{
    int64_t count = c->outputs * c->channels * c->taps;
    bool reverse = tt_op_number(call, "reverse", 0) != 0;
    double *weight = tt_alloc_array((size_t)count, sizeof *weight);
    for (int64_t i = 0; i < count; i++) {
        double w = call->weight[0]->v[reverse ? i / c->taps * c->taps + c->taps - 1 - i % c->taps : i];
        weight[i] = square ? w * w : w;
    }
    return weight;
}

static void multiply(const struct tt_op_call *call, const struct conv *c, bool errors, double *out)
{
    double *rows = unroll(call, c, errors), *weight = prepare_weight(call, c, errors);
    int64_t depth = c->channels * c->taps;
    struct tt_matrices p = {.transposed = true, .m = c->rows_out, .n = c->outputs, .k = depth, .a = rows, .lda = depth,
                            .b = weight, .ldb = depth, .c = out, .ldc = c->outputs};
    if (errors)
        tt_op_product_f64(&p, false);
    else
        tt_op_product(call, &p);
    free(rows);
    free(weight);
}

static void finish(const struct tt_op_call *call, const struct conv *c, struct tt_value *out)
{
    double drift = tt_sum_drift_variance(call, c->channels * c->taps);
    for (int64_t i = 0, count = tt_value_count(out); i < count; i++)
        out->var[i] += drift * out->v[i] * out->v[i] + tt_inner_variance(&call->numerics, out->v[i]);
    tt_finish_sums(call, out);
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    struct conv c;
    if (read_shapes(call, &c, error))
        return -1;
    const double *bias = call->weight[1] && tt_op_number(call, "use_bias", 1) != 0 ? call->weight[1]->v : NULL;
    *out = tt_value_new(2, (int64_t[]){c.rows_out, c.outputs});
    multiply(call, &c, false, out->v);
    for (int64_t i = 0; bias && i < c.rows_out * c.outputs; i++)
        out->v[i] += bias[i % c.outputs];
    if (call->value_only)
        return 0;
    multiply(call, &c, true, tt_value_need_var(out));
    finish(call, &c, out);
    return 0;
}

static const struct tt_variant variants[] = {
    {"linear.permuted_rows", "reverse=1", NULL},
    {"linear.bias_missing", "use_bias=0", "has_bias"},
    {"flow.wrong_operand", "shift=1", NULL},
    {"flow.wrong_operand", "shift=-1", NULL},
    {0},
};

const struct tt_op tt_op_conv1d = {
    .name = "conv1d",
    .defaults = "stride=1, padding=0, channels_first=0, reverse=0, use_bias=1, shift=0",
    .weight_roles = {"weight", "bias"},
    .forward = forward,
    .variants = variants,
};
