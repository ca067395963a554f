/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights that lie in several tensors of a safetensors or PyTorch file (codes, scales, zero points) as one
 * computed tensor under the name that the weight has unquantised: fp8, int8, GPTQ, AWQ, nf4, MXFP4 and kin.
 */
#ifndef TT_MODEL_QUANTISED_H
#define TT_MODEL_QUANTISED_H

#include "model/parts.h"

/* The model's names are indexed. 0, or -1 with one line when tensors of one weight do not fit each other. */
int tt_quantised_add(struct tt_model *model, struct tt_error *error);

/* ---- one per kind; `index` is that of the tensor which the kind is told by ----
 * 1: that tensor stands for a weight that was made; 0: not of this kind; -1: *error. */
typedef int tt_quantised_kind(struct tt_model *model, size_t index, struct tt_error *error);

tt_quantised_kind tt_quantised_scaled;  /* fp8, int8, fp4: codes times a scale per tensor, channel or block */
tt_quantised_kind tt_quantised_gptq;    /* qweight [in*bits/32, out] */
tt_quantised_kind tt_quantised_awq;     /* qweight [in, out*bits/32] */
tt_quantised_kind tt_quantised_packed;  /* weight_packed [out, in*bits/32] of compressed-tensors */
tt_quantised_kind tt_quantised_codes;   /* nf4, fp4 with a table of values */
tt_quantised_kind tt_quantised_mxfp4;   /* X_blocks, X_scales */

/* ---- what they share ---- */

/* Where `name` ends in `suffix`, how long it is without; 0: it does not. */
size_t tt_stem(const char *name, const char *suffix);

/* A computed tensor with the name `stem` + `suffix`, owned copy of the file name of `like`. Kept NULL when that name
 * is taken. The list has room for it, so no pointer to a tensor changes. */
struct tt_model_tensor *tt_computed_add(struct tt_model *model, const struct tt_model_tensor *like, size_t stem,
                                        const char *suffix);

/* "…: tensors of 'X' …: WHAT" */
int tt_quantised_misfit(const struct tt_model_tensor *tensor, const char *what, struct tt_error *error);

#endif
