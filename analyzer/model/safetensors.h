/* SPDX-License-Identifier: Apache-2.0
 *
 * The header of a safetensors file: u64 length, that many bytes of JSON, then the data.
 * Format: the safetensors README, "Format".
 */
#ifndef TT_MODEL_SAFETENSORS_H
#define TT_MODEL_SAFETENSORS_H

#include <cjson/cJSON.h>

#include "model/tensors.h"

/* Appends the tensors of a mapped file in the order of its header. *metadata is its `__metadata__`
 * (NULL: none), owned by the caller; the pointer may be NULL. */
int tt_safetensors_parse(const struct tt_file *file, struct tt_tensors *tensors, cJSON **metadata,
                         struct tt_error *error);

#endif
