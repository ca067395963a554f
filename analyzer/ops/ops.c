/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of all primitives. A new one is one file and one word here.
 */
#include <string.h>

#include "ops/op.h"

#define TT_OPS(OP)                                                                                      \
    OP(embedding) OP(add) OP(rmsnorm) OP(layernorm) OP(linear) OP(rope) OP(qk) OP(scale) OP(softmax)    \
    OP(pv) OP(activation) OP(mul) OP(rows) OP(bias) OP(topk) OP(expert_weights) OP(expert_linear)       \
    OP(expert_sum) OP(slice) OP(concat) OP(clamp) OP(alibi) OP(stack) OP(stream) OP(stream_add)         \
    OP(stream_sum) OP(linear_each) OP(mix) OP(magnitude) OP(gain) OP(sparsify) OP(parameter)            \
    OP(input) OP(conv1d) OP(chunk) OP(unchunk) OP(similarity) OP(gate) OP(select) OP(mean)              \
    OP(top_probability)

#define DECLARED(name) extern const struct tt_op tt_op_##name;
#define ENTRY(name)    &tt_op_##name,

TT_OPS(DECLARED)

static const struct tt_op *const table[] = {TT_OPS(ENTRY)};

const struct tt_op *tt_op_at(size_t index)
{
    return index < sizeof table / sizeof *table ? table[index] : NULL;
}

const struct tt_op *tt_op_find(const char *name)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (!strcmp(table[i]->name, name))
            return table[i];
    }
    return NULL;
}
