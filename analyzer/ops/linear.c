/* SPDX-License-Identifier: Apache-2.0
 *
 * linear forward: two products per block of output rows, one for y and one for Σ w²·(error of x and of
 * summing). Blocks keep the squared weights within a few MiB, whatever the layer's size.
 */
#include "ops/linear.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/product.h"
#include "ops/quantise.h"
#include "ops/support.h"

#define BLOCK_ELEMENTS (4 << 20)
/* With few rows the weights are read once and hardly computed with: a block that stays in the second-level cache
 * between decoding and product then takes a third of the time (tests/bench/linear_bench.c). */
#define FEW_ROWS          16
#define FEW_ROWS_ELEMENTS (1 << 17)

static void read_attributes(const struct tt_op_call *call, struct tt_linear *l)
{
    l->scale = tt_op_number(call, "scale", 1);
    l->bias_scale = tt_op_number(call, "bias_scale", 1);
    l->transpose = tt_op_number(call, "transpose", 0) != 0;
    l->zero = tt_op_number(call, "zero", 0) != 0;
    l->truncate = (int64_t)tt_op_number(call, "truncate", 0);
    l->ld = (int64_t)tt_op_number(call, "ld", 0);
    l->base = (int64_t)tt_op_number(call, "base", 0);
    l->block = (int64_t)tt_op_number(call, "permute_block", 0);
    l->inner = (int64_t)tt_op_number(call, "permute_inner", 1);
    l->rotate = (int64_t)tt_op_number(call, "permute_rotate", 0);
    l->swap[0] = (int64_t)tt_op_number(call, "swap_first", 0);
    l->swap[1] = (int64_t)tt_op_number(call, "swap_second", 0);
    l->swap_count = (int64_t)tt_op_number(call, "swap_count", 0);
    l->tail_columns = (int64_t)tt_op_number(call, "tail_columns", 0);
    l->tail_rows = (int64_t)tt_op_number(call, "tail_rows", 0);
}

static int read_bias(const struct tt_op_call *call, struct tt_linear *l, struct tt_error *error)
{
    const struct tt_value *bias = call->weight[1];
    if (!bias || tt_op_number(call, "use_bias", 1) == 0)
        return 0;
    if (tt_value_count(bias) != l->outputs)
        return tt_fail(error, TT_EINPUT, "linear: bias of %lld for %lld outputs",
                       (long long)tt_value_count(bias), (long long)l->outputs);
    l->bias = bias->v;
    return 0;
}

static int check_layout(struct tt_linear *l, struct tt_error *error)
{
    if (l->block && (l->block < 0 || l->outputs % l->block || l->inner < 1 || l->block % l->inner))
        return tt_fail(error, TT_EINPUT, "linear: %lld outputs cannot be permuted in blocks of %lld by %lld",
                       (long long)l->outputs, (long long)l->block, (long long)l->inner);
    if (l->ld <= 0)
        l->ld = l->inputs;
    if (!l->weight && (l->transpose || l->base || l->ld != l->inputs || l->block || l->swap_count))
        return tt_fail(error, TT_EINPUT, "linear: a weight read in parts can only be multiplied as it is");
    if (l->truncate <= 0 || l->truncate > l->inputs)
        l->truncate = l->inputs;
    l->plain = !l->transpose && !l->zero && l->truncate == l->inputs && l->ld == l->inputs && !l->base &&
               !l->block && !l->swap_count;
    return 0;
}

int tt_linear_read(const struct tt_op_call *call, struct tt_linear *l, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "linear", 1, error))
        return -1;
    const struct tt_value *weight = call->weight[0];
    *l = (struct tt_linear){.call = call, .x = call->in[0]};
    if (!weight || weight->rank != 2)
        return tt_fail(error, TT_EINPUT, "linear: needs a weight [outputs, inputs]");
    l->rows = tt_value_length0(l->x), l->inputs = weight->shape[1], l->outputs = weight->shape[0];
    if (tt_value_stride0(l->x) != l->inputs)
        return tt_fail(error, TT_EINPUT, "linear: rows of %lld for a weight [%lld, %lld]",
                       (long long)tt_value_stride0(l->x), (long long)l->outputs, (long long)l->inputs);
    l->weight = weight->v, l->weight_var = weight->var;
    read_attributes(call, l);
    return read_bias(call, l, error) || check_layout(l, error) ? -1 : 0;
}

