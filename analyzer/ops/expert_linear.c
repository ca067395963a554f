/* SPDX-License-Identifier: Apache-2.0
 *
 * expert_linear: the linear layer of each chosen expert. x [T, in] or [T, k, in], topk [T, k] -> [T, k, out],
 * y[t, j] = W[topk[t, j]]·x[t (, j)] + b[topk[t, j]].
 *   weight [E, out, in], bias [E, out] or none
 *   use_bias      1; 0 leaves it out (fault)
 *   bias_scale    1
 *   scale         multiplier of the product (1)
 *   transpose     1: the bytes of each expert are read as [in, out] (fault)
 *   zero          1: the weights count as zeros (fault)
 *   expert_shift  added to each expert's number, modulo E (fault)
 *   expert_stuck  -1, or the place in topk whose expert serves all places of the token (fault)
 *
 * The weight may come as a stream: only experts that a token chose are read, one at a time, and one product serves all
 * tokens of an expert.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/experts.h"
#include "ops/product.h"
#include "ops/quantise.h"
#include "ops/support.h"

struct layer {
    const struct tt_op_call *call;
    const struct tt_value *x, *topk;
    int64_t tokens, k, experts, outputs, inputs;
    bool per_place; /* x is [T, k, in] */
    bool transpose, zero;
    double scale, bias_scale;
    const double *bias; /* [E, out] or NULL */
    int64_t shift, stuck;
    /* of one expert */
    int64_t *rows, nrows;              /* which rows of the result are its */
    double *read, *weight, *square;    /* [out, in] buffers: as read, transposed, squared */
    double *in, *in_error, *in_square; /* [nrows, in] its rows of x, their error as linear has it, x²; NULL: not needed */
    double *product;                   /* [nrows, out] */
};

/* ---- the call ---- */

static int read_operands(const struct tt_op_call *call, struct layer *l, struct tt_error *error)
{
    const struct tt_value *weight = call->weight[0], *x = call->in[0], *topk = call->in[1];
    if (!weight || weight->rank != 3)
        return tt_fail(error, TT_EINPUT, "expert_linear: needs a weight [experts, outputs, inputs]");
    l->x = x, l->topk = topk;
    l->experts = weight->shape[0], l->outputs = weight->shape[1], l->inputs = weight->shape[2];
    if (topk->rank != 2 || (x->rank != 2 && x->rank != 3) || x->shape[0] != topk->shape[0])
        return tt_fail(error, TT_EINPUT,
                       "expert_linear: needs x [tokens, inputs] or [tokens, k, inputs] and topk [tokens, k]");
    l->tokens = topk->shape[0], l->k = topk->shape[1], l->per_place = x->rank == 3;
    if (tt_value_width(x) != l->inputs || (l->per_place && x->shape[1] != l->k))
        return tt_fail(error, TT_EINPUT, "expert_linear: rows of %lld for a weight [%lld, %lld, %lld]",
                       (long long)tt_value_width(x), (long long)l->experts, (long long)l->outputs,
                       (long long)l->inputs);
    return 0;
}

static int read_bias(const struct tt_op_call *call, struct layer *l, struct tt_error *error)
{
    if (!call->weight[1] || tt_op_number(call, "use_bias", 1) == 0)
        return 0;
    if (tt_value_count(call->weight[1]) != l->experts * l->outputs)
        return tt_fail(error, TT_EINPUT, "expert_linear: bias of %lld for %lld experts of %lld outputs",
                       (long long)tt_value_count(call->weight[1]), (long long)l->experts, (long long)l->outputs);
    l->bias = call->weight[1]->v;
    return 0;
}

static int read_call(const struct tt_op_call *call, struct layer *l, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "expert_linear", 2, error))
        return -1;
    *l = (struct layer){.call = call};
    l->transpose = tt_op_number(call, "transpose", 0) != 0;
    l->zero = tt_op_number(call, "zero", 0) != 0;
    l->scale = tt_op_number(call, "scale", 1);
    l->bias_scale = tt_op_number(call, "bias_scale", 1);
    l->shift = (int64_t)tt_op_number(call, "expert_shift", 0);
    l->stuck = (int64_t)tt_op_number(call, "expert_stuck", -1);
    return read_operands(call, l, error) || read_bias(call, l, error) ? -1 : 0;
}

