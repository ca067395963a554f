/* SPDX-License-Identifier: Apache-2.0
 *
 * gemm_batch: one call "matmul_batch" (attribute group_count) whose products are child calls "matmul" with
 * their place in the pointer arrays as batch_index. All products of a group share sizes, transpositions,
 * leading dimensions and factors.
 *
 * The argument arrays are the program's: they are read before the real call and copied, since the products
 * are needed again after it.
 */
#include <stdlib.h>

#include "blas/call.h"

struct tt_blas_matrix { /* one product between before and after */
    struct tt_call_scope scope;
    struct tt_gemm gemm;
    bool entered, sound;
};

/* A broken caller may pass any number; this bounds what we look at. */
enum { MAX_PRODUCTS = 1 << 20 };

static int64_t integer_at(const struct tt_gemm_batch *batch, const void *array, int64_t group)
{
    return batch->integer == 8 ? ((const int64_t *)array)[group] : ((const int32_t *)array)[group];
}

static double scalar_at(enum tt_dtype type, const void *array, int64_t group)
{
    switch (type) {
    case TT_F64:
        return ((const double *)array)[group];
    case TT_F16:
        return tt_half_value(((const uint16_t *)array)[group]);
    case TT_BF16:
        return tt_bf16_value(((const uint16_t *)array)[group]);
    default:
        return ((const float *)array)[group];
    }
}

static char trans_at(const struct tt_gemm_batch *batch, const void *array, int64_t group)
{
    return batch->fortran ? tt_blas_trans_letter(((const char *)array)[group])
                          : tt_blas_trans(((const int *)array)[group]);
}

/* Everything of a group but its matrices. */
static struct tt_gemm group_of(const struct tt_gemm_batch *batch, int64_t group)
{
    return (struct tt_gemm){
        .routine = batch->routine,
        .order = batch->order,
        .trans_a = trans_at(batch, batch->trans_a, group),
        .trans_b = trans_at(batch, batch->trans_b, group),
        .m = integer_at(batch, batch->m, group),
        .n = integer_at(batch, batch->n, group),
        .k = integer_at(batch, batch->k, group),
        .lda = integer_at(batch, batch->lda, group),
        .ldb = integer_at(batch, batch->ldb, group),
        .ldc = integer_at(batch, batch->ldc, group),
        .alpha = scalar_at(batch->type_scalar, batch->alpha, group),
        .beta = scalar_at(batch->type_scalar, batch->beta, group),
        .batch = 1,
        .type_a = batch->type_a,
        .type_b = batch->type_b,
        .type_c = batch->type_c,
    };
}

/* Number of products, -1 when the arguments make no sense. */
static int64_t count_products(const struct tt_gemm_batch *batch)
{
    int64_t count = 0;
    if (batch->group_count <= 0 || batch->group_count > MAX_PRODUCTS || !batch->order)
        return -1;
    for (int64_t group = 0; group < batch->group_count; group++) {
        int64_t size = integer_at(batch, batch->group_size, group);
        if (size < 0 || size > MAX_PRODUCTS || count + size > MAX_PRODUCTS)
            return -1;
        count += size;
    }
    return count > 0 ? count : -1;
}

/* Places `gemm`, the group's, at its product `index`. */
static void place(const struct tt_gemm_batch *batch, int64_t index, struct tt_gemm *gemm)
{
    gemm->a = batch->a[index];
    gemm->b = batch->b[index];
    gemm->c = batch->c[index];
}

static void product_before(const struct tt_call_scope *parent, struct tt_blas_matrix *product, int64_t index)
{
    product->entered = tt_call_enter_child(&product->scope, parent, "matmul", product->gemm.routine);
    if (!product->entered)
        return;
    tt_call_i64(&product->scope, "batch_index", index);
    product->sound = tt_gemm_record_inputs(&product->scope, &product->gemm);
}

/* All products are announced before the first record, so that the batch is of one epoch. */
static void announce_products(struct tt_call_scope *parent, struct tt_gemm_batch *batch)
{
    int64_t index = 0;
    for (int64_t group = 0; group < batch->group_count; group++) {
        struct tt_gemm gemm = group_of(batch, group);
        int64_t size = integer_at(batch, batch->group_size, group);
        for (int64_t i = 0; i < size; i++, index++) {
            place(batch, index, &gemm);
            batch->matrices[index].gemm = gemm;
            tt_gemm_announce(parent, &gemm);
        }
    }
}

void tt_gemm_batch_before(struct tt_blas_call *call, const void *frame, struct tt_gemm_batch *batch)
{
    struct tt_section section;
    batch->matrices = NULL;
    if (!tt_blas_begin(call, frame, &section, "matmul_batch", batch->routine))
        return;
    int64_t count = count_products(batch);
    tt_call_str(&call->scope, "order", tt_blas_order_text(batch->order));
    tt_call_i64(&call->scope, "group_count", batch->group_count);
    if (count < 0)
        tt_call_i64(&call->scope, "invalid", 1);
    else
        tt_call_i64(&call->scope, "batch", count);
    if (count > 0)
        batch->matrices = calloc((size_t)count, sizeof(*batch->matrices));
    batch->nmatrices = batch->matrices ? count : 0;
    if (batch->matrices)
        announce_products(&call->scope, batch);
    else if (count > 0)
        tt_core_problem("%s: no memory to record a batch", batch->routine);
    tt_call_begin(&call->scope);
    for (int64_t i = 0; i < batch->nmatrices; i++)
        product_before(&call->scope, &batch->matrices[i], i);
    tt_section_leave(&section);
}

void tt_gemm_batch_plain(const struct tt_gemm_batch *batch)
{
    int64_t index = 0;
    for (int64_t group = 0; group < batch->group_count; group++) {
        struct tt_gemm gemm = group_of(batch, group);
        for (int64_t i = 0; i < integer_at(batch, batch->group_size, group); i++, index++) {
            place(batch, index, &gemm);
            tt_gemm_plain(&gemm);
        }
    }
}

void tt_gemm_batch_after(struct tt_blas_call *call, struct tt_gemm_batch *batch)
{
    struct tt_section section;
    bool open = tt_blas_resume(call, &section);
    for (int64_t i = 0; open && i < batch->nmatrices; i++) {
        struct tt_blas_matrix *product = &batch->matrices[i];
        if (product->sound)
            tt_gemm_record_output(&product->scope, &product->gemm);
        if (product->entered)
            tt_call_end(&product->scope);
    }
    if (open) {
        tt_call_end(&call->scope);
        tt_section_leave(&section);
    }
    free(batch->matrices);
}