int64_t tt_linear_source_row(const struct tt_linear *l, int64_t n)
{
    for (int side = 0; side < 2; side++) {
        int64_t within = n - l->swap[side];
        if (within >= 0 && within < l->swap_count)
            return l->swap[!side] + within;
    }
    if (!l->block)
        return n;
    int64_t block = n / l->block, within = n % l->block, outer = l->block / l->inner;
    int64_t i = within / outer, j = within % outer;
    int64_t source = (j * l->inner + i + l->rotate) % l->block;
    return block * l->block + (source < 0 ? source + l->block : source);
}

static void copy_row(const struct tt_linear *l, const double *from, int64_t n, double *row)
{
    int64_t total = l->inputs * l->outputs, source = tt_linear_source_row(l, n);
    for (int64_t k = 0; k < l->inputs; k++) {
        int64_t at = l->transpose ? k * l->outputs + source : l->base + source * l->ld + k;
        bool there = k < l->truncate && at >= 0 && at < total && !l->zero;
        row[k] = there ? from[at] : 0;
    }
}

void tt_linear_rows(const struct tt_linear *l, const double *from, int64_t first, int64_t count,
                    double *block)
{
    for (int64_t n = 0; n < count; n++)
        copy_row(l, from, first + n, block + n * l->inputs);
}

/* What each x_k contributes to the variance of y per w_k²: its own error and one step of the sum. */
static double *input_errors(const struct tt_linear *l)
{
    int64_t count = l->rows * l->inputs, width = tt_value_width(l->x);
    double per_term = tt_sum_term_variance(l->call, l->inputs);
    bool common = width == l->inputs; /* the row's factor then goes on to y's row as it is */
    double *error = tt_alloc_array((size_t)count, sizeof *error);
    for (int64_t i = 0; i < count; i++) {
        double x2 = l->x->v[i] * l->x->v[i];
        error[i] = per_term * x2 + (l->x->var ? l->x->var[i] : 0);
        error[i] += l->x->row_var && !common ? l->x->row_var[i / width] * x2 : 0;
    }
    return error;
}

struct scratch {
    double *weight, *square, *input_error,
        *input_square; /* [block, K], [block, K], [rows, K], [rows, K] or NULL */
    int64_t block;     /* output rows at a time */
};

static void multiply(const struct tt_linear *l, const double *x, const double *weight, int64_t columns,
                     bool adds, double *y)
{
    tt_op_product_f64(&(struct tt_matrices){.transposed = true, .m = l->rows, .n = columns, .k = l->inputs, .a = x,
                                            .lda = l->inputs, .b = weight, .ldb = l->inputs, .c = y, .ldc = l->outputs},
                      adds);
}

/* Weights of output rows from `first` on, as the attributes want them; NULL: a stream failed. */
static const double *block_of(const struct tt_linear *l, const struct scratch *s, int64_t first, int64_t columns,
                              struct tt_error *error)
{
    if (l->plain)
        return tt_op_weight_rows(l->call, 0, (uint64_t)(first * l->inputs), (uint64_t)(columns * l->inputs), s->weight, error);
    tt_linear_rows(l, l->weight, first, columns, s->weight);
    return s->weight;
}

static int multiply_block(const struct tt_linear *l, const struct scratch *s, int64_t first, int64_t columns,
                          struct tt_value *out, struct tt_error *error)
{
    const double *weight = block_of(l, s, first, columns, error);
    if (!weight)
        return -1;
    tt_op_product(l->call, &(struct tt_matrices){.transposed = true, .m = l->rows, .n = columns, .k = l->inputs, .a = l->x->v,
                                                 .lda = l->inputs, .b = weight, .ldb = l->inputs, .c = out->v + first,
                                                 .ldc = l->outputs});
    if (l->call->value_only)
        return 0;
    for (int64_t i = 0; i < columns * l->inputs; i++)
        s->square[i] = weight[i] * weight[i];
    multiply(l, s->input_error, s->square, columns, false, out->var + first);
    if (s->input_square) {
        tt_linear_rows(l, l->weight_var, first, columns, s->square);
        multiply(l, s->input_square, s->square, columns, true, out->var + first);
    }
    return 0;
}

static void open_scratch(const struct tt_linear *l, struct scratch *s)
{
    int64_t elements = l->rows < FEW_ROWS ? FEW_ROWS_ELEMENTS : BLOCK_ELEMENTS;
    s->block = l->inputs ? elements / l->inputs : l->outputs;
    s->block = s->block < 1 ? 1 : s->block > l->outputs ? l->outputs : s->block;
    size_t size = (size_t)(s->block * l->inputs);
    s->weight = l->plain && l->weight ? NULL : tt_alloc_array(size, sizeof(double));
    if (l->call->value_only)
        return;
    s->square = tt_alloc_array(size, sizeof(double));
    s->input_error = input_errors(l);
    if (!l->weight_var)
        return;
    s->input_square = tt_alloc_array((size_t)(l->rows * l->inputs), sizeof(double));
    for (int64_t i = 0; i < l->rows * l->inputs; i++)
        s->input_square[i] = l->x->v[i] * l->x->v[i];
}

