/* SPDX-License-Identifier: Apache-2.0
 *
 * rmsnorm: norm.h with form "rmsnorm". The weight may be shorter than a row: [n] for x [tokens, heads, n].
 */
#include "ops/norm.h"

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    return tt_norm_forward(call, "rmsnorm", 1e-6, out, error);
}

static int recover(const struct tt_op_call *call, const struct tt_value *observed, struct tt_recovery *found,
                   int most)
{
    return tt_norm_recover(call, observed, "rmsnorm", 1e-6, found, most);
}

static const struct tt_variant variants[] = {
    {"norm.offset_missing", "offset=0", "offset==1"},
    {"norm.offset_extra", "offset=1", "offset==0"},
    {"norm.offset_extra", "offset=2", "offset==1"},
    {"norm.weight_missing", "use_weight=0", "has_weight"},
    {"norm.skipped", "form='skip'", NULL},
    {"norm.layernorm_for_rmsnorm", "form='layernorm'", NULL},
    {"norm.sum_not_mean", "form='sum'", NULL},
    {"norm.groups", "join=1", "join==0 && groups==1"},
    {"norm.groups", "join=0", "join==1"},
    {"norm.groups", "groups=heads", "groups==1 && heads>1"},
    {"norm.groups", "groups=1", "groups!=1"},
    {"norm.eps", "eps=1e-5", "eps<0.9e-5 || eps>1.1e-5"},
    {"norm.eps", "eps=1e-6", "eps<0.9e-6 || eps>1.1e-6"},
    {"norm.eps", "eps=1e-12", "eps<0.9e-12 || eps>1.1e-12"},
    {"norm.cast_order", "cast_order='before'", "cast_order=='after'"},
    {"norm.cast_order", "cast_order='after'", "cast_order=='before'"},
    {0},
};

const struct tt_op tt_op_rmsnorm = {
    .name = "rmsnorm",
    .defaults =
        "eps=1e-6, offset=0, form='rmsnorm', use_weight=1, use_bias=1, groups=1, join=0, cast_order='after'",
    .weight_roles = {"weight", "bias"},
    .rowwise = true,
    .forward = forward,
    .variants = variants,
    .recover = recover,
};
