/* SPDX-License-Identifier: Apache-2.0
 *
 * scale: y = softcap·tanh(factor·x / softcap), or factor·x with softcap 0. Attention scores and logits are
 * made of it.
 *   factor        multiplier (1)
 *   softcap       0: none
 *   cause_prefix  "attn" | "logits" | "embed": which family a fault belongs to
 */
#include <math.h>
#include <string.h>

#include "ops/fit.h"
#include "ops/support.h"

/* A softcap in the storage format rounds the quotient, the tanh and the product; fused ones round less. */
static double capped(const struct tt_op_call *call, double x, double cap, double *slope, double *variance)
{
    double t = tanh(x / cap), y = cap * t;
    *slope = 1 - t * t;
    double inner = fmax(call->numerics.u_store, call->numerics.u_acc);
    double through = x * *slope;
    *variance = TT_ROUNDING_VARIANCE * inner * inner * (2 * y * y + through * through);
    return y;
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "scale", 1, error))
        return -1;
    const struct tt_value *x = call->in[0];
    double factor = tt_op_number(call, "factor", 1), cap = tt_op_number(call, "softcap", 0);
    int64_t count = tt_value_count(x), rows = tt_value_rows(x);
    *out = tt_value_like(x);
    double *var = tt_value_need_var(out);
    for (int64_t i = 0; i < count; i++) {
        double slope = 1, own = 0, y = factor * x->v[i];
        double input = cap != 0 ? tt_input_variance(x, i) : x->var ? x->var[i] : 0;
        own = factor == 1 ? 0 : tt_inner_variance(&call->numerics, y);
        out->v[i] = cap != 0 ? capped(call, y, cap, &slope, &own) : y;
        var[i] = slope * slope * factor * factor * input + own;
    }
    for (int64_t r = 0; cap == 0 && x->row_var && r < rows; r++)
        tt_value_need_row_var(out)[r] = x->row_var[r];
    tt_add_store_variance(call, out);
    tt_clear_nonfinite(out);
    return 0;
}

struct cap_fit {
    const struct tt_value *x, *expected, *observed;
    double factor;
};

/* Weighted squared distance from cap·tanh(factor·x / cap). */
static double cap_distance(const struct cap_fit *fit, double cap)
{
    double sum = 0;
    int64_t count = tt_value_count(fit->x);
    for (int64_t i = 0; i < count; i++) {
        double y = fit->observed->v[i], error = y - cap * tanh(fit->factor * fit->x->v[i] / cap);
        sum += isfinite(y) && fabs(y) < 1e30 ? error * error / fit->expected->var[i] : 0;
    }
    return sum;
}

/* Golden section over log cap, from the largest value seen upwards. */
static double fit_cap(const struct cap_fit *fit)
{
    const double golden = 0.6180339887498949;
    double largest = 0;
    for (int64_t i = 0; i < tt_value_count(fit->x); i++) {
        double y = fabs(fit->observed->v[i]);
        largest = y < 1e30 ? fmax(largest, y) : largest;
    }
    double low = log(fmax(largest, 1e-30)), high = low + log(1e4), a = high - golden * (high - low);
    double b = low + golden * (high - low);
    double at_a = cap_distance(fit, exp(a)), at_b = cap_distance(fit, exp(b));
    for (int step = 0; step < 48; step++) {
        if (at_a < at_b) {
            high = b, b = a, at_b = at_a, a = high - golden * (high - low);
            at_a = cap_distance(fit, exp(a));
        } else {
            low = a, a = b, at_a = at_b, b = low + golden * (high - low);
            at_b = cap_distance(fit, exp(b));
        }
    }
    return exp((low + high) / 2);
}

/* Causes of a wrong factor and of a softcap too many, by what is scaled. */
struct causes {
    const char *prefix, *factor, *softcap;
};

static const struct causes causes[] = {
    {"attn", "attn.scale", "attn.softcap_extra"},
    {"logits", "logits.scale", "logits.softcap_extra"},
    {"embed", "embed.scale_missing", NULL},
};

