/* SPDX-License-Identifier: Apache-2.0
 *
 * Which epochs kept their data, and why the others did not: runs of successive epochs of one form.
 */
#ifndef TT_COMMANDS_EPOCH_FORMS_H
#define TT_COMMANDS_EPOCH_FORMS_H

#include <cjson/cJSON.h>

#include "report/term.h"
#include "tensortap/reader.h"

void tt_epoch_forms_print(const struct tt_term *term, const struct tt_capture *capture);
/* [{"first":0,"last":2,"kept":"data","reason":"first"},…]; owned by the caller. */
cJSON *tt_epoch_forms_json(const struct tt_capture *capture);

#endif
