/* SPDX-License-Identifier: Apache-2.0
 *
 * Architecture files: finding, reading, `extends`. See docs/architectures.md for the format.
 */
#ifndef TT_GRAPH_ARCHITECTURE_H
#define TT_GRAPH_ARCHITECTURE_H

#include <cjson/cJSON.h>

#include "base/error.h"
#include "model/model.h"

/* The architecture that selects `model`, bases merged in; owned by the caller (cJSON_Delete). NULL with *error. */
cJSON *tt_architecture_for(const struct tt_model *model, struct tt_error *error);

/* A string or an array of strings: item `index`, or NULL. */
const char *tt_json_string_at(const cJSON *item, int index);

#endif
