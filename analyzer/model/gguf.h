/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF versions 2 and 3, little-endian. Format: ggml's docs/gguf.md.
 * Metadata values stay in the mapped file; only their places are kept.
 */
#ifndef TT_MODEL_GGUF_H
#define TT_MODEL_GGUF_H

#include "model/names.h"
#include "model/tensors.h"

enum tt_gguf_type { /* as in the file */
                    TT_GGUF_U8,
                    TT_GGUF_I8,
                    TT_GGUF_U16,
                    TT_GGUF_I16,
                    TT_GGUF_U32,
                    TT_GGUF_I32,
                    TT_GGUF_F32,
                    TT_GGUF_BOOL,
                    TT_GGUF_STRING,
                    TT_GGUF_ARRAY,
                    TT_GGUF_U64,
                    TT_GGUF_I64,
                    TT_GGUF_F64,
                    TT_GGUF_TYPE_COUNT
};

struct tt_gguf_value {
    char *key;
    enum tt_gguf_type type; /* of each item */
    bool array;
    uint64_t count;      /* items, 1 when no array */
    const uint8_t *data; /* the first item; a string starts with its u64 length */
    char *text;          /* a lone string, terminated; else NULL */
    uint64_t *strings;   /* [count] array of strings: bytes from `data` to each; else NULL */
};

struct tt_gguf {
    uint32_t version;
    uint64_t alignment; /* bytes */
    struct tt_gguf_value *values;
    size_t nvalues;
    struct tt_names *keys;
};

/* Appends the tensors of a mapped file; *gguf is filled for tt_gguf_free, also on failure. */
int tt_gguf_parse(const struct tt_file *file, struct tt_gguf *gguf, struct tt_tensors *tensors,
                  struct tt_error *error);
void tt_gguf_free(struct tt_gguf *gguf);

const struct tt_gguf_value *tt_gguf_find(const struct tt_gguf *gguf, const char *key); /* NULL: absent */
/* Item `index` as a number; false when out of range, a string or a nested array. */
bool tt_gguf_number(const struct tt_gguf_value *value, uint64_t index, double *out);

#endif
