/* SPDX-License-Identifier: Apache-2.0
 *
 * Digests of a tensor's content as an engine may hold it: as stored, converted, transposed, rows permuted.
 */
#ifndef TT_MODEL_CONTENT_H
#define TT_MODEL_CONTENT_H

#include "model/identity.h"

struct tt_content {
    enum tt_identity_transform transform;
    enum tt_dtype dtype; /* in which the content is hashed */
    int heads;           /* PERMUTED only */
    bool to_interleaved; /* PERMUTED only */
};

/* False: the tensor cannot have such content (wrong rank, no conversion to that dtype, rows that do not
 * split). */
bool tt_content_possible(const struct tt_model_tensor *tensor, const struct tt_content *content);
void tt_content_digest(const struct tt_model_tensor *tensor, const struct tt_content *content,
                       struct tt_digest *digest);

#endif
