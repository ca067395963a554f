/* SPDX-License-Identifier: Apache-2.0
 *
 * Which weight of a model is this operand? Answered by its place in a file, or by the digest of its content.
 * Digests are those of captures (include/tensortap/reader.h): XXH3-128, canonical, over the logical elements
 * in memory order, so a contiguous operand's is that of its bytes.
 *
 * Nothing is computed before it is asked for, and then only over tensors with the asked number of elements;
 * each digest is kept, so a second question costs a look-up. Not for use by several threads at once.
 */
#ifndef TT_MODEL_IDENTITY_H
#define TT_MODEL_IDENTITY_H

#include "model/model.h"
#include "tensortap/reader.h" /* struct tt_digest */

enum tt_identity_transform {
    TT_IDENTITY_NONE,        /* the bytes in the file */
    TT_IDENTITY_DEQUANTISED, /* the values in another dtype */
    TT_IDENTITY_TRANSPOSED,  /* [rows, columns] as [columns, rows], in the operand's dtype */
    TT_IDENTITY_PERMUTED, /* rows of each head reordered between the two rope pairings, in the operand's dtype
                           */
};

struct tt_identity_match {
    const struct tt_model_tensor *tensor;
    enum tt_identity_transform transform;
    uint64_t element;    /* of the tensor, row-major, at which the operand begins */
    int heads;           /* PERMUTED: how many heads the rows were split into */
    bool to_interleaved; /* PERMUTED: the file has half pairing (i, i + n/2), the operand (2i, 2i + 1); else
                            reverse */
};

struct tt_identity;

/* The model must outlive it. `heads`: numbers of heads that q and k may have, for PERMUTED; may be empty. */
struct tt_identity *tt_identity_new(const struct tt_model *model, const int *heads, size_t nheads);
void tt_identity_free(struct tt_identity *identity); /* NULL is allowed */

/* The tensor that has byte `offset` of the file `path`, which is told by device and inode, not by name.
 * False: no tensor there, or a byte within an element or block. */
bool tt_identity_at(struct tt_identity *identity, const char *path, uint64_t offset,
                    struct tt_identity_match *match);

/* Tensors of `count` elements whose content, as `dtype`, has this digest. Transforms are tried in the order
 * of the enum and stop at the first that fits any, so all matches share one. Returns how many there are and
 * writes up to `room`: content found more than once (tied heads, norms of ones) identifies nothing alone. */
size_t tt_identity_find(struct tt_identity *identity, enum tt_dtype dtype, uint64_t count,
                        const struct tt_digest *digest, struct tt_identity_match *matches, size_t room);

const char *tt_identity_transform_name(enum tt_identity_transform transform); /* as in reports */

#endif
