/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: weights with a low-rank update on top. Hu et al. 2021, "LoRA": W + alpha/r * B * A.
 * Invariants: shapes were checked; both factors are kept in f64, so a row costs rank times its length.
 */
#include "model/adapter.h"

#include <stdlib.h>

#include "model/forms.h"

struct updated {
    struct tt_row_form rows;
    struct tt_model_tensor base; /* a copy, of a tensor that may itself be computed */
    uint64_t rank;
    double *left;  /* [rows, rank] scale included */
    double *right; /* [rank, columns] */
};

static int read_row(const struct tt_row_form *form, uint64_t row, uint64_t first, uint64_t count, double *out,
                    struct tt_error *error)
{
    const struct updated *u = (const struct updated *)form;

    if (tt_model_read(&u->base, row * form->columns + first, count, out, error) != 0)
        return -1;
    for (uint64_t k = 0; k < u->rank; k++) {
        double factor = u->left[row * u->rank + k];
        const double *line = u->right + k * form->columns + first; /* [count] */
        for (uint64_t i = 0; i < count; i++)
            out[i] += factor * line[i];
    }
    return 0;
}

/* Files of a bare decoder lack the first part of the names that it has as a whole model ("transformer."). */
static struct tt_model_tensor *target(struct tt_model *model, const char *name, const char *where,
                                      struct tt_error *error)
{
    size_t index;
    const char *dot = strchr(name, '.');

    if (tt_names_find(model->names, name, &index) || (dot && tt_names_find(model->names, dot + 1, &index)))
        return &model->tensors.items[index];
    tt_fail(error, TT_EINPUT, "%s changes '%s', which %s lacks: it is an adapter of another model", where,
            tt_printable(name, strlen(name)).text, model->path);
    return NULL;
}

static int misfit(const struct tt_model_tensor *weight, const char *where, struct tt_error *error)
{
    return tt_fail(error, TT_EINPUT, "%s: the shapes for '%s' do not fit the model's: it is an adapter of another model",
                   where, tt_printable(weight->name, strlen(weight->name)).text);
}

/* A matrix times `scale` as f64, owned by the model; NULL with one line. */
static double *matrix(struct tt_model *model, const struct tt_model_tensor *tensor, bool transposed, double scale,
                      struct tt_error *error)
{
    uint64_t rows = tt_axis(tensor, 0), columns = tt_axis(tensor, 1);
    double *in = tt_alloc_array(rows * columns, sizeof *in), *out = tt_alloc_array(rows * columns, sizeof *out);
    int rc = tt_model_read(tensor, 0, rows * columns, in, error);

    for (uint64_t i = 0; i < rows; i++)
        for (uint64_t j = 0; j < columns; j++)
            out[transposed ? j * rows + i : i * columns + j] = scale * in[i * columns + j];
    free(in);
    tt_model_own(model, out);
    return rc == 0 ? out : NULL;
}

static bool fits(const struct tt_model_tensor *weight, const struct tt_adapter_pair *pair)
{
    const struct tt_model_tensor *left = pair->left, *right = pair->right;
    int rows = pair->left_transposed, columns = !pair->right_transposed;

    return weight->rank == 2 && left->rank == 2 && right->rank == 2 && tt_elements(left) > 0 &&
           tt_axis(left, !rows) == tt_axis(right, !columns) && tt_axis(left, rows) == tt_axis(weight, 0) &&
           tt_axis(right, columns) == tt_axis(weight, 1) && tt_elements(right) > 0;
}

int tt_adapter_apply(struct tt_model *model, const char *name, const struct tt_adapter_pair *pair, const char *where,
                     struct tt_error *error)
{
    struct tt_model_tensor *weight = target(model, name, where, error);

    if (!weight || !fits(weight, pair))
        return weight ? misfit(weight, where, error) : -1;
    struct updated *u = tt_model_alloc(model, sizeof *u);
    u->left = matrix(model, pair->left, pair->left_transposed, pair->scale, error);
    u->right = u->left ? matrix(model, pair->right, pair->right_transposed, 1, error) : NULL;
    if (!u->right)
        return -1;
    u->rank = tt_axis(pair->left, !pair->left_transposed);
    u->base = *weight;
    u->rows = (struct tt_row_form){{"lora", tt_read_rows}, tt_axis(weight, 1), read_row};
    weight->form = &u->rows.form;
    return 0;
}

int tt_adapter_replace(struct tt_model *model, const char *name, const struct tt_model_tensor *by, const char *where,
                       struct tt_error *error)
{
    struct tt_model_tensor *tensor = target(model, name, where, error);

    if (!tensor)
        return -1;
    if (tensor->rank != by->rank || memcmp(tensor->shape, by->shape, (size_t)by->rank * sizeof *by->shape) != 0)
        return misfit(tensor, where, error);
    name = tensor->name;
    *tensor = *by;
    tensor->name = name;
    return 0;
}

int tt_model_add_adapter(struct tt_model *model, const char *path, double scale, struct tt_error *error)
{
    struct tt_model *adapter = tt_model_open(path, error);

    if (!adapter)
        return -1;
    model->adapters = tt_grow(model->adapters, model->nadapters + 1, sizeof(struct tt_model *));
    model->adapters[model->nadapters++] = adapter;
    return strcmp(adapter->scheme, "gguf") == 0 ? tt_adapter_add_gguf(model, adapter, scale, error)
                                                : tt_adapter_add_peft(model, adapter, scale, error);
}
