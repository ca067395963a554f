/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensors made from others without copying: strided views (slices, transposes, splits of axes) and stacks. A part of a
 * plain tensor that lies in one piece is a plain tensor itself, at its own place of the file.
 */
#include <stdlib.h>
#include <string.h>

#include "graph/private.h"

/* ---- steps ---- */

void tt_strided_whole(struct tt_strided *view, const struct tt_model_tensor *base)
{
    int64_t stride = 1;
    *view = (struct tt_strided){.base = base, .rank = base->rank};
    for (int i = base->rank - 1; i >= 0; i--) {
        view->shape[i] = base->shape[i];
        view->stride[i] = stride;
        stride *= base->shape[i];
    }
}

int tt_strided_transpose(struct tt_strided *view)
{
    int a = view->rank - 2, b = view->rank - 1;
    if (a < 0)
        return -1;
    int64_t length = view->shape[a], stride = view->stride[a];
    view->shape[a] = view->shape[b], view->stride[a] = view->stride[b];
    view->shape[b] = length, view->stride[b] = stride;
    return 0;
}

/* Old axes [from, to) as new axes [first, last): the old ones must follow each other in memory. */
static bool regroup(const struct tt_strided *view, int from, int to, const int64_t *shape, int first, int last,
                    struct tt_strided *out)
{
    for (int i = from; i + 1 < to; i++)
        if (view->stride[i] != view->stride[i + 1] * view->shape[i + 1])
            return false;
    int64_t stride = to > from ? view->stride[to - 1] : 1;
    for (int i = last - 1; i >= first; i--) {
        out->shape[i] = shape[i];
        out->stride[i] = stride;
        stride *= shape[i];
    }
    return true;
}

int tt_strided_reshape(struct tt_strided *view, int rank, const int64_t *shape)
{
    struct tt_strided out = {.base = view->base, .offset = view->offset, .rank = rank};
    int from = 0, first = 0;
    while (from < view->rank || first < rank) { /* the smallest groups of axes with equal products */
        int to = from, last = first;
        int64_t before = to < view->rank ? view->shape[to++] : 1, after = last < rank ? shape[last++] : 1;
        while (before != after) {
            bool grew = before < after ? to < view->rank && !__builtin_mul_overflow(before, view->shape[to++], &before)
                                       : last < rank && !__builtin_mul_overflow(after, shape[last++], &after);
            if (!grew)
                return -1;
        }
        if (!regroup(view, from, to, shape, first, last, &out))
            return -1;
        from = to, first = last;
    }
    *view = out;
    return 0;
}

int tt_strided_take(struct tt_strided *view, int axis, int64_t first, int64_t count, int64_t step)
{
    if (axis < 0 || axis >= view->rank || first < 0 || count < 1 || step < 1 || first >= view->shape[axis] ||
        count - 1 > (view->shape[axis] - 1 - first) / step)
        return -1;
    view->offset += first * view->stride[axis];
    view->shape[axis] = count;
    if (count > 1) /* step is within the axis then */
        view->stride[axis] *= step;
    return 0;
}

/* ---- reading ---- */

struct strided_form {
    struct tt_tensor_form form;
    struct tt_strided view;
};

/* Base element of the view's element i, and how many follow it in one run. */
static int64_t element(const struct tt_strided *view, uint64_t i, uint64_t *run)
{
    int64_t at = view->offset;
    *run = 1;
    for (int axis = view->rank - 1; axis >= 0; axis--) {
        uint64_t length = (uint64_t)view->shape[axis], index = i % length;
        if (axis == view->rank - 1 && view->stride[axis] == 1)
            *run = length - index;
        at += (int64_t)index * view->stride[axis];
        i /= length;
    }
    return at;
}

/* One after the other along the base: runs. */
static int read_runs(const struct tt_strided *view, uint64_t first, uint64_t count, double *out, struct tt_error *error)
{
    for (uint64_t done = 0, run; done < count; done += run) {
        int64_t at = element(view, first + done, &run);
        run = run < count - done ? run : count - done;
        if (tt_model_read(view->base, (uint64_t)at, run, out + done, error))
            return -1;
    }
    return 0;
}

/* Against the base's order: everything from its first to its last element is read once, then picked. */
static int read_picked(const struct tt_strided *view, uint64_t first, uint64_t count, double *out, struct tt_error *error)
{
    uint64_t run;
    int64_t least = INT64_MAX, most = -1;
    for (uint64_t i = 0; i < count; i++) {
        int64_t at = element(view, first + i, &run);
        least = at < least ? at : least;
        most = at > most ? at : most;
    }
    if (!count)
        return 0;
    double *all = tt_alloc_array((size_t)(most - least + 1), sizeof *all);
    int failed = tt_model_read(view->base, (uint64_t)least, (uint64_t)(most - least + 1), all, error);
    for (uint64_t i = 0; !failed && i < count; i++)
        out[i] = all[element(view, first + i, &run) - least];
    free(all);
    return failed;
}

static int read_strided(const struct tt_tensor_form *form, uint64_t first, uint64_t count, double *out,
                        struct tt_error *error)
{
    const struct tt_strided *view = &((const struct strided_form *)form)->view;
    bool runs = view->rank == 0 || view->stride[view->rank - 1] == 1 || count == 1;
    return runs ? read_runs(view, first, count, out, error) : read_picked(view, first, count, out, error);
}

