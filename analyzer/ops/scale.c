/* SPDX-License-Identifier: Apache-2.0
 *
 * scale: y = softcap·tanh(factor·x / softcap), or factor·x with softcap 0. Attention scores and logits are made of it.
 *   factor        multiplier (1)
 *   softcap       0: none
 *   cause_prefix  "attn" | "logits": which family a fault belongs to
 */
#include <math.h>

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

static const struct tt_variant variants[] = {
    {"attn.scale", "factor=1", "cause_prefix=='attn' && factor!=1"},
    {"attn.scale", "factor=factor*factor", "cause_prefix=='attn' && factor!=1"},
    {"attn.scale", "factor=1/head_dim", "cause_prefix=='attn' && factor!=1/head_dim"},
    {"attn.scale", "factor=1/sqrt(head_dim)", "cause_prefix=='attn' && factor!=1/sqrt(head_dim)"},
    {"attn.scale", "factor=1/sqrt(hidden)", "cause_prefix=='attn' && factor!=1/sqrt(hidden)"},
    {"attn.softcap_missing", "softcap=0", "cause_prefix=='attn' && softcap!=0"},
    {"attn.softcap_extra", "softcap=50", "cause_prefix=='attn' && softcap==0"},
    {"attn.softcap_extra", "softcap=30", "cause_prefix=='attn' && softcap==0"},
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
};
