/* SPDX-License-Identifier: Apache-2.0
 *
 * Scales are computed in f32, as engines do; a number that lies nearer to the middle of two integers than f32 can tell may
 * have become either.
 */
#include "ops/quantise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/support.h"

#define TIE      0x1p-21 /* relative distance from a middle that f32 arithmetic does not resolve */
#define SUM_UNIT 0x1p-11 /* round-off of a block's sum kept in f16 */
#define SUM_BLOCK 32

enum scale { SCALE_F16, SCALE_F32, SCALE_SIGNED };

struct format {
    const char *name;
    int64_t block;    /* elements, 0: a row; of floats -1 */
    enum scale scale;
    int bits;         /* significant ones, of floats */
    bool weight_too;  /* the weight is rounded likewise */
};

static const struct format formats[] = {
    {"q8_0", 32, SCALE_F16, 0, false},  {"q8_1", 32, SCALE_F16, 0, false}, {"q8_k", 256, SCALE_SIGNED, 0, false},
    {"int8", 0, SCALE_F32, 0, false},   {"f16", -1, SCALE_F16, 11, false}, {"bf16", -1, SCALE_F32, 8, false},
    {"tf32", -1, SCALE_F32, 11, true},
};

static double to_f16(double x)
{
    return fabs(x) < 0x1p-14 ? nearbyint(x * 0x1p24) * 0x1p-24 : tt_round_bits(x, 11);
}

/* The number of largest magnitude, with its sign. */
static float largest(const double *x, int64_t n)
{
    float found = 0;
    for (int64_t i = 0; i < n; i++)
        if (fabsf((float)x[i]) > fabsf(found))
            found = (float)x[i];
    return found;
}

/* SCALE_SIGNED divides by the largest number itself, so that it becomes -127. */
static void quantise_block(const struct format *f, const double *x, int64_t n, double *out, double *var)
{
    float most = largest(x, n);
    float inverse = most == 0 ? 0 : f->scale == SCALE_SIGNED ? -127.0f / most : 127.0f / fabsf(most);
    double step = inverse == 0 ? 0 : f->scale == SCALE_SIGNED ? (double)(1.0f / inverse) : (double)(fabsf(most) / 127.0f);
    step = f->scale == SCALE_F16 ? to_f16(step) : step;
    for (int64_t i = 0; i < n; i++) {
        float scaled = inverse * (float)x[i];
        double whole = fmin(nearbyint((double)scaled), 127), middle = fabs(fabs((double)scaled - floor((double)scaled)) - 0.5);
        out[i] = step * whole;
        if (middle < TIE * fabs((double)scaled))
            var[i] += step * step;
    }
}

static const struct format *find(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

static int quantise(const struct tt_value *x, int64_t width, const char *name, struct tt_value *out, struct tt_error *error)
{
    const struct format *f = find(name);
    int64_t count = tt_value_count(x), block = f && f->block > 0 ? f->block : width;
    if (!f)
        return tt_fail(error, TT_EINPUT, "unknown format '%s' of activations", name);
    if (width < 1 || block < 1 || width % block || count % width)
        return tt_fail(error, TT_EINPUT, "rows of %lld are no whole blocks of %lld", (long long)width, (long long)block);
    *out = tt_value_copy(x);
    double *var = tt_value_need_var(out);
    for (int64_t i = 0; f->block >= 0 && i < count; i += block)
        quantise_block(f, x->v + i, block, out->v + i, var + i);
    for (int64_t i = 0; f->block < 0 && i < count; i++) {
        out->v[i] = f->scale == SCALE_F16 ? to_f16(x->v[i]) : tt_round_bits(x->v[i], f->bits);
        var[i] += f->weight_too ? TT_ROUNDING_VARIANCE * SUM_UNIT * SUM_UNIT * x->v[i] * x->v[i] : 0;
    }
    return 0;
}

/* A weight block with a minimum m is d·q + m: the sum of its activations, rounded, meets m. x [rows, k], weight [n, k]. */
static void add_sum_errors(const struct tt_value *x, const double *weight, int64_t n, int64_t k, double *var)
{
    int64_t rows = tt_value_count(x) / k;
    double *sums = tt_alloc_array((size_t)rows + 1, sizeof *sums);
    for (int64_t at = 0; at + SUM_BLOCK <= k; at += SUM_BLOCK) {
        for (int64_t t = 0; t < rows; t++) {
            sums[t] = 0;
            for (int64_t i = 0; i < SUM_BLOCK; i++)
                sums[t] += x->v[t * k + at + i];
        }
        for (int64_t o = 0; o < n; o++) {
            double least = INFINITY;
            for (int64_t i = 0; i < SUM_BLOCK; i++)
                least = fmin(least, weight[o * k + at + i]);
            for (int64_t t = 0; t < rows; t++)
                var[t * n + o] += TT_ROUNDING_VARIANCE * SUM_UNIT * SUM_UNIT * sums[t] * sums[t] * least * least;
        }
    }
    free(sums);
}

int tt_quantised_forward(const struct tt_op_call *call,
                         int (*multiply)(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error),
                         struct tt_value *out, struct tt_error *error)
{
    const char *format = tt_op_string(call, "activations", "plain");
    const struct tt_value *weight = call->weight[0];
    if (strcmp(format, "plain") == 0 || !weight || !weight->rank || !call->nin)
        return multiply(call, out, error);
    struct tt_op_call rounded = *call;
    struct tt_value x;
    if (quantise(call->in[0], tt_value_width(weight), format, &x, error))
        return -1;
    rounded.in[0] = &x;
    int failed = multiply(&rounded, out, error);
    if (!failed && out->var && weight->v && weight->rank == 2 && strcmp(format, "q8_1") == 0)
        add_sum_errors(call->in[0], weight->v, weight->shape[0], weight->shape[1], out->var);
    tt_value_free(&x);
    return failed;
}

const struct tt_variant tt_activation_formats[] = {
    {"activations in q8_0", "activations='q8_0'", NULL}, {"activations in q8_k", "activations='q8_k'", NULL},
    {"activations in q8_1", "activations='q8_1'", NULL}, {"activations in f16", "activations='f16'", NULL},
    {"activations in bf16", "activations='bf16'", NULL}, {"activations in int8", "activations='int8'", NULL},
    {"tf32", "activations='tf32'", NULL},                {0},
};