/* The place of topk that says who serves place i of [T, k]. */
static int64_t place_of(const struct layer *l, int64_t i)
{
    return l->stuck >= 0 && l->stuck < l->k ? i / l->k * l->k + l->stuck : i;
}

/* Which expert serves place i; -1: none. */
static int64_t expert_of(const struct layer *l, int64_t i)
{
    int64_t e = tt_expert_index(l->topk, place_of(l, i), l->experts);
    return e < 0 ? -1 : ((e + l->shift) % l->experts + l->experts) % l->experts;
}

/* Most rows that one expert has. */
static int64_t most_rows(const struct layer *l)
{
    int64_t *rows = tt_alloc_array((size_t)l->experts, sizeof *rows), most = 0;
    for (int64_t i = 0; i < l->tokens * l->k; i++) {
        int64_t e = expert_of(l, i);
        if (e >= 0 && ++rows[e] > most)
            most = rows[e];
    }
    free(rows);
    return most;
}

static void open_layer(struct layer *l)
{
    size_t places = (size_t)most_rows(l), elements = (size_t)(l->outputs * l->inputs);
    bool exact = l->call->value_only;
    l->rows = tt_alloc_array(places, sizeof *l->rows);
    l->read = l->call->weight[0]->v ? NULL : tt_alloc_array(elements, sizeof(double));
    l->weight = l->transpose || l->zero ? tt_alloc_array(elements, sizeof(double)) : NULL;
    l->in = tt_alloc_array(places * (size_t)l->inputs, sizeof(double));
    l->product = tt_alloc_array(places * (size_t)l->outputs, sizeof(double));
    if (exact)
        return;
    l->square = tt_alloc_array(elements, sizeof(double));
    l->in_error = tt_alloc_array(places * (size_t)l->inputs, sizeof(double));
    if (l->call->weight[0]->var)
        l->in_square = tt_alloc_array(places * (size_t)l->inputs, sizeof(double));
}

static void close_layer(struct layer *l)
{
    free(l->rows);
    free(l->read);
    free(l->weight);
    free(l->square);
    free(l->in);
    free(l->in_error);
    free(l->in_square);
    free(l->product);
}

/* ---- one expert ---- */

static int64_t input_row(const struct layer *l, int64_t place)
{
    return l->per_place ? place : place / l->k;
}

static void gather_row(struct layer *l, int64_t n, int64_t row)
{
    double per_term = tt_sum_term_variance(l->call, l->inputs);
    for (int64_t i = 0; i < l->inputs; i++) {
        double x = l->x->v[row * l->inputs + i];
        l->in[n * l->inputs + i] = x;
        if (l->in_error)
            l->in_error[n * l->inputs + i] = per_term * x * x + (l->x->var ? l->x->var[row * l->inputs + i] : 0);
        if (l->in_square)
            l->in_square[n * l->inputs + i] = x * x;
    }
}

static void gather(struct layer *l, int64_t expert)
{
    l->nrows = 0;
    for (int64_t i = 0; i < l->tokens * l->k; i++) {
        if (expert_of(l, i) != expert)
            continue;
        gather_row(l, l->nrows, input_row(l, i));
        l->rows[l->nrows++] = i;
    }
}

/* The expert's weight [out, in] as the op reads it. */
static const double *arrange(const struct layer *l, const double *from, double *buffer)
{
    if (!l->transpose && !l->zero)
        return from;
    for (int64_t n = 0; n < l->outputs; n++) {
        for (int64_t i = 0; i < l->inputs; i++)
            buffer[n * l->inputs + i] = l->zero ? 0 : from[i * l->outputs + n];
    }
    return buffer;
}

/* The gathered rows `x` times the weight. */
static struct tt_matrices matrices(const struct layer *l, const double *x, const double *weight)
{
    return (struct tt_matrices){.transposed = true, .m = l->nrows, .n = l->outputs, .k = l->inputs, .a = x,
                                .lda = l->inputs, .b = weight, .ldb = l->inputs, .c = l->product, .ldc = l->outputs};
}

static void multiply(const struct layer *l, const double *x, const double *weight, bool adds)
{
    struct tt_matrices p = matrices(l, x, weight);
    tt_op_product_f64(&p, adds);
}

static void scatter(const struct layer *l, double *to)
{
    for (int64_t n = 0; n < l->nrows; n++)
        memcpy(to + l->rows[n] * l->outputs, l->product + n * l->outputs, (size_t)l->outputs * sizeof *to);
}

