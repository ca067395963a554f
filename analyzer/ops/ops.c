/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of all primitives, and attribute lists. A new primitive is one file and one line here.
 */
#include <string.h>

#include "ops/op.h"

extern const struct tt_op tt_op_embedding, tt_op_add, tt_op_rmsnorm, tt_op_layernorm, tt_op_linear,
    tt_op_rope, tt_op_qk, tt_op_scale, tt_op_softmax, tt_op_pv, tt_op_activation, tt_op_mul, tt_op_rows,
    tt_op_bias, tt_op_topk, tt_op_expert_weights, tt_op_expert_linear, tt_op_expert_sum, tt_op_slice,
    tt_op_concat, tt_op_clamp, tt_op_alibi;

extern const struct tt_op tt_op_stack, tt_op_stream, tt_op_stream_add, tt_op_stream_sum, tt_op_linear_each, tt_op_mix,
    tt_op_magnitude, tt_op_gain, tt_op_sparsify, tt_op_parameter, tt_op_input, tt_op_conv1d, tt_op_chunk, tt_op_unchunk,
    tt_op_similarity, tt_op_gate, tt_op_select, tt_op_mean, tt_op_top_probability;

static const struct tt_op *const table[] = {
    &tt_op_embedding,  &tt_op_add, &tt_op_rmsnorm, &tt_op_layernorm, &tt_op_linear,
    &tt_op_rope,       &tt_op_qk,  &tt_op_scale,   &tt_op_softmax,   &tt_op_pv,
    &tt_op_activation, &tt_op_mul, &tt_op_rows,    &tt_op_bias,
    &tt_op_topk,       &tt_op_expert_weights, &tt_op_expert_linear, &tt_op_expert_sum,
    &tt_op_slice,      &tt_op_concat, &tt_op_clamp, &tt_op_alibi,
    &tt_op_stack,      &tt_op_stream, &tt_op_stream_add, &tt_op_stream_sum, &tt_op_linear_each, &tt_op_mix,
    &tt_op_magnitude,  &tt_op_gain, &tt_op_sparsify, &tt_op_parameter, &tt_op_input, &tt_op_conv1d,
    &tt_op_chunk,      &tt_op_unchunk, &tt_op_similarity, &tt_op_gate, &tt_op_select, &tt_op_mean,
    &tt_op_top_probability,
};

const struct tt_op *tt_op_find(const char *name)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (!strcmp(table[i]->name, name))
            return table[i];
    }
    return NULL;
}

static const struct tt_attribute_value *find(const struct tt_attributes *attributes, const char *name)
{
    for (int i = attributes ? attributes->count - 1 : -1; i >= 0; i--) {
        if (!strcmp(attributes->items[i].name, name))
            return &attributes->items[i];
    }
    return NULL;
}

double tt_attributes_number(const struct tt_attributes *attributes, const char *name, double fallback)
{
    const struct tt_attribute_value *item = find(attributes, name);
    return item && !item->string ? item->number : fallback;
}

const char *tt_attributes_string(const struct tt_attributes *attributes, const char *name,
                                 const char *fallback)
{
    const struct tt_attribute_value *item = find(attributes, name);
    return item && item->string ? item->string : fallback;
}

static struct tt_attribute_value *place(struct tt_attributes *attributes, const char *name)
{
    struct tt_attribute_value *item = (struct tt_attribute_value *)find(attributes, name);
    if (item)
        return item;
    if (attributes->count == (int)(sizeof attributes->items / sizeof *attributes->items))
        return NULL;
    return &attributes->items[attributes->count++];
}

int tt_attributes_set_number(struct tt_attributes *attributes, const char *name, double number)
{
    struct tt_attribute_value *item = place(attributes, name);
    if (!item)
        return -1;
    *item = (struct tt_attribute_value){.name = name, .number = number};
    return 0;
}

int tt_attributes_set_string(struct tt_attributes *attributes, const char *name, const char *string)
{
    struct tt_attribute_value *item = place(attributes, name);
    if (!item)
        return -1;
    *item = (struct tt_attribute_value){.name = name, .string = string};
    return 0;
}
