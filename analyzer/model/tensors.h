/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of tensors that the file parsers fill. Names belong to the list.
 */
#ifndef TT_MODEL_TENSORS_H
#define TT_MODEL_TENSORS_H

#include "model/file.h"
#include "model/model.h"

#define TT_TENSOR_RANK 8 /* as in struct tt_model_tensor */

struct tt_tensors {
    struct tt_model_tensor *items; /* [count] */
    size_t count, capacity;
};

void tt_tensors_add(struct tt_tensors *tensors, const struct tt_model_tensor *tensor);
/* Room for `count` more without moving those that are there. */
void tt_tensors_reserve(struct tt_tensors *tensors, size_t count);
void tt_tensors_free(struct tt_tensors *tensors);

/* No two of the tensors from `first` on share bytes of `file`. */
int tt_tensors_disjoint(const struct tt_tensors *tensors, size_t first, const struct tt_file *file,
                        struct tt_error *error);

/* Elements of a shape; false when the product does not fit 63 bits or a dimension is negative. */
bool tt_shape_count(int rank, const int64_t *shape, uint64_t *count);
/* Bytes of `count` elements in blocks of `block` elements and `bytes` bytes; false: overflow, part of a
 * block. */
bool tt_block_bytes(uint64_t count, uint32_t block, uint32_t bytes, uint64_t *total);

/* Elements [first, first + count) of those that lie row-major at `data`, to f64. -1: no decoder. */
int tt_decode_range(enum tt_dtype dtype, const void *data, uint64_t first, uint64_t count, double *out);

#endif
