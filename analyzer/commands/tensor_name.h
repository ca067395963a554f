/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of captured tensors: `<call>.<role>`, with `.before` or `.after` where both were captured.
 */
#ifndef TT_COMMANDS_TENSOR_NAME_H
#define TT_COMMANDS_TENSOR_NAME_H

#include "base/error.h"
#include <cjson/cJSON.h>

#include "tensortap/reader.h"

struct tt_tensor_name {
    char text[128];
};

/* The shortest name that find_tensor understands. */
struct tt_tensor_name tt_tensor_name_of(const struct tt_recorded_call *call,
                                        const struct tt_operand *operand);

struct tt_tensor_found {
    const struct tt_recorded_call *call;
    const struct tt_operand *operand;
};

/* 0, or -1 with *error. A name that does not start with a call number goes to tt_resolve_component. */
int tt_tensor_find(const struct tt_capture *capture, const char *name, struct tt_tensor_found *found,
                   struct tt_error *error);

/* Component addresses ("p0/L3.attn.q_proj"); NULL while nothing can map them. */
extern int (*tt_resolve_component)(const struct tt_capture *capture, const char *name,
                                   struct tt_tensor_found *found, struct tt_error *error);

/* One operand as the `ls` and `show` documents have it. */
cJSON *tt_operand_json(const struct tt_recorded_call *call, const struct tt_operand *operand);

#endif