static void multiply_errors(struct layer *l, const double *weight, int64_t expert, struct tt_value *out)
{
    int64_t elements = l->outputs * l->inputs;
    for (int64_t i = 0; i < elements; i++)
        l->square[i] = weight[i] * weight[i];
    multiply(l, l->in_error, l->square, false);
    if (l->in_square)
        multiply(l, l->in_square, arrange(l, l->call->weight[0]->var + expert * elements, l->square), true);
    scatter(l, out->var);
}

static int run_expert(struct layer *l, int64_t expert, struct tt_value *out, struct tt_error *error)
{
    int64_t elements = l->outputs * l->inputs;
    gather(l, expert);
    if (!l->nrows)
        return 0;
    const double *weight = tt_op_weight_rows(l->call, 0, (uint64_t)(expert * elements), (uint64_t)elements,
                                             l->read, error);
    if (!weight)
        return -1;
    weight = arrange(l, weight, l->weight);
    struct tt_matrices p = matrices(l, l->in, weight);
    tt_op_product(l->call, &p);
    scatter(l, out->v);
    if (out->var)
        multiply_errors(l, weight, expert, out);
    return 0;
}

/* ---- the whole ---- */

static void finish_place(const struct layer *l, int64_t place, struct tt_value *out)
{
    const struct tt_numerics *numerics = &l->call->numerics;
    double drift = tt_sum_drift_variance(l->call, l->inputs);
    int64_t expert = expert_of(l, place);
    for (int64_t n = 0; n < l->outputs; n++) {
        int64_t i = place * l->outputs + n;
        double product = l->scale * out->v[i];
        double bias = l->bias && expert >= 0 ? l->bias_scale * l->bias[expert * l->outputs + n] : 0;
        out->v[i] = product + bias;
        if (out->var)
            out->var[i] = l->scale * l->scale * out->var[i] + drift * product * product +
                          (bias != 0 ? tt_inner_variance(numerics, out->v[i]) : 0);
    }
    if (out->var && l->x->row_var)
        tt_value_need_row_var(out)[place] = l->x->row_var[input_row(l, place)];
}

static void forget_unknown_places(const struct layer *l, struct tt_value *out)
{
    for (int64_t i = 0; i < l->tokens * l->k; i++) {
        bool open = tt_expert_open(l->topk, place_of(l, i), l->experts);
        for (int64_t n = 0; open && n < l->outputs; n++)
            out->var[i * l->outputs + n] = TT_UNKNOWN_VARIANCE;
    }
}

static void finish(const struct layer *l, struct tt_value *out)
{
    for (int64_t i = 0; i < l->tokens * l->k; i++)
        finish_place(l, i, out);
    if (l->call->value_only)
        return;
    tt_finish_sums(l->call, out);
    forget_unknown_places(l, out);
}

static int multiply_plain(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    struct layer l;
    int status = 0;
    if (read_call(call, &l, error))
        return -1;
    *out = tt_value_new(3, (int64_t[]){l.tokens, l.k, l.outputs});
    if (!call->value_only)
        tt_value_need_var(out);
    open_layer(&l);
    for (int64_t e = 0; e < l.experts && !status; e++)
        status = run_expert(&l, e, out, error);
    if (!status)
        finish(&l, out);
    close_layer(&l);
    return status;
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    return tt_quantised_forward(call, multiply_plain, out, error);
}

static const struct tt_variant variants[] = {
    {"moe.expert_order", "expert_shift=1", NULL},
    {"moe.expert_order", "expert_shift=-1", NULL},
    {"moe.expert_order", "expert_stuck=0", NULL},
    {"linear.transposed", "transpose=1", "transpose==0"},
    {"linear.bias_missing", "use_bias=0", "has_bias"},
    {"linear.bias_extra", "bias_scale=2", "has_bias"},
    {"linear.zero_weight", "zero=1", NULL},
    {0},
};

const struct tt_op tt_op_expert_linear = {
    .name = "expert_linear",
    .defaults = "activations='plain', use_bias=1, bias_scale=1, scale=1, transpose=0, zero=0, expert_shift=0, expert_stuck=-1",
    .weight_roles = {"weight", "bias"},
    .streams = 1,
    .rowwise = true,
    .forward = forward,
    .variants = variants,
    .benign = tt_activation_formats,
};
