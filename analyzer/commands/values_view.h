/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of one tensor for people and as members of a document: `show` and the checks have the same view.
 */
#ifndef TT_COMMANDS_VALUES_VIEW_H
#define TT_COMMANDS_VALUES_VIEW_H

#include <cjson/cJSON.h>

#include "commands/slice.h"
#include "report/term.h"

/* Fact lines: range, mean, elements. */
void tt_view_measured(const struct tt_term *term, const struct tt_values *values);
/* Histogram and heat map. */
void tt_view_pictures(const struct tt_term *term, const struct tt_values *values);

/* Members "measured", "histogram" and "values" (row-major; non-finite ones are null, their places in "nonfinite_at"). */
void tt_view_add_moments(cJSON *object, const struct tt_values *values);
void tt_view_add_histogram(cJSON *object, const struct tt_values *values);
void tt_view_add_values(cJSON *object, const struct tt_values *values);

#endif
