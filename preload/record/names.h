/* SPDX-License-Identifier: Apache-2.0
 *
 * Short names made for every operand, without the machinery of printf: it would cost as much as a small operand.
 */
#ifndef TT_RECORD_NAMES_H
#define TT_RECORD_NAMES_H

#include <stddef.h>

#include "tensortap/writer.h"

#define TT_NAME_BYTES 128

/* Of its tensor in a shard: `c12.a.before`, unique within the capture: a role that comes twice in a call gets a
 * number. Once per operand. */
void tt_operand_name(struct tt_call_scope *call, const char *role, enum tt_when when, char name[TT_NAME_BYTES]);
/* For counting losses: `matmul.a`. */
void tt_operand_kind(const struct tt_call_scope *call, const char *role, char kind[TT_NAME_BYTES]);

#endif
