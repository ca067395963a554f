/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: a model out of a PyTorch archive. What lies row-major in the file stays there, mapped; views with strides and
 * deflated storages are computed tensors.
 */
#include <stdlib.h>

#include "model/config.h"
#include "model/locate.h"
#include "model/torch.h"

struct strided {
    struct tt_tensor_form form;
    struct tt_torch_tensor tensor; /* without its name */
};

static int read_strided(const struct tt_tensor_form *form, uint64_t first, uint64_t count, double *out,
                        struct tt_error *error)
{
    const struct tt_torch_tensor *tensor = &((const struct strided *)form)->tensor;
    bool together = tt_torch_contiguous(tensor);
    int rc = 0;

    if (together)
        rc = tt_decode_range(tensor->dtype, tensor->storage, tensor->first + first, count, out);
    for (uint64_t i = 0; i < count && !together && rc == 0; i++)
        rc = tt_decode_range(tensor->dtype, tensor->storage, tt_torch_at(tensor, first + i), 1, &out[i]);
    return rc ? tt_fail(error, TT_EINPUT, "a tensor of a PyTorch file is stored as %s, which cannot be read",
                        tt_dtype_info(tensor->dtype)->name)
              : 0;
}

static void add(struct tt_model *model, const struct tt_file *file, const struct tt_torch_tensor *from)
{
    struct tt_model_tensor tensor = {.name = tt_strdup(from->name), .dtype = from->dtype, .rank = from->rank,
                                     .file = file->real};
    uint64_t count, width = tt_dtype_info(from->dtype)->bytes;

    memcpy(tensor.shape, from->shape, sizeof tensor.shape);
    if (tt_torch_contiguous(from) && from->offset) {
        tt_shape_count(from->rank, from->shape, &count);
        tensor.offset = from->offset + from->first * width;
        tensor.nbytes = count * width;
        tensor.data = file->data + tensor.offset;
    } else {
        struct strided *strided = tt_model_alloc(model, sizeof *strided);
        strided->form = (struct tt_tensor_form){from->offset ? "strided" : "deflated", read_strided};
        strided->tensor = *from;
        strided->tensor.name = NULL;
        tensor.form = &strided->form;
    }
    tt_tensors_add(&model->tensors, &tensor);
}

int tt_torch_add(struct tt_model *model, const struct tt_file *file, struct tt_error *error)
{
    struct tt_torch torch;
    int rc = tt_torch_read(file, true, &torch, error);

    for (size_t i = 0; i < torch.count && rc == 0; i++)
        add(model, file, &torch.tensors[i]);
    for (size_t i = 0; i < torch.nunpacked; i++)
        tt_model_own(model, torch.unpacked[i]);
    torch.nunpacked = 0;
    tt_torch_free(&torch);
    return rc;
}

int tt_model_load_torch(struct tt_model *model, const char *path, struct tt_error *error)
{
    const struct tt_file *file = tt_model_add_file(model, path, error);
    return file && tt_torch_add(model, file, error) == 0 ? tt_model_load_config(model, path, error) : -1;
}
