/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two forms of LoRA adapters have in common; for tt_model_add_adapter.
 */
#ifndef TT_MODEL_ADAPTER_H
#define TT_MODEL_ADAPTER_H

#include "model/parts.h"

/* weight + scale * left * right for one weight. */
struct tt_adapter_pair {
    const struct tt_model_tensor *left;  /* [rows, rank], or [rank, rows] to be transposed */
    const struct tt_model_tensor *right; /* [rank, columns], or [columns, rank] to be transposed */
    bool left_transposed, right_transposed;
    double scale; /* alpha over rank included */
};

/* The weight of that name becomes computed. `where` names the adapter in messages. */
int tt_adapter_apply(struct tt_model *model, const char *weight, const struct tt_adapter_pair *pair, const char *where,
                     struct tt_error *error);
/* The tensor of that name is replaced by the adapter's. */
int tt_adapter_replace(struct tt_model *model, const char *name, const struct tt_model_tensor *by, const char *where,
                       struct tt_error *error);

/* A folder with adapter_config.json, and a GGUF adapter. */
int tt_adapter_add_peft(struct tt_model *model, const struct tt_model *adapter, double scale, struct tt_error *error);
int tt_adapter_add_gguf(struct tt_model *model, const struct tt_model *adapter, double scale, struct tt_error *error);

#endif
