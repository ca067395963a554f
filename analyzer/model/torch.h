/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensors of a PyTorch archive (.pt, .pth, .bin): a zip of one pickle and a member for each storage. The pickle is
 * read as data and never executed. Format: torch.save of PyTorch 1.6 and later.
 */
#ifndef TT_MODEL_TORCH_H
#define TT_MODEL_TORCH_H

#include "model/parts.h"

struct tt_torch_tensor {
    char *name; /* keys of nested dictionaries and places in lists, joined by dots */
    enum tt_dtype dtype;
    int rank;
    int64_t shape[TT_TENSOR_RANK];
    int64_t stride[TT_TENSOR_RANK]; /* elements */
    const uint8_t *storage;         /* shared by views of it */
    uint64_t first;                 /* element of the storage where the tensor begins */
    uint64_t offset;                /* of the storage in the file; 0: it was unpacked */
};

struct tt_torch {
    struct tt_torch_tensor *tensors; /* [count] */
    size_t count;
    void **unpacked; /* [nunpacked] deflated storages */
    size_t nunpacked;
};

bool tt_torch_is(const struct tt_file *file); /* by its first bytes */

/* `weights`: of a training checkpoint only the model's part, without the prefixes that wrappers add, and storages
 * unverified; else all tensors, storages held against their checksums. 0, or -1 with one line; tt_torch_free in
 * either case. */
int tt_torch_read(const struct tt_file *file, bool weights, struct tt_torch *torch, struct tt_error *error);
void tt_torch_free(struct tt_torch *torch);

bool tt_torch_contiguous(const struct tt_torch_tensor *tensor); /* row-major without holes */
/* Element of the storage that is element `index` (row-major) of the tensor. */
uint64_t tt_torch_at(const struct tt_torch_tensor *tensor, uint64_t index);

/* The tensors of a mapped file of the model are added to its list. */
int tt_torch_add(struct tt_model *model, const struct tt_file *file, struct tt_error *error);

#endif
