/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding an operand record.
 */
#ifndef TT_CAPTURE_OPERAND_H
#define TT_CAPTURE_OPERAND_H

#include "capture/capture.h"

/* Never fails: what makes no sense ends up as an operand without bytes (UNREADABLE, shape of zeros). */
void capture_operand(struct tt_capture *capture, const struct record *record, struct tt_operand *operand);

#endif
