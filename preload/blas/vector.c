/* SPDX-License-Identifier: Apache-2.0
 *
 * gemv, dot, axpy and scal as records: ops "matvec", "dot", "axpy", "scal".
 */
#include "blas/call.h"

static void announce(struct tt_call_scope *scope, const void *data, enum tt_dtype type, int64_t n, int64_t increment)
{
    struct tt_tensor_view view = tt_blas_vector_view(data, type, n, increment);
    tt_call_announce(scope, &view);
}

static void vector(struct tt_call_scope *scope, const char *role, enum tt_when when, const void *data,
                   enum tt_dtype type, int64_t n, int64_t increment)
{
    struct tt_tensor_view view = tt_blas_vector_view(data, type, n, increment);
    tt_call_operand(scope, role, when, &view);
}

/* Marks the call when it is not sound, writes its record. */
static bool begin(struct tt_blas_call *call, bool sound)
{
    if (!sound)
        tt_call_i64(&call->scope, "invalid", 1);
    tt_call_begin(&call->scope);
    return call->operands = sound;
}

/* Logical rows and columns of op(A). */
static int64_t rows(const struct tt_gemv *g)
{
    return g->trans == 'n' ? g->m : g->n;
}

static int64_t columns(const struct tt_gemv *g)
{
    return g->trans == 'n' ? g->n : g->m;
}

bool tt_gemv_valid(const struct tt_gemv *g)
{
    return g->order && g->trans && g->m > 0 && g->n > 0 && g->incx != 0 && g->incy != 0 &&
           tt_blas_leading_valid(g->order, 'n', g->m, g->n, g->lda);
}

static void gemv_attributes(struct tt_call_scope *scope, const struct tt_gemv *g)
{
    tt_call_str(scope, "order", tt_blas_order_text(g->order));
    tt_call_str(scope, "trans", tt_blas_trans_text(g->trans));
    tt_call_i64(scope, "m", g->m);
    tt_call_i64(scope, "n", g->n);
    tt_call_i64(scope, "lda", g->lda);
    tt_call_i64(scope, "incx", g->incx);
    tt_call_i64(scope, "incy", g->incy);
    tt_call_f64(scope, "alpha", g->alpha);
    tt_call_f64(scope, "beta", g->beta);
}

static struct tt_tensor_view gemv_matrix(const struct tt_gemv *g)
{
    return tt_blas_matrix_view(g->a, g->type_a, g->order, g->trans, rows(g), columns(g), g->lda);
}

static void gemv_announce(struct tt_call_scope *scope, const struct tt_gemv *g)
{
    if (!tt_gemv_valid(g) || g->alpha == 0)
        return;
    struct tt_tensor_view a = gemv_matrix(g);
    tt_call_announce(scope, &a);
    announce(scope, g->x, g->type_x, columns(g), g->incx);
}

static void gemv_inputs(struct tt_call_scope *scope, const struct tt_gemv *g)
{
    struct tt_tensor_view a = gemv_matrix(g);
    if (g->alpha != 0) {
        tt_call_operand(scope, "a", TT_BEFORE, &a);
        vector(scope, "x", TT_BEFORE, g->x, g->type_x, columns(g), g->incx);
    }
    if (g->beta != 0)
        vector(scope, "y", TT_BEFORE, g->y, g->type_y, rows(g), g->incy);
}

void tt_gemv_before(struct tt_blas_call *call, const void *frame, const struct tt_gemv *gemv)
{
    struct tt_section section;
    if (!tt_blas_begin(call, frame, &section, "matvec", gemv->routine))
        return;
    gemv_attributes(&call->scope, gemv);
    gemv_announce(&call->scope, gemv);
    if (begin(call, tt_gemv_valid(gemv)))
        gemv_inputs(&call->scope, gemv);
    tt_section_leave(&section);
}

void tt_gemv_after(struct tt_blas_call *call, const struct tt_gemv *gemv)
{
    struct tt_section section;
    if (!tt_blas_resume(call, &section))
        return;
    if (call->operands)
        vector(&call->scope, "y", TT_AFTER, gemv->y, gemv->type_y, rows(gemv), gemv->incy);
    tt_call_end(&call->scope);
    tt_section_leave(&section);
}

