/* SPDX-License-Identifier: Apache-2.0
 *
 * The arguments of one BLAS call in one form, whatever its name, interface, integer width and element type;
 * and how such a call is recorded. wrappers.c fills these, the families below turn them into operands.
 *
 * Recording (the analyzer relies on it): matrices are logical. Operand a of a gemm is op(A) [M, K], b is op(B)
 * [K, N], c is [M, N]; transposition and storage order appear in the strides and, as called, in the attributes.
 * An output is recorded before the call only when the call reads it (beta != 0).
 * A call with impossible arguments or an empty result is passed on untouched and recorded with invalid=1 and
 * no operands. With alpha == 0 BLAS does not read a and b, and neither do we.
 */
#ifndef TT_BLAS_CALL_H
#define TT_BLAS_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "core.h"
#include "tensortap/writer.h"

struct tt_blas_call {
    struct tt_call_scope scope;
    struct tt_recorder *recorder; /* NULL: not recorded */
    uintptr_t outer;              /* tt_blas_inside before this call */
    bool operands;                /* arguments are sound: operands are recorded */
};

struct tt_gemm { /* C [m, n] = alpha op(A) [m, k] op(B) [k, n] + beta C, `batch` times */
    const char *routine;
    bool strided; /* gemm_batch_strided: operands have a leading batch axis */
    char order;            /* 'r' row-major, 'c' column-major, 0 neither */
    char trans_a, trans_b; /* 'n', 't', 'c', 0 none of these */
    int64_t m, n, k;
    double alpha, beta;
    const void *a, *b;
    void *c;
    int64_t lda, ldb, ldc;             /* elements */
    int64_t stride_a, stride_b, stride_c; /* elements from one matrix to the next */
    int64_t batch;
    enum tt_dtype type_a, type_b, type_c;
};

struct tt_gemv { /* y = alpha op(A) x + beta y; A is m by n as stored */
    const char *routine;
    char order, trans;
    int64_t m, n;
    double alpha, beta;
    const void *a, *x;
    void *y;
    int64_t lda, incx, incy;
    enum tt_dtype type_a, type_x, type_y;
};

struct tt_vector_call { /* dot: x·y;  axpy: y += alpha x;  scal: y *= alpha (recorded as x) */
    const char *routine;
    int64_t n;
    double alpha;
    const void *x;
    void *y;
    int64_t incx, incy;
    enum tt_dtype type_x, type_y;
};

struct tt_gemm_batch { /* arrays as in the call; integers of `integer` bytes */
    const char *routine;
    char order;
    bool fortran; /* trans are characters, else CBLAS enums */
    int integer;  /* bytes: 4 or 8 */
    const void *trans_a, *trans_b, *m, *n, *k, *lda, *ldb, *ldc, *group_size; /* [group_count] */
    const void *alpha, *beta;         /* [group_count] of type_scalar */
    const void *const *a, *const *b;  /* [sum of group sizes] */
    void *const *c;
    int64_t group_count;
    enum tt_dtype type_scalar, type_a, type_b, type_c;
    struct tt_blas_matrix *matrices; /* one per product, between before and after */
    int64_t nmatrices;
};

/* Address of the frame of the outermost wrapper of this thread, 0 outside. A deeper frame is a nested call
 * (CBLAS calling Fortran). An address and no counter: when an error handler jumps out of BLAS, the next call
 * from a shallower frame is recorded again. */
extern _Thread_local uintptr_t tt_blas_inside __attribute__((tls_model("initial-exec")));

static inline bool tt_blas_wanted(const void *frame)
{
    return tt_core_on() && (!tt_blas_inside || (uintptr_t)frame >= tt_blas_inside);
}

void tt_gemm_before(struct tt_blas_call *call, const void *frame, const struct tt_gemm *gemm);
void tt_gemm_after(struct tt_blas_call *call, const struct tt_gemm *gemm);
/* The two halves without entering and leaving, for the products of a batch. */
bool tt_gemm_record_inputs(struct tt_call_scope *scope, const struct tt_gemm *gemm);
/* Tells the recorder of the inputs before the call begins; for a batch, of those of all its products. */
void tt_gemm_announce(struct tt_call_scope *scope, const struct tt_gemm *gemm);
void tt_gemm_record_output(struct tt_call_scope *scope, const struct tt_gemm *gemm);
void tt_gemm_batch_before(struct tt_blas_call *call, const void *frame, struct tt_gemm_batch *batch);
void tt_gemm_batch_after(struct tt_blas_call *call, struct tt_gemm_batch *batch);
void tt_gemv_before(struct tt_blas_call *call, const void *frame, const struct tt_gemv *gemv);
void tt_gemv_after(struct tt_blas_call *call, const struct tt_gemv *gemv);
void tt_dot_before(struct tt_blas_call *call, const void *frame, const struct tt_vector_call *dot);
void tt_dot_after(struct tt_blas_call *call, const struct tt_vector_call *dot, const void *result,
                  enum tt_dtype type);
void tt_axpy_before(struct tt_blas_call *call, const void *frame, const struct tt_vector_call *axpy);
void tt_axpy_after(struct tt_blas_call *call, const struct tt_vector_call *axpy);
void tt_scal_before(struct tt_blas_call *call, const void *frame, const struct tt_vector_call *scal);
void tt_scal_after(struct tt_blas_call *call, const struct tt_vector_call *scal);

/* plain.c: the routine itself, when there is no real function. */
void tt_gemm_plain(const struct tt_gemm *gemm);
void tt_gemm_batch_plain(const struct tt_gemm_batch *batch);
void tt_gemv_plain(const struct tt_gemv *gemv);
double tt_dot_plain(const struct tt_vector_call *dot);
void tt_axpy_plain(const struct tt_vector_call *axpy);
void tt_scal_plain(const struct tt_vector_call *scal);
/* Arguments make sense and the result is not empty. */
bool tt_gemm_valid(const struct tt_gemm *gemm);
bool tt_gemv_valid(const struct tt_gemv *gemv);

/* For the families: begin and end around their own part. tt_blas_begin is true when the call is recorded: set
 * attributes, then tt_call_begin and operands, then tt_section_leave. */
bool tt_blas_begin(struct tt_blas_call *call, const void *frame, struct tt_section *section, const char *op,
                   const char *routine);
bool tt_blas_resume(struct tt_blas_call *call, struct tt_section *section);

/* CBLAS enums and Fortran letters to the characters above. */
char tt_blas_order(int cblas);
char tt_blas_trans(int cblas);
char tt_blas_trans_letter(char fortran);
const char *tt_blas_trans_text(char trans);
const char *tt_blas_order_text(char order);

struct tt_tensor_view tt_blas_matrix_view(const void *data, enum tt_dtype type, char order, char trans,
                                          int64_t rows, int64_t columns, int64_t leading);
/* BLAS rule: with a negative increment the first element is the last in memory. */
struct tt_tensor_view tt_blas_vector_view(const void *data, enum tt_dtype type, int64_t n, int64_t increment);
/* Is `leading` large enough for op(X) [rows, columns] in this order? */
bool tt_blas_leading_valid(char order, char trans, int64_t rows, int64_t columns, int64_t leading);

double tt_half_value(uint16_t bits);
static inline double tt_bf16_value(uint16_t bits)
{
    union {
        uint32_t bits;
        float value;
    } wide = {(uint32_t)bits << 16};
    return wide.value;
}

#endif
