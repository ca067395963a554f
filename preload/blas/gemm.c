/* SPDX-License-Identifier: Apache-2.0
 *
 * gemm and gemm_batch_strided as records: op "matmul", operands a [M, K], b [K, N], c [M, N], with a leading
 * batch axis when strided.
 */
#include "blas/call.h"

bool tt_gemm_valid(const struct tt_gemm *g)
{
    return g->order && g->trans_a && g->trans_b && g->m > 0 && g->n > 0 && g->k > 0 && g->batch > 0 &&
           tt_blas_leading_valid(g->order, g->trans_a, g->m, g->k, g->lda) &&
           tt_blas_leading_valid(g->order, g->trans_b, g->k, g->n, g->ldb) &&
           tt_blas_leading_valid(g->order, 'n', g->m, g->n, g->ldc);
}

static void attributes(struct tt_call_scope *scope, const struct tt_gemm *g)
{
    const struct {
        const char *name;
        int64_t value;
    } integers[] = {{"m", g->m},     {"n", g->n},     {"k", g->k},
                    {"lda", g->lda}, {"ldb", g->ldb}, {"ldc", g->ldc},
                    {"batch", g->batch}, {"stride_a", g->stride_a}, {"stride_b", g->stride_b},
                    {"stride_c", g->stride_c}};
    size_t count = sizeof(integers) / sizeof(integers[0]) - (g->strided ? 0 : 4);
    tt_call_str(scope, "order", tt_blas_order_text(g->order));
    tt_call_str(scope, "trans_a", tt_blas_trans_text(g->trans_a));
    tt_call_str(scope, "trans_b", tt_blas_trans_text(g->trans_b));
    for (size_t i = 0; i < count; i++)
        tt_call_i64(scope, integers[i].name, integers[i].value);
    tt_call_f64(scope, "alpha", g->alpha);
    tt_call_f64(scope, "beta", g->beta);
}

static struct tt_tensor_view with_batch(struct tt_tensor_view view, int64_t batch, int64_t stride)
{
    view.rank = 3;
    for (int axis = 2; axis > 0; axis--) {
        view.shape[axis] = view.shape[axis - 1];
        view.strides[axis] = view.strides[axis - 1];
    }
    view.shape[0] = batch;
    view.strides[0] = stride;
    return view;
}

static struct tt_tensor_view view_of(const struct tt_gemm *g, char role)
{
    struct tt_tensor_view view;
    int64_t stride;
    if (role == 'a') {
        view = tt_blas_matrix_view(g->a, g->type_a, g->order, g->trans_a, g->m, g->k, g->lda);
        stride = g->stride_a;
    } else if (role == 'b') {
        view = tt_blas_matrix_view(g->b, g->type_b, g->order, g->trans_b, g->k, g->n, g->ldb);
        stride = g->stride_b;
    } else {
        view = tt_blas_matrix_view(g->c, g->type_c, g->order, 'n', g->m, g->n, g->ldc);
        stride = g->stride_c;
    }
    return g->strided ? with_batch(view, g->batch, stride) : view;
}

static void operand(struct tt_call_scope *scope, const struct tt_gemm *g, char role, enum tt_when when)
{
    struct tt_tensor_view view = view_of(g, role);
    tt_call_operand(scope, role == 'a' ? "a" : role == 'b' ? "b" : "c", when, &view);
}

static void inputs(struct tt_call_scope *scope, const struct tt_gemm *g)
{
    if (g->alpha != 0) {
        operand(scope, g, 'a', TT_BEFORE);
        operand(scope, g, 'b', TT_BEFORE);
    }
    if (g->beta != 0)
        operand(scope, g, 'c', TT_BEFORE);
}

void tt_gemm_announce(struct tt_call_scope *scope, const struct tt_gemm *gemm)
{
    if (!tt_gemm_valid(gemm) || gemm->alpha == 0)
        return;
    struct tt_tensor_view a = view_of(gemm, 'a'), b = view_of(gemm, 'b');
    tt_call_announce(scope, &a);
    tt_call_announce(scope, &b);
}

bool tt_gemm_record_inputs(struct tt_call_scope *scope, const struct tt_gemm *gemm)
{
    bool sound = tt_gemm_valid(gemm);
    attributes(scope, gemm);
    if (!sound)
        tt_call_i64(scope, "invalid", 1);
    tt_gemm_announce(scope, gemm);
    tt_call_begin(scope);
    if (sound)
        inputs(scope, gemm);
    return sound;
}

void tt_gemm_record_output(struct tt_call_scope *scope, const struct tt_gemm *gemm)
{
    operand(scope, gemm, 'c', TT_AFTER);
}

void tt_gemm_before(struct tt_blas_call *call, const void *frame, const struct tt_gemm *gemm)
{
    struct tt_section section;
    if (!tt_blas_begin(call, frame, &section, "matmul", gemm->routine))
        return;
    call->operands = tt_gemm_record_inputs(&call->scope, gemm);
    tt_section_leave(&section);
}

void tt_gemm_after(struct tt_blas_call *call, const struct tt_gemm *gemm)
{
    struct tt_section section;
    if (!tt_blas_resume(call, &section))
        return;
    if (call->operands)
        tt_gemm_record_output(&call->scope, gemm);
    tt_call_end(&call->scope);
    tt_section_leave(&section);
}
