/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of wrong and benign forms: every expression can be evaluated, sets attributes that the op
 * declares, and names a cause that the verdict document knows.
 */
#include <stdio.h>
#include <string.h>

#include "graph/expression.h"
#include "ops/op.h"
#include "checks.h"

static const char *const causes[] = {
    "embed.scale_missing",
    "embed.scale_twice",
    "embed.scale_rounding",
    "embed.wrong_row",
    "embed.position_missing",
    "norm.offset_missing",
    "norm.offset_extra",
    "norm.weight_missing",
    "norm.bias_missing",
    "norm.skipped",
    "norm.layernorm_for_rmsnorm",
    "norm.rmsnorm_for_layernorm",
    "norm.sum_not_mean",
    "norm.eps",
    "norm.groups",
    "norm.cast_order",
    "rope.pairing",
    "rope.position_offset",
    "rope.position_stuck",
    "rope.direction",
    "rope.frequency_scale",
    "rope.magnitude_scale",
    "rope.partial_dims",
    "rope.skipped",
    "rope.twice",
    "rope.position_precision",
    "attn.scale",
    "attn.softcap_missing",
    "attn.softcap_extra",
    "attn.mask_missing",
    "attn.mask_extra",
    "attn.mask_inverted",
    "attn.mask_off_by_one",
    "attn.window",
    "attn.head_map",
    "attn.sink",
    "attn.alibi",
    "moe.shared_missing",
    "attn.softmax_axis",
    "attn.not_normalised",
    "linear.transposed",
    "linear.bias_missing",
    "linear.bias_extra",
    "linear.zero_weight",
    "mlp.activation",
    "mlp.offset_missing",
    "mlp.gate_missing",
    "mlp.double_activation",
    "residual.missing",
    "residual.doubled",
    "residual.scale",
    "linear.wrong_weight",
    "linear.permuted_rows",
    "flow.wrong_operand",
    "config.override",
    "logits.softcap_missing",
    "logits.softcap_extra",
    "logits.scale",
    "logits.wrong_row",
    "moe.router_norm",
    "moe.gate_order",
    "moe.top_k",
    "moe.expert_order",
    "moe.bias",
    "moe.groups",
    "moe.scale",
    "mlp.clamp_missing",
    "linear.split_order",
};

/* Off by absence: there is no number that means "not stuck". */
static const char *const without_default[] = {"stuck_position"};

struct names {
    const char *name[64];
    struct tt_scalar value[64];
    int count;
    int config; /* the first of them are the model's, not the op's */
};

static void fail(const char *op, const char *what, const char *text)
{
    fprintf(stderr, "%s: %s: %s\n", op, what, text);
    failures++;
}

static bool lookup(const void *user, const char *name, struct tt_scalar *out)
{
    const struct names *names = user;
    for (int i = names->count - 1; i >= 0; i--) {
        if (!strcmp(names->name[i], name)) {
            *out = names->value[i];
            return true;
        }
    }
    return false;
}

static char kept[2048][32];
static int nkept;

static int add(void *user, const char *name, const struct tt_scalar *value)
{
    struct names *names = user;
    snprintf(kept[nkept], sizeof kept[0], "%s", name);
    names->name[names->count] = kept[nkept++];
    names->value[names->count++] = *value;
    return 0;
}

static bool listed(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(list[i], name))
            return true;
    }
    return false;
}

static bool declared(const struct names *names, const char *name)
{
    for (int i = names->config; i < names->count; i++) {
        if (!strcmp(names->name[i], name))
            return true;
    }
    return listed(name, without_default, sizeof without_default / sizeof *without_default);
}

static void check_form(const struct tt_op *op, const struct names *names, const struct tt_variant *form,
                       bool benign)
{
    struct tt_scope scope = {.lookup = lookup, .user = names};
    struct names set = {0};
    struct tt_scalar holds;
    struct tt_error error = {0};
    if (form->when && tt_expression(form->when, &scope, &holds, &error))
        fail(op->name, form->when, error.message);
    if (tt_assignments(form->set, &scope, add, &set, &error))
        fail(op->name, form->set, error.message);
    if (!set.count)
        fail(op->name, form->cause, "sets nothing");
    for (int i = 0; i < set.count; i++) {
        if (!declared(names, set.name[i]))
            fail(op->name, "sets an attribute without default", set.name[i]);
    }
    if (!benign && !listed(form->cause, causes, sizeof causes / sizeof *causes))
        fail(op->name, "unknown cause", form->cause);
}

/* What `when` may ask of the call: has_<role> of each weight that the op knows. */
static void add_weights(struct names *names, const struct tt_op *op)
{
    struct tt_scalar given = tt_scalar_number(1);
    for (size_t i = 0; i < TT_OP_MAX_WEIGHTS && op->weight_roles[i]; i++) {
        char name[32];
        snprintf(name, sizeof name, "has_%s", op->weight_roles[i]);
        add(names, name, &given);
    }
}

static void check_op(const struct tt_op *op)
{
    struct names names = {0};
    struct tt_scope scope = {.lookup = lookup, .user = &names};
    struct tt_error error = {0};
    static const struct {
        const char *name;
        double value;
    } config[] = {{"head_dim", 64}, {"heads", 4}, {"kv_heads", 2}, {"hidden", 256}};
    for (size_t i = 0; i < sizeof config / sizeof *config; i++) {
        struct tt_scalar value = tt_scalar_number(config[i].value);
        add(&names, config[i].name, &value);
    }
    add_weights(&names, op);
    names.config = names.count;
    if (tt_assignments(op->defaults, &scope, add, &names, &error))
        fail(op->name, op->defaults, error.message);
    for (const struct tt_variant *form = op->variants; form && form->cause; form++)
        check_form(op, &names, form, false);
    for (const struct tt_variant *form = op->benign; form && form->cause; form++)
        check_form(op, &names, form, true);
}

int main(void)
{
    for (size_t i = 0; tt_op_at(i); i++)
        check_op(tt_op_at(i));
    return failures != 0;
}
