/* SPDX-License-Identifier: Apache-2.0
 *
 * layernorm: norm.h with form "layernorm".
 */
#include "ops/norm.h"

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    return tt_norm_forward(call, "layernorm", 1e-5, out, error);
}

static int recover(const struct tt_op_call *call, const struct tt_value *observed, struct tt_recovery *found,
                   int most)
{
    return tt_norm_recover(call, observed, "layernorm", 1e-5, found, most);
}

static const struct tt_variant variants[] = {
    {"norm.rmsnorm_for_layernorm", "form='rmsnorm'", NULL},
    {"norm.bias_missing", "use_bias=0", "has_bias"},
    {"norm.weight_missing", "use_weight=0", "has_weight"},
    {"norm.weight_missing", "use_weight=0, use_bias=0", NULL},
    {"norm.skipped", "form='skip'", NULL},
    {"norm.groups", "join=1", "join==0"},
    {"norm.groups", "join=0", "join==1"},
    {"norm.offset_missing", "offset=0", "offset==1"},
    {"norm.offset_extra", "offset=1", "offset==0"},
    {"norm.eps", "eps=1e-5", "eps<0.9e-5 || eps>1.1e-5"},
    {"norm.eps", "eps=1e-6", "eps<0.9e-6 || eps>1.1e-6"},
    {"norm.eps", "eps=1e-12", "eps<0.9e-12 || eps>1.1e-12"},
    {"norm.cast_order", "cast_order='before'", "cast_order=='after'"},
    {0},
};

const struct tt_op tt_op_layernorm = {
    .name = "layernorm",
    .defaults = "eps=1e-5, offset=0, form='layernorm', use_weight=1, use_bias=1, groups=1, join=0, "
                "cast_order='after'",
    .weight_roles = {"weight", "bias"},
    .rowwise = true,
    .forward = forward,
    .variants = variants,
    .recover = recover,
};
