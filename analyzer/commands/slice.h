/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts of a tensor: '0:2,:,-1', one item an axis from the left; axes left out are taken whole.
 */
#ifndef TT_COMMANDS_SLICE_H
#define TT_COMMANDS_SLICE_H

#include "base/error.h"
#include "tensortap/writer.h" /* TT_MAX_RANK */

/* Values of a tensor or of a part of it, row-major. */
struct tt_values {
    double *values;
    uint64_t count;
    int rank;
    int64_t shape[TT_MAX_RANK];
};

/* Replaces *values by the part that `text` names; single indices drop their axis. 0 or -1 with *error. */
int tt_slice(struct tt_values *values, const char *text, struct tt_error *error);

#endif
