/* SPDX-License-Identifier: Apache-2.0
 *
 * What every JSON document of the tool needs beyond cJSON: files, doubles that may not be finite,
 * 64-bit integers, shapes.
 */
#ifndef TT_BASE_JSON_H
#define TT_BASE_JSON_H

#include <stdint.h>
#include <stdio.h>

#include <cjson/cJSON.h>

#include "base/error.h"

/* A whole file as JSON; NULL with the place of the fault in *error. Free with cJSON_Delete. */
cJSON *tt_json_read(const char *path, struct tt_error *error);

/* One document and a newline; indented, or on one line when `compact`. 0 or -1 with *error. */
int tt_json_print(FILE *out, const cJSON *document, int compact, struct tt_error *error);

/* {"schema":"tensortap.<name>/1"} to fill. */
cJSON *tt_json_document(const char *name);

/* JSON has no NaN: such a value becomes null, and the member "nonfinite" of the same object names it:
 * {"max":null,"nonfinite":{"max":"inf"}}. */
void tt_json_add_number(cJSON *object, const char *name, double value);
/* Exact: cJSON keeps doubles, which lose integers above 2^53. */
void tt_json_add_u64(cJSON *object, const char *name, uint64_t value);
void tt_json_add_i64(cJSON *object, const char *name, int64_t value);
void tt_json_add_shape(cJSON *object, const char *name, const int64_t *shape, int rank);

#endif
