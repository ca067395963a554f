/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: find the weights that are stored quantised and have each made by its kind.
 * Invariant: at most one tensor is added for each that the file has, so a list with twice the room never moves.
 */
#include "model/quantised.h"

#include <stdlib.h>
#include <string.h>

/* What a tensor's name ends in, and the kinds that may be meant; the first that takes it wins. */
static const struct {
    const char *suffix;
    tt_quantised_kind *make;
} kinds[] = {
    {".qweight", tt_quantised_awq},
    {".qweight", tt_quantised_gptq},
    {".weight_packed", tt_quantised_packed},
    {".weight.absmax", tt_quantised_codes},
    {"_blocks", tt_quantised_mxfp4},
    {"", tt_quantised_scaled},
};

size_t tt_stem(const char *name, const char *suffix)
{
    size_t length = strlen(name), tail = strlen(suffix);
    return length > tail && strcmp(name + length - tail, suffix) == 0 ? length - tail : 0;
}

int tt_quantised_misfit(const struct tt_model_tensor *tensor, const char *what, struct tt_error *error)
{
    return tt_fail(error, TT_EINPUT, "%s: tensor '%s': %s; convert or download the model again", tensor->file,
                   tt_printable(tensor->name, strlen(tensor->name)).text, what);
}

struct tt_model_tensor *tt_computed_add(struct tt_model *model, const struct tt_model_tensor *like, size_t stem,
                                        const char *suffix)
{
    struct tt_model_tensor tensor = {.dtype = TT_F32, .rank = 2, .file = like->file, .base = like};

    tensor.name = tt_format("%.*s%s", (int)stem, like->name, suffix);
    if (!tt_names_add(model->names, tensor.name, model->tensors.count)) {
        free((char *)tensor.name);
        return NULL;
    }
    tt_tensors_add(&model->tensors, &tensor);
    return &model->tensors.items[model->tensors.count - 1];
}

static int make_one(struct tt_model *model, size_t index, struct tt_error *error)
{
    const char *name = model->tensors.items[index].name;
    int made = 0;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && made == 0 && !model->tensors.items[index].form; i++)
        if (tt_stem(name, kinds[i].suffix))
            made = kinds[i].make(model, index, error);
    return made < 0 ? -1 : 0;
}

int tt_quantised_add(struct tt_model *model, struct tt_error *error)
{
    size_t count = model->tensors.count;
    int rc = 0;

    tt_tensors_reserve(&model->tensors, count);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = make_one(model, i, error);
    return rc;
}
