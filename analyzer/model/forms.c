/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: read computed tensors row by row, find the tensors that belong together by name.
 */
#include "model/forms.h"

#include <stdlib.h>

const double tt_e2m1[16] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6};

int tt_read_rows(const struct tt_tensor_form *form, uint64_t first, uint64_t count, double *out,
                 struct tt_error *error)
{
    const struct tt_row_form *rows = (const struct tt_row_form *)form;
    int rc = 0;

    while (count > 0 && rc == 0) {
        uint64_t column = first % rows->columns, left = rows->columns - column;
        uint64_t taken = left < count ? left : count;
        rc = rows->row(rows, first / rows->columns, column, taken, out, error);
        first += taken;
        out += taken;
        count -= taken;
    }
    return rc;
}

double tt_element(const struct tt_model_tensor *tensor, uint64_t index)
{
    double value = 0;
    tt_decode_range(tensor->dtype, tensor->data, index, 1, &value);
    return value;
}

uint64_t tt_axis(const struct tt_model_tensor *tensor, int axis)
{
    int at = axis < 0 ? tensor->rank + axis : axis;
    return at >= 0 && at < tensor->rank ? (uint64_t)tensor->shape[at] : 1;
}

uint64_t tt_elements(const struct tt_model_tensor *tensor)
{
    uint64_t count = 0;
    tt_shape_count(tensor->rank, tensor->shape, &count);
    return count;
}

const struct tt_model_tensor *tt_model_sibling(const struct tt_model *model, const char *stem, size_t length,
                                               const char *suffix)
{
    char *name = tt_format("%.*s%s", (int)length, stem, suffix);
    const struct tt_model_tensor *tensor = tt_model_tensor(model, name);
    free(name);
    return tensor && !tensor->form ? tensor : NULL;
}