static const struct causes *causes_of(const struct tt_op_call *call)
{
    const char *prefix = tt_op_string(call, "cause_prefix", "attn");
    for (size_t i = 1; i < sizeof causes / sizeof *causes; i++)
        if (!strcmp(prefix, causes[i].prefix))
            return &causes[i];
    return &causes[0];
}

static void recover_factor(struct tt_recoveries *list, const struct tt_value *expected, const char *cause)
{
    double ratio, sigma, factor = tt_op_number(list->call, "factor", 1);
    if (tt_op_number(list->call, "softcap", 0) != 0 ||
        !tt_fit_scale(list->call, expected, expected->v, list->observed->v, &ratio, &sigma))
        return;
    if (fabs(ratio - 1) > 6 * sigma) {
        double found = tt_fit_snap(ratio * factor, 6 * sigma * fabs(factor));
        tt_recovery_number(list, cause, "factor", factor, found);
    }
}

static void recover_cap(struct tt_recoveries *list, const struct tt_value *expected, const char *cause)
{
    double factor = tt_op_number(list->call, "factor", 1), cap = tt_op_number(list->call, "softcap", 0);
    struct cap_fit fit = {list->call->in[0], expected, list->observed, factor};
    double found = fit_cap(&fit);
    found = tt_fit_snap(found, 0.01 * found);
    if (found != cap)
        tt_recovery_number(list, cause, "softcap", cap, found);
}

static int recover(const struct tt_op_call *call, const struct tt_value *observed, struct tt_recovery *found,
                   int most)
{
    struct tt_recoveries list = {"scale", call, observed, found, most, 0, 0};
    struct tt_value expected = {0};
    if (forward(call, &expected, NULL) || tt_value_count(&expected) != tt_value_count(observed))
        return 0;
    const struct causes *names = causes_of(call);
    recover_factor(&list, &expected, names->factor);
    if (!list.count && names->softcap)
        recover_cap(&list, &expected, names->softcap);
    tt_value_free(&expected);
    return list.count;
}

static const struct tt_variant variants[] = {
    {"attn.scale", "factor=1", "cause_prefix=='attn' && factor!=1"},
    {"attn.scale", "factor=factor*factor", "cause_prefix=='attn' && factor!=1"},
    {"attn.scale", "factor=1/head_dim", "cause_prefix=='attn' && factor!=1/head_dim"},
    {"attn.scale", "factor=1/sqrt(head_dim)", "cause_prefix=='attn' && factor!=1/sqrt(head_dim)"},
    {"attn.scale", "factor=1/sqrt(hidden)", "cause_prefix=='attn' && factor!=1/sqrt(hidden)"},
    {"attn.softcap_missing", "softcap=0", "cause_prefix=='attn' && softcap!=0"},
    {"attn.softcap_extra", "softcap=50", "cause_prefix=='attn' && softcap==0"},
    {"attn.softcap_extra", "softcap=30", "cause_prefix=='attn' && softcap==0"},
    {"embed.scale_missing", "factor=1", "cause_prefix=='embed' && factor!=1"},
    {"embed.scale_twice", "factor=factor*factor", "cause_prefix=='embed' && factor!=1"},
    {"logits.scale", "factor=1", "cause_prefix=='logits' && factor!=1"},
    {"logits.scale", "factor=1/factor", "cause_prefix=='logits' && factor!=1"},
    {"logits.scale", "factor=factor*factor", "cause_prefix=='logits' && factor!=1"},
    {"logits.scale", "factor=factor*sqrt(hidden)", "cause_prefix=='logits'"},
    {"logits.softcap_missing", "softcap=0", "cause_prefix=='logits' && softcap!=0"},
    {"logits.softcap_extra", "softcap=30", "cause_prefix=='logits' && softcap==0"},
    {"logits.softcap_extra", "softcap=50", "cause_prefix=='logits' && softcap==0"},
    {0},
};

const struct tt_op tt_op_scale = {
    .name = "scale",
    .defaults = "factor=1, softcap=0, cause_prefix='attn'",
    .rowwise = true,
    .forward = forward,
    .variants = variants,
    .recover = recover,
};
