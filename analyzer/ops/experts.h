/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers of experts as values: what topk gives and the ops behind it read.
 */
#ifndef TT_OPS_EXPERTS_H
#define TT_OPS_EXPERTS_H

#include "ops/value.h"

/* The expert that element i of topk [T, k] names; -1: unknown, or no expert of `experts`. A finite variance says that
 * only the order among a token's experts is open: the number counts. */
static inline int64_t tt_expert_index(const struct tt_value *topk, int64_t i, int64_t experts)
{
    double number = topk->v[i];
    if (topk->var && tt_unknown(topk->var[i]))
        return -1;
    return number >= 0 && number < (double)experts ? (int64_t)number : -1;
}

#endif
