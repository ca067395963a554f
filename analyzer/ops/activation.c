/* SPDX-License-Identifier: Apache-2.0
 *
 * activation: y = fn(x) element by element.
 *   fn          silu | gelu (erf) | gelu_tanh | gelu_quick | relu | relu2 | tanh | sigmoid | identity
 *   twice       1: applied a second time (a fault)
 *   table_unit  unit round-off of a lookup table's argument and value, 0: computed
 */
#include "ops/activation.h"

#include <math.h>
#include <string.h>

#include "ops/support.h"

static const double inverse_sqrt2 = 0.70710678118654752440;
static const double sqrt_2_over_pi = 0.79788456080286535588;

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double sigmoid_slope(double x)
{
    double s = sigmoid(x);
    return s * (1 - s);
}

/* exp's own error grows with its argument in implementations by range reduction; it reaches y through 1 - s.
 */
static double sigmoid_rounding(double x)
{
    double s = sigmoid(x), exponential = (0.6 + 0.3 * fabs(x)) * s * (1 - s);
    return 0.5 * s * s + exponential * exponential;
}

static double silu(double x)
{
    return x < -700 ? 0 : x * sigmoid(x);
}

static double silu_slope(double x)
{
    double s = sigmoid(x);
    return s + x * s * (1 - s);
}

static double silu_rounding(double x)
{
    return x * x * sigmoid_rounding(x) + 0.2 * silu(x) * silu(x);
}

static double gelu(double x)
{
    return 0.5 * x * erfc(-x * inverse_sqrt2);
}

static double gelu_slope(double x)
{
    return 0.5 * erfc(-x * inverse_sqrt2) + x * 0.5 * sqrt_2_over_pi * exp(-0.5 * x * x);
}

/* 1 + erf cancels for negative x: the error is relative to x, not to y. */
static double gelu_rounding(double x)
{
    return x < 8 ? 0.5 * x * x : 0.5 * gelu(x) * gelu(x);
}

static double tanh_argument(double x)
{
    return sqrt_2_over_pi * (x + 0.044715 * x * x * x);
}

static double gelu_tanh(double x)
{
    return x * sigmoid(2 * tanh_argument(x)); /* 0.5·(1 + tanh a) = sigmoid(2a), without the cancellation */
}

static double gelu_tanh_slope(double x)
{
    double s = sigmoid(2 * tanh_argument(x));
    return s + x * s * (1 - s) * 2 * sqrt_2_over_pi * (1 + 3 * 0.044715 * x * x);
}

static double gelu_quick(double x)
{
    return x * sigmoid(1.702 * x);
}

static double gelu_quick_slope(double x)
{
    double s = sigmoid(1.702 * x);
    return s + 1.702 * x * s * (1 - s);
}

static double gelu_quick_rounding(double x)
{
    return x * x * sigmoid_rounding(1.702 * x) + 0.2 * gelu_quick(x) * gelu_quick(x);
}

static double relu(double x)
{
    return x > 0 || isnan(x) ? x : 0;
}

static double relu_slope(double x)
{
    return x > 0;
}

static double relu2(double x)
{
    return relu(x) * relu(x);
}

static double relu2_slope(double x)
{
    return 2 * relu(x);
}

static double relu2_rounding(double x)
{
    return TT_ROUNDING_VARIANCE * relu2(x) * relu2(x);
}

static double tanh_slope(double x)
{
    return 1 - tanh(x) * tanh(x);
}

static double tanh_rounding(double x)
{
    return tanh(x) * tanh(x);
}

static double identity(double x)
{
    return x;
}

static double one(double x)
{
    return 1;
}

static double nothing(double x)
{
    return 0;
}

static const struct tt_function functions[] = {
    {"silu", silu, silu_slope, silu_rounding},
    {"gelu", gelu, gelu_slope, gelu_rounding},
    {"gelu_tanh", gelu_tanh, gelu_tanh_slope, gelu_rounding},
    {"gelu_quick", gelu_quick, gelu_quick_slope, gelu_quick_rounding},
    {"relu", relu, relu_slope, nothing},
    {"relu2", relu2, relu2_slope, relu2_rounding},
    {"tanh", tanh, tanh_slope, tanh_rounding},
    {"sigmoid", sigmoid, sigmoid_slope, sigmoid_rounding},
    {"identity", identity, one, nothing},
};

const struct tt_function *tt_function_find(const char *name, struct tt_error *error)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (!strcmp(functions[i].name, name))
            return &functions[i];
    }
    tt_fail(error, TT_EINPUT,
            "activation: unknown function '%s' (silu, gelu, gelu_tanh, gelu_quick, relu, relu2, tanh, "
            "sigmoid, identity)",
            name);
    return NULL;
}

/* y = fn(x) at one element; *variance: in: of x, out: of y before storing. */
static double apply(const struct tt_function *fn, const struct tt_op_call *call, double unit, double x,
                    double *variance)
{
    double u = call->numerics.u_acc, slope = fn->slope(x), y = fn->value(x);
    struct tt_numerics table = {unit, unit}; /* f16 tables underflow, too */
    double looked_up =
        unit > 0 ? tt_store_variance(&table, y) + slope * slope * tt_store_variance(&table, x) : 0;
    *variance = slope * slope * *variance + u * u * fn->rounding(x) + looked_up;
    return y;
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "activation", 1, error))
        return -1;
    const struct tt_function *fn = tt_function_find(tt_op_string(call, "fn", "silu"), error);
    if (!fn)
        return -1;
    const struct tt_value *x = call->in[0];
    int times = tt_op_number(call, "twice", 0) != 0 ? 2 : 1;
    double unit = tt_op_number(call, "table_unit", 0);
    int64_t count = tt_value_count(x);
    *out = tt_value_like(x);
    double *var = tt_value_need_var(out);
    for (int64_t i = 0; i < count; i++) {
        out->v[i] = x->v[i];
        var[i] = tt_input_variance(x, i);
        for (int k = 0; k < times; k++)
            out->v[i] = apply(fn, call, unit, out->v[i], &var[i]);
    }
    tt_add_store_variance(call, out);
    tt_clear_nonfinite(out);
    return 0;
}

static const struct tt_variant variants[] = {
    {"mlp.activation", "fn='silu'", "fn!='silu'"},
    {"mlp.activation", "fn='gelu'", "fn!='gelu'"},
    {"mlp.activation", "fn='gelu_tanh'", "fn!='gelu_tanh'"},
    {"mlp.activation", "fn='gelu_quick'", "fn!='gelu_quick'"},
    {"mlp.activation", "fn='relu'", "fn!='relu'"},
    {"mlp.activation", "fn='relu2'", "fn!='relu2'"},
    {"mlp.activation", "fn='tanh'", "fn!='tanh'"},
    {"mlp.activation", "fn='sigmoid'", "fn!='sigmoid'"},
    {"mlp.activation", "fn='identity'", "fn!='identity'"},
    {"mlp.double_activation", "twice=1", "fn!='relu' && fn!='identity'"},
    {0},
};

static const struct tt_variant benign[] = {
    {"f16 activation table", "table_unit=0.00048828125", NULL},
    {"bf16 activation arithmetic", "table_unit=0.00390625", NULL},
    {0},
};

const struct tt_op tt_op_activation = {
    .name = "activation",
    .defaults = "fn='silu', twice=0, table_unit=0",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
    .benign = benign,
};