static void close_scratch(struct scratch *s)
{
    free(s->weight);
    free(s->square);
    free(s->input_error);
    free(s->input_square);
}

static bool left_out(const struct tt_linear *l, int64_t row, int64_t column)
{
    return column >= l->outputs - l->tail_columns || row >= l->rows - l->tail_rows;
}

/* Scale, bias and what a sum with a trend loses beyond a random walk. */
static void finish_elements(const struct tt_linear *l, struct tt_value *out)
{
    const struct tt_numerics *numerics = &l->call->numerics;
    double drift = tt_sum_drift_variance(l->call, l->inputs);
    for (int64_t i = 0; i < l->rows * l->outputs; i++) {
        int64_t row = i / l->outputs, column = i % l->outputs;
        double product = l->scale * out->v[i], bias = l->bias ? l->bias_scale * l->bias[column] : 0;
        out->v[i] = left_out(l, row, column) ? 0 : product + bias;
        if (!out->var)
            continue;
        out->var[i] = l->scale * l->scale * out->var[i] + drift * product * product +
                      (bias != 0 ? tt_inner_variance(numerics, out->v[i]) : 0);
        if (left_out(l, row, column))
            out->var[i] = 0;
    }
}

static void carry_row_factor(const struct tt_linear *l, struct tt_value *out)
{
    if (!l->x->row_var || tt_value_width(l->x) != l->inputs)
        return;
    int64_t parts = tt_value_rows(out) / (l->rows ? l->rows : 1);
    for (int64_t r = 0; r < l->rows * parts; r++)
        tt_value_need_row_var(out)[r] = l->x->row_var[r / parts];
}

static int shape_output(const struct tt_linear *l, struct tt_value *out, struct tt_error *error)
{
    const struct tt_op_call *call = l->call;
    int64_t shape[3] = {l->rows, l->outputs, 0};
    int rank = call->split_rank ? 1 + call->split_rank : 2;
    for (int i = 1; call->split_rank && i < rank; i++)
        shape[i] = call->split[i - 1];
    int64_t product = rank == 3 ? shape[1] * shape[2] : shape[1];
    if (rank > 3 || product != l->outputs)
        return tt_fail(error, TT_EINPUT, "linear: %lld outputs do not split into %lld x %lld",
                       (long long)l->outputs, (long long)call->split[0], (long long)call->split[1]);
    *out = tt_value_new(rank, shape);
    if (!call->value_only)
        tt_value_need_var(out);
    return 0;
}

static int multiply_plain(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    struct tt_linear l;
    struct scratch s = {0};
    if (tt_linear_read(call, &l, error) || shape_output(&l, out, error))
        return -1;
    int failed = 0;
    open_scratch(&l, &s);
    for (int64_t first = 0; l.rows && first < l.outputs && !failed; first += s.block) {
        int64_t left = l.outputs - first;
        failed = multiply_block(&l, &s, first, left < s.block ? left : s.block, out, error);
    }
    close_scratch(&s);
    if (failed)
        return -1;
    finish_elements(&l, out);
    if (call->value_only)
        return 0;
    carry_row_factor(&l, out);
    tt_finish_sums(call, out);
    return 0;
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    return tt_quantised_forward(call, multiply_plain, out, error);
}

static const struct tt_variant variants[] = {
    {"linear.transposed", "transpose=1", "transpose==0"},
    {"linear.transposed", "transpose=0", "transpose==1"},
    {"linear.bias_missing", "use_bias=0", "use_bias==1 && has_bias"},
    {"linear.bias_extra", "bias_scale=2", "has_bias"},
    {"linear.zero_weight", "zero=1", NULL},
    {0},
};

const struct tt_op tt_op_linear = {
    .name = "linear",
    .defaults =
        "activations='plain', transpose=0, use_bias=1, bias_scale=1, scale=1, zero=0, truncate=0, ld=0, base=0, permute_block=0, "
        "permute_inner=1, permute_rotate=0, swap_first=0, swap_second=0, swap_count=0, tail_columns=0, "
        "tail_rows=0",
    .weight_roles = {"weight", "bias"},
    .streams = 1,
    .rowwise = true,
    .forward = forward,
    .variants = variants,
    .benign = tt_activation_formats,
    .recover = tt_linear_recover,
};
