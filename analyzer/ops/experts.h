/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers of experts as values: what topk gives and the ops behind it read.
 */
#ifndef TT_OPS_EXPERTS_H
#define TT_OPS_EXPERTS_H

#include "ops/value.h"

/* The expert that element i of topk [T, k] names; -1: no expert of `experts`. */
static inline int64_t tt_expert_index(const struct tt_value *topk, int64_t i, int64_t experts)
{
    double number = topk->v[i];
    return number >= 0 && number < (double)experts ? (int64_t)number : -1;
}

/* Another expert may as well stand there: what it gives has a value, but says nothing about the engine's. A finite variance
 * only leaves the order among a token's experts open, which is no matter where all are computed in the same order. */
static inline bool tt_expert_open(const struct tt_value *topk, int64_t i, int64_t experts)
{
    return tt_expert_index(topk, i, experts) < 0 || (topk->var && tt_unknown(topk->var[i]));
}

#endif