void tt_dot_before(struct tt_blas_call *call, const void *frame, const struct tt_vector_call *dot)
{
    struct tt_section section;
    if (!tt_blas_begin(call, frame, &section, "dot", dot->routine))
        return;
    tt_call_i64(&call->scope, "n", dot->n);
    tt_call_i64(&call->scope, "incx", dot->incx);
    tt_call_i64(&call->scope, "incy", dot->incy);
    if (dot->n > 0) {
        announce(&call->scope, dot->x, dot->type_x, dot->n, dot->incx);
        announce(&call->scope, dot->y, dot->type_y, dot->n, dot->incy);
    }
    if (begin(call, dot->n > 0)) {
        vector(&call->scope, "x", TT_BEFORE, dot->x, dot->type_x, dot->n, dot->incx);
        vector(&call->scope, "y", TT_BEFORE, dot->y, dot->type_y, dot->n, dot->incy);
    }
    tt_section_leave(&section);
}

void tt_dot_after(struct tt_blas_call *call, const struct tt_vector_call *dot, const void *result,
                  enum tt_dtype type)
{
    struct tt_section section;
    struct tt_tensor_view out = {.dtype = type, .rank = 0, .data = result};
    if (!tt_blas_resume(call, &section))
        return;
    if (call->operands)
        tt_call_operand(&call->scope, "out", TT_AFTER, &out);
    tt_call_end(&call->scope);
    tt_section_leave(&section);
}

void tt_axpy_before(struct tt_blas_call *call, const void *frame, const struct tt_vector_call *axpy)
{
    struct tt_section section;
    if (!tt_blas_begin(call, frame, &section, "axpy", axpy->routine))
        return;
    tt_call_i64(&call->scope, "n", axpy->n);
    tt_call_i64(&call->scope, "incx", axpy->incx);
    tt_call_i64(&call->scope, "incy", axpy->incy);
    tt_call_f64(&call->scope, "alpha", axpy->alpha);
    if (axpy->n > 0 && axpy->alpha != 0)
        announce(&call->scope, axpy->x, axpy->type_x, axpy->n, axpy->incx);
    if (begin(call, axpy->n > 0)) {
        if (axpy->alpha != 0)
            vector(&call->scope, "x", TT_BEFORE, axpy->x, axpy->type_x, axpy->n, axpy->incx);
        vector(&call->scope, "y", TT_BEFORE, axpy->y, axpy->type_y, axpy->n, axpy->incy);
    }
    tt_section_leave(&section);
}

void tt_axpy_after(struct tt_blas_call *call, const struct tt_vector_call *axpy)
{
    struct tt_section section;
    if (!tt_blas_resume(call, &section))
        return;
    if (call->operands)
        vector(&call->scope, "y", TT_AFTER, axpy->y, axpy->type_y, axpy->n, axpy->incy);
    tt_call_end(&call->scope);
    tt_section_leave(&section);
}

/* Reference BLAS does nothing for an increment below 1. */
void tt_scal_before(struct tt_blas_call *call, const void *frame, const struct tt_vector_call *scal)
{
    struct tt_section section;
    if (!tt_blas_begin(call, frame, &section, "scal", scal->routine))
        return;
    tt_call_i64(&call->scope, "n", scal->n);
    tt_call_i64(&call->scope, "incx", scal->incy);
    tt_call_f64(&call->scope, "alpha", scal->alpha);
    if (begin(call, scal->n > 0 && scal->incy > 0))
        vector(&call->scope, "x", TT_BEFORE, scal->y, scal->type_y, scal->n, scal->incy);
    tt_section_leave(&section);
}

void tt_scal_after(struct tt_blas_call *call, const struct tt_vector_call *scal)
{
    struct tt_section section;
    if (!tt_blas_resume(call, &section))
        return;
    if (call->operands)
        vector(&call->scope, "x", TT_AFTER, scal->y, scal->type_y, scal->n, scal->incy);
    tt_call_end(&call->scope);
    tt_section_leave(&section);
}
