/* SPDX-License-Identifier: Apache-2.0
 *
 * How an inspected value is shown.
 */
#ifndef TT_COMMANDS_INSPECTION_VIEW_H
#define TT_COMMANDS_INSPECTION_VIEW_H

#include "commands/inspection.h"
#include "verify/judge.h"

enum tt_agreement { TT_NOT_COMPARED, TT_AGREES, TT_DIFFERS };
const char *tt_agreement_name(enum tt_agreement agreement); /* "unmeasured", "match", "mismatch" */

struct tt_inspected {
    size_t index; /* in the inspection's nodes */
    const struct tt_value *value;
    int64_t token; /* the only one shown, -1: all */
    enum tt_agreement outcome;
    struct tt_judgement judged; /* unless TT_NOT_COMPARED */
    int judged_by;              /* the node itself, or the norm through which its value was seen */
    int64_t rows;               /* compared */
    double limit;               /* NMSE up to which right numbers may differ */
};

/* Prints all of them, for people or as a document, and gives the exit status. */
int tt_inspection_print(struct tt_context *context, const struct tt_inspection *inspection,
                        const struct tt_inspected *items, const struct tt_trace *trace);

#endif
