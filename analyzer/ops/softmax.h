/* SPDX-License-Identifier: Apache-2.0
 *
 * Which keys a query sees; shared by softmax and its recovery of masks and windows.
 */
#ifndef TT_OPS_SOFTMAX_H
#define TT_OPS_SOFTMAX_H

#include "ops/op.h"

struct tt_visibility {
    bool causal, inverted;
    int64_t window, offset; /* window 0: none */
};

int tt_visibility_read(const struct tt_op_call *call, struct tt_visibility *rule, struct tt_error *error);
bool tt_key_visible(const struct tt_visibility *rule, int64_t query_position, int64_t key_position);

int tt_softmax_recover(const struct tt_op_call *call, const struct tt_value *observed,
                       struct tt_recovery *found, int most);

#endif
