/* SPDX-License-Identifier: Apache-2.0
 *
 * A model as it lies on disk: GGUF, safetensors (single file or sharded with index) beside config.json.
 * Files stay memory-mapped; nothing is converted until values are asked for.
 */
#ifndef TT_MODEL_H
#define TT_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tensortap/dtype.h"

struct tt_model;

/* How the values of a tensor come about that is not simply its bytes in its dtype: weights with scales beside them,
 * slices, transposes and stacks of other tensors. Embedded as the first member of what `read` needs. */
struct tt_tensor_form {
    const char *name; /* as told to users: "fp8 per block", "gptq", "transposed" */
    /* `count` elements from element `first` (row-major) as f64; bounds were checked. */
    int (*read)(const struct tt_tensor_form *form, uint64_t first, uint64_t count, double *out, struct tt_error *error);
};

struct tt_model_tensor {
    const char *name;    /* as in the file */
    enum tt_dtype dtype;
    int rank;
    int64_t shape[8];    /* row-major, outermost first, for GGUF too (its ne[] reversed) */
    const char *file;    /* absolute path of the file that holds it */
    uint64_t offset;     /* bytes from the start of that file */
    uint64_t nbytes;     /* in the file; 0 for one that is only computed */
    const void *data;    /* mapped, valid until tt_model_close; NULL when its bytes are not elements of `dtype` */
    const struct tt_tensor_form *form; /* NULL: the values are the bytes at `data` in `dtype` */
    const struct tt_model_tensor *base; /* of a slice or transpose: the tensor of the file that it is a part of; NULL: none */
};

/* `path`: a .gguf (of splits any one), a .safetensors, a PyTorch archive (.bin, .pt), an index of either, a folder
 * with config.json and one of these, or an id in the local Hugging Face cache. Quantised weights of several tensors
 * are listed computed under the name that they have unquantised. NULL with one line in *error. */
struct tt_model *tt_model_open(const char *path, struct tt_error *error);
/* The same, and also a config.json without weights, or a folder with no more than that: a model without tensors. */
struct tt_model *tt_model_open_bare(const char *path, struct tt_error *error);
void tt_model_close(struct tt_model *model);

/* Adds a LoRA adapter: a PEFT folder or its adapter_model.safetensors, or a GGUF adapter. The weights that it names
 * become weight + scale * (what the adapter's own alpha and rank say) * B * A; several add up. To be called before
 * anything keeps values of the model. */
int tt_model_add_adapter(struct tt_model *model, const char *path, double scale, struct tt_error *error);

const char *tt_model_path(const struct tt_model *model);
/* Naming scheme of its tensors and metadata: "gguf" or "hf". */
const char *tt_model_scheme(const struct tt_model *model);

size_t tt_model_ntensors(const struct tt_model *model);
const struct tt_model_tensor *tt_model_tensor_at(const struct tt_model *model, size_t index);
/* NULL: none of that name. */
const struct tt_model_tensor *tt_model_tensor(const struct tt_model *model, const char *name);

/* Metadata: GGUF keys ("llama.block_count"), or config.json with dotted paths ("rope_scaling.factor",
 * "architectures.0"). All return false when the key is absent, null or of another kind. */
bool tt_model_number(const struct tt_model *model, const char *key, double *out); /* ints, floats, bools */
bool tt_model_string(const struct tt_model *model, const char *key, const char **out);
bool tt_model_has_key(const struct tt_model *model, const char *key);  /* there, whatever its value */
bool tt_model_key_is_null(const struct tt_model *model, const char *key); /* JSON's null */
size_t tt_model_array_length(const struct tt_model *model, const char *key);
bool tt_model_array_number(const struct tt_model *model, const char *key, size_t index, double *out);
/* Text of `length` bytes; not terminated for GGUF, and not always UTF-8 (pieces of tokens). */
bool tt_model_array_string(const struct tt_model *model, const char *key, size_t index, const char **out,
                           size_t *length);

/* `count` elements from element `first` (row-major) as f64. Bounds checked. */
int tt_model_read(const struct tt_model_tensor *tensor, uint64_t first, uint64_t count, double *out,
                  struct tt_error *error);

/* Converts `count` elements starting at a block boundary of `dtype` to f64. -1: dtype has no decoder. */
int tt_decode_f64(enum tt_dtype dtype, const void *bytes, uint64_t count, double *out);

#endif
