/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON inside model files, and values in it by dotted path ("rope_scaling.factor", "architectures.0").
 */
#ifndef TT_MODEL_CONFIG_H
#define TT_MODEL_CONFIG_H

#include "base/json.h"

/* Parses `length` bytes that form one JSON value and nothing else. `what` names them in messages:
 * "FILE" or "header of FILE". NULL with one line. */
cJSON *tt_json_parse_bytes(const void *bytes, size_t length, const char *what, struct tt_error *error);

/* NULL when absent. A key that itself contains dots is found first. */
const cJSON *tt_config_at(const cJSON *root, const char *path);

#endif
