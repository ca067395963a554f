/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensors whose values are computed a row at a time: what every form with scales beside its weights shares.
 */
#ifndef TT_MODEL_FORMS_H
#define TT_MODEL_FORMS_H

#include "model/parts.h"

/* First member of what a form needs; `row` writes elements [first, first + count) of row `row`. */
struct tt_row_form {
    struct tt_tensor_form form;
    uint64_t columns; /* elements of a row: the last axis */
    int (*row)(const struct tt_row_form *form, uint64_t row, uint64_t first, uint64_t count, double *out,
               struct tt_error *error);
};

/* The `read` of such a form: splits a range into rows. */
int tt_read_rows(const struct tt_tensor_form *form, uint64_t first, uint64_t count, double *out,
                 struct tt_error *error);

/* Element `index` of a tensor that is known to have it; 0 for a type without decoder. */
double tt_element(const struct tt_model_tensor *tensor, uint64_t index);

/* Values of fp4 codes: OCP Microscaling Formats, E2M1. */
extern const double tt_e2m1[16];

/* Length of axis `axis`, negative ones from the end; 1 for an axis that the tensor lacks. */
uint64_t tt_axis(const struct tt_model_tensor *tensor, int axis);
uint64_t tt_elements(const struct tt_model_tensor *tensor);

/* The tensor named `stem` with `suffix` behind, whose values are its bytes; NULL: none. */
const struct tt_model_tensor *tt_model_sibling(const struct tt_model *model, const char *stem, size_t length,
                                               const char *suffix);

#endif
