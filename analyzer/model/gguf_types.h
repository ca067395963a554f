/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensor types by their number in a GGUF file.
 */
#ifndef TT_MODEL_GGUF_TYPES_H
#define TT_MODEL_GGUF_TYPES_H

#include "model/model.h"

struct tt_gguf_tensor_type {
    enum tt_dtype dtype;        /* TT_NONE: of unknown size, see form */
    struct tt_tensor_form form; /* without dtype: a name, and a `read` that refuses */
};

/* NULL: no number that ggml has given or is near to giving. */
const struct tt_gguf_tensor_type *tt_gguf_tensor_type(uint32_t number);

#endif
