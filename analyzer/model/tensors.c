/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: keep tensors as parsed, and check what must hold for every container.
 */
#include "model/tensors.h"

#include <stdlib.h>

void tt_tensors_add(struct tt_tensors *tensors, const struct tt_model_tensor *tensor)
{
    if (tensors->count == tensors->capacity) {
        tensors->capacity = tensors->capacity ? 2 * tensors->capacity : 64;
        tensors->items = tt_grow(tensors->items, tensors->capacity, sizeof *tensors->items);
    }
    tensors->items[tensors->count++] = *tensor;
}

void tt_tensors_reserve(struct tt_tensors *tensors, size_t count)
{
    if (tensors->capacity - tensors->count >= count)
        return;
    tensors->capacity = tensors->count + count;
    tensors->items = tt_grow(tensors->items, tensors->capacity, sizeof *tensors->items);
}

void tt_tensors_free(struct tt_tensors *tensors)
{
    for (size_t i = 0; i < tensors->count; i++)
        free((char *)tensors->items[i].name);
    free(tensors->items);
    *tensors = (struct tt_tensors){0};
}

static int by_offset(const void *left, const void *right)
{
    const struct tt_model_tensor *a = *(const struct tt_model_tensor *const *)left;
    const struct tt_model_tensor *b = *(const struct tt_model_tensor *const *)right;
    return (a->offset > b->offset) - (a->offset < b->offset);
}

static int overlap_error(const struct tt_model_tensor *a, const struct tt_model_tensor *b,
                         const struct tt_file *file, struct tt_error *error)
{
    struct tt_printable first = tt_printable(a->name, strlen(a->name));
    struct tt_printable second = tt_printable(b->name, strlen(b->name));
    return tt_fail(error, TT_EINPUT,
                   "tensors '%s' and '%s' overlap at byte %llu of %s: the file is damaged; convert or "
                   "download it again",
                   first.text, second.text, (unsigned long long)b->offset, file->path);
}

int tt_tensors_disjoint(const struct tt_tensors *tensors, size_t first, const struct tt_file *file,
                        struct tt_error *error)
{
    size_t count = 0;
    int rc = 0;
    const struct tt_model_tensor **sorted = tt_alloc_array(tensors->count - first + 1, sizeof *sorted);

    for (size_t i = first; i < tensors->count; i++)
        if (tensors->items[i].nbytes > 0)
            sorted[count++] = &tensors->items[i];
    qsort(sorted, count, sizeof *sorted, by_offset);
    for (size_t i = 1; i < count && rc == 0; i++)
        if (sorted[i]->offset - sorted[i - 1]->offset < sorted[i - 1]->nbytes)
            rc = overlap_error(sorted[i - 1], sorted[i], file, error);
    free(sorted);
    return rc;
}

bool tt_shape_count(int rank, const int64_t *shape, uint64_t *count)
{
    int64_t product = 1;
    bool empty = false;

    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0)
            return false;
        if (shape[i] == 0)
            empty = true; /* [2^62, 2^62, 0] still overflows in whoever multiplies from the left */
        else if (__builtin_mul_overflow(product, shape[i], &product))
            return false;
    }
    *count = empty ? 0 : (uint64_t)product;
    return true;
}

bool tt_block_bytes(uint64_t count, uint32_t block, uint32_t bytes, uint64_t *total)
{
    return count % block == 0 && !__builtin_mul_overflow(count / block, (uint64_t)bytes, total);
}