static bool in_one_piece(const struct tt_strided *view)
{
    int64_t stride = 1;
    for (int i = view->rank - 1; i >= 0; i--) {
        if (view->shape[i] != 1 && view->stride[i] != stride)
            return false;
        stride *= view->shape[i];
    }
    return true;
}

/* Bytes of `count` elements of the dtype; 0 when they are not whole blocks. */
static uint64_t bytes_of(enum tt_dtype dtype, uint64_t count)
{
    const struct tt_dtype_info *info = tt_dtype_info(dtype);
    return count % info->block ? 0 : count / info->block * info->bytes;
}

void tt_strided_tensor(const struct tt_strided *view, int rank, const int64_t *shape, struct tt_model_tensor *out)
{
    const struct tt_model_tensor *base = view->base;
    uint64_t count = 1, before = (uint64_t)view->offset;
    *out = *base;
    out->base = base->base ? base->base : base;
    out->rank = rank;
    for (int i = 0; i < rank; i++) {
        out->shape[i] = shape[i];
        count *= (uint64_t)shape[i];
    }
    uint64_t skip = bytes_of(base->dtype, before), bytes = bytes_of(base->dtype, count);
    if (!base->form && in_one_piece(view) && (skip || !before) && bytes) {
        out->data = (const char *)base->data + skip;
        out->offset = base->offset + skip;
        out->nbytes = bytes;
        return;
    }
    struct strided_form *made = tt_alloc(sizeof *made);
    *made = (struct strided_form){{in_one_piece(view) ? "slice" : "strided", read_strided}, *view};
    out->form = &made->form;
    out->data = NULL;
    out->nbytes = 0;
}

static bool strided_rows(const struct tt_strided *view, int64_t count, int64_t width, int64_t *rows)
{
    for (int64_t r = 0; r < count; r++) {
        uint64_t run;
        int64_t at = element(view, (uint64_t)(r * width), &run);
        if (run < (uint64_t)width || at % width)
            return false;
        rows[r] = at / width;
    }
    return true;
}

bool tt_tensor_base_rows(const struct tt_model_tensor *tensor, int64_t *rows)
{
    const struct tt_model_tensor *base = tensor->base;
    int64_t width = tensor->shape[1];
    if (!base || width < 1 || tensor->rank != 2 || base->rank != 2 || base->shape[1] != width)
        return false;
    if (tensor->form)
        return tensor->form->read == read_strided &&
               strided_rows(&((const struct strided_form *)tensor->form)->view, tensor->shape[0], width, rows);
    uint64_t each = base->nbytes / (uint64_t)base->shape[0], skipped = tensor->offset - base->offset;
    for (int64_t r = 0; each && r < tensor->shape[0]; r++)
        rows[r] = (int64_t)(skipped / each) + r;
    return each && skipped % each == 0;
}

/* ---- stacks ---- */

struct stacked_form {
    struct tt_tensor_form form;
    uint64_t each; /* elements of one part */
    const struct tt_model_tensor *parts[];
};

static int read_stacked(const struct tt_tensor_form *form, uint64_t first, uint64_t count, double *out,
                        struct tt_error *error)
{
    const struct stacked_form *stack = (const struct stacked_form *)form;
    for (uint64_t done = 0, n; done < count; done += n) {
        uint64_t part = (first + done) / stack->each, at = (first + done) % stack->each;
        n = stack->each - at < count - done ? stack->each - at : count - done;
        if (tt_model_read(stack->parts[part], at, n, out + done, error))
            return -1;
    }
    return 0;
}

void tt_stacked_tensor(const struct tt_model_tensor *const *parts, int64_t n, struct tt_model_tensor *out)
{
    struct stacked_form *made = tt_alloc(sizeof *made + (size_t)n * sizeof *made->parts);
    *out = *parts[0];
    out->rank++;
    memmove(out->shape + 1, parts[0]->shape, (size_t)parts[0]->rank * sizeof *out->shape);
    out->shape[0] = n;
    made->form = (struct tt_tensor_form){"stack", read_stacked};
    made->each = 1;
    for (int i = 0; i < parts[0]->rank; i++)
        made->each *= (uint64_t)parts[0]->shape[i];
    memcpy(made->parts, parts, (size_t)n * sizeof *parts);
    out->form = &made->form;
    out->base = NULL;
    out->data = NULL;
    out->nbytes = 0;
}

static bool made_from(const struct tt_model_tensor *made, const struct tt_model_tensor *tensor)
{
    if (made == tensor || made->base == tensor)
        return true;
    const struct stacked_form *stack = (const struct stacked_form *)made->form;
    if (!made->form || made->form->read != read_stacked)
        return false;
    uint64_t n = (uint64_t)made->shape[0];
    for (uint64_t i = 0; i < n; i++)
        if (stack->parts[i] == tensor || stack->parts[i]->base == tensor)
            return true;
    return false;
}

bool tt_graph_reads(const struct tt_graph *graph, const struct tt_model_tensor *tensor)
{
    for (int i = 0; i < graph->nnodes; i++)
        for (int role = 0; role < TT_OP_MAX_WEIGHTS; role++)
            if (graph->nodes[i].weight[role] && made_from(graph->nodes[i].weight[role], tensor))
                return true;
    return false;
}

void tt_made_tensor_free(struct tt_model_tensor *tensor)
{
    free((void *)tensor->form); /* the form is the first member of what was allocated */
}
