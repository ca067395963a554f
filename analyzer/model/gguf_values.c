/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: metadata of a parsed GGUF file by key.
 */
#include "model/gguf.h"

#include <stdlib.h>

void tt_gguf_free(struct tt_gguf *gguf)
{
    /* The value after the last whole one may have been begun when parsing failed; the array has room for it.
     */
    for (size_t i = 0; gguf->values && i <= gguf->nvalues; i++) {
        free(gguf->values[i].key);
        free(gguf->values[i].text);
        free(gguf->values[i].strings);
    }
    free(gguf->values);
    tt_names_free(gguf->keys);
    *gguf = (struct tt_gguf){0};
}

const struct tt_gguf_value *tt_gguf_find(const struct tt_gguf *gguf, const char *key)
{
    size_t index;
    return tt_names_find(gguf->keys, key, &index) ? &gguf->values[index] : NULL;
}

static enum tt_dtype dtype_of(enum tt_gguf_type type)
{
    static const enum tt_dtype dtypes[TT_GGUF_TYPE_COUNT] = {
        [TT_GGUF_U8] = TT_U8,   [TT_GGUF_I8] = TT_I8,   [TT_GGUF_U16] = TT_U16, [TT_GGUF_I16] = TT_I16,
        [TT_GGUF_U32] = TT_U32, [TT_GGUF_I32] = TT_I32, [TT_GGUF_F32] = TT_F32, [TT_GGUF_BOOL] = TT_BOOL,
        [TT_GGUF_U64] = TT_U64, [TT_GGUF_I64] = TT_I64, [TT_GGUF_F64] = TT_F64,
    };
    return dtypes[type];
}

bool tt_gguf_number(const struct tt_gguf_value *value, uint64_t index, double *out)
{
    return index < value->count && tt_decode_range(dtype_of(value->type), value->data, index, 1, out) == 0;
}
