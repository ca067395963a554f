/* SPDX-License-Identifier: Apache-2.0
 *
 * One argument list per family and interface, from which routines.h makes all wrappers.
 *
 * For each family F:  TT_<interface>_<F>_PARAMETERS(INT, S, A, B, C)  as the library declares them,
 * TT_<interface>_<F>_ARGUMENTS to pass them on, and TT_<interface>_<F>_FILL to bring them into the form of
 * call.h. INT is the integer of the name; S A B C are element types of the row.
 *
 * CBLAS passes real scalars by value, Fortran everything by address, and gfortran adds the length of each
 * character argument at the end. C callers often leave the lengths out; they are then whatever the registers
 * and stack hold, and passed on unread.
 */
#ifndef TT_BLAS_WRAPPERS_H
#define TT_BLAS_WRAPPERS_H

#include "blas/call.h"

/* Element types in C, and their value as a double. */
#define TT_C_F32          float
#define TT_C_F64          double
#define TT_C_F16          uint16_t
#define TT_C_BF16         uint16_t
#define TT_VALUE_F32(x)   ((double)(x))
#define TT_VALUE_F64(x)   (x)
#define TT_VALUE_F16(x)   tt_half_value(x)
#define TT_VALUE_BF16(x)  tt_bf16_value(x)

/* ---- gemm ---- */
#define TT_CBLAS_GEMM_PARAMETERS(INT, S, A, B, C)                                                            \
    (int order, int trans_a, int trans_b, INT m, INT n, INT k, TT_C_##S alpha, const TT_C_##A *a, INT lda,   \
     const TT_C_##B *b, INT ldb, TT_C_##S beta, TT_C_##C *c, INT ldc)
#define TT_CBLAS_GEMM_ARGUMENTS (order, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
#define TT_CBLAS_GEMM_FILL(S, A, B, C)                                                                       \
    .order = tt_blas_order(order), .trans_a = tt_blas_trans(trans_a), .trans_b = tt_blas_trans(trans_b),     \
    .m = m, .n = n, .k = k, .alpha = TT_VALUE_##S(alpha), .beta = TT_VALUE_##S(beta), .a = a, .b = b,        \
    .c = c, .lda = lda, .ldb = ldb, .ldc = ldc, .batch = 1, .type_a = TT_##A, .type_b = TT_##B,              \
    .type_c = TT_##C

#define TT_FORTRAN_GEMM_PARAMETERS(INT, S, A, B, C)                                                          \
    (const char *trans_a, const char *trans_b, const INT *m, const INT *n, const INT *k,                     \
     const TT_C_##S *alpha, const TT_C_##A *a, const INT *lda, const TT_C_##B *b, const INT *ldb,            \
     const TT_C_##S *beta, TT_C_##C *c, const INT *ldc, size_t length_a, size_t length_b)
#define TT_FORTRAN_GEMM_ARGUMENTS                                                                            \
    (trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, length_a, length_b)
#define TT_FORTRAN_GEMM_FILL(S, A, B, C)                                                                     \
    .order = 'c', .trans_a = tt_blas_trans_letter(*trans_a), .trans_b = tt_blas_trans_letter(*trans_b),      \
    .m = *m, .n = *n, .k = *k, .alpha = TT_VALUE_##S(*alpha), .beta = TT_VALUE_##S(*beta), .a = a, .b = b,   \
    .c = c, .lda = *lda, .ldb = *ldb, .ldc = *ldc, .batch = 1, .type_a = TT_##A, .type_b = TT_##B,           \
    .type_c = TT_##C

/* ---- gemm_batch_strided ---- */
#define TT_CBLAS_GEMM_STRIDED_PARAMETERS(INT, S, A, B, C)                                                    \
    (int order, int trans_a, int trans_b, INT m, INT n, INT k, TT_C_##S alpha, const TT_C_##A *a, INT lda,   \
     INT stride_a, const TT_C_##B *b, INT ldb, INT stride_b, TT_C_##S beta, TT_C_##C *c, INT ldc,            \
     INT stride_c, INT batch)
#define TT_CBLAS_GEMM_STRIDED_ARGUMENTS                                                                      \
    (order, trans_a, trans_b, m, n, k, alpha, a, lda, stride_a, b, ldb, stride_b, beta, c, ldc, stride_c,    \
     batch)
#define TT_CBLAS_GEMM_STRIDED_FILL(S, A, B, C)                                                               \
    .strided = true, .order = tt_blas_order(order), .trans_a = tt_blas_trans(trans_a),                       \
    .trans_b = tt_blas_trans(trans_b), .m = m, .n = n, .k = k, .alpha = TT_VALUE_##S(alpha),                 \
    .beta = TT_VALUE_##S(beta), .a = a, .b = b, .c = c, .lda = lda, .ldb = ldb, .ldc = ldc,                  \
    .stride_a = stride_a, .stride_b = stride_b, .stride_c = stride_c, .batch = batch, .type_a = TT_##A,      \
    .type_b = TT_##B, .type_c = TT_##C

#define TT_FORTRAN_GEMM_STRIDED_PARAMETERS(INT, S, A, B, C)                                                  \
    (const char *trans_a, const char *trans_b, const INT *m, const INT *n, const INT *k,                     \
     const TT_C_##S *alpha, const TT_C_##A *a, const INT *lda, const INT *stride_a, const TT_C_##B *b,       \
     const INT *ldb, const INT *stride_b, const TT_C_##S *beta, TT_C_##C *c, const INT *ldc,                 \
     const INT *stride_c, const INT *batch, size_t length_a, size_t length_b)
#define TT_FORTRAN_GEMM_STRIDED_ARGUMENTS                                                                    \
    (trans_a, trans_b, m, n, k, alpha, a, lda, stride_a, b, ldb, stride_b, beta, c, ldc, stride_c, batch,    \
     length_a, length_b)
#define TT_FORTRAN_GEMM_STRIDED_FILL(S, A, B, C)                                                             \
    .strided = true, .order = 'c', .trans_a = tt_blas_trans_letter(*trans_a),                                \
    .trans_b = tt_blas_trans_letter(*trans_b), .m = *m, .n = *n, .k = *k, .alpha = TT_VALUE_##S(*alpha),     \
    .beta = TT_VALUE_##S(*beta), .a = a, .b = b, .c = c, .lda = *lda, .ldb = *ldb, .ldc = *ldc,              \
    .stride_a = *stride_a, .stride_b = *stride_b, .stride_c = *stride_c, .batch = *batch,                    \
    .type_a = TT_##A, .type_b = TT_##B, .type_c = TT_##C

/* ---- gemm_batch: groups of products, all arrays by address ---- */
#define TT_CBLAS_GEMM_BATCH_PARAMETERS(INT, S, A, B, C)                                                      \
    (int order, const int *trans_a, const int *trans_b, const INT *m, const INT *n, const INT *k,            \
     const TT_C_##S *alpha, const TT_C_##A **a, const INT *lda, const TT_C_##B **b, const INT *ldb,          \
     const TT_C_##S *beta, TT_C_##C **c, const INT *ldc, INT group_count, const INT *group_size)
#define TT_CBLAS_GEMM_BATCH_ARGUMENTS                                                                        \
    (order, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, group_count, group_size)
#define TT_CBLAS_GEMM_BATCH_FILL(S, A, B, C)                                                                 \
    .order = tt_blas_order(order), .group_count = group_count,                                               \
    TT_GEMM_BATCH_ARRAYS(S, A, B, C)

#define TT_FORTRAN_GEMM_BATCH_PARAMETERS(INT, S, A, B, C)                                                    \
    (const char *trans_a, const char *trans_b, const INT *m, const INT *n, const INT *k,                     \
     const TT_C_##S *alpha, const TT_C_##A **a, const INT *lda, const TT_C_##B **b, const INT *ldb,          \
     const TT_C_##S *beta, TT_C_##C **c, const INT *ldc, const INT *group_count, const INT *group_size,      \
     size_t length_a, size_t length_b)
#define TT_FORTRAN_GEMM_BATCH_ARGUMENTS                                                                      \
    (trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, group_count, group_size, length_a,      \
     length_b)
#define TT_FORTRAN_GEMM_BATCH_FILL(S, A, B, C)                                                               \
    .order = 'c', .fortran = true, .group_count = *group_count, TT_GEMM_BATCH_ARRAYS(S, A, B, C)

#define TT_GEMM_BATCH_ARRAYS(S, A, B, C)                                                                     \
    .integer = sizeof(*m), .trans_a = trans_a, .trans_b = trans_b, .m = m, .n = n, .k = k, .lda = lda,       \
    .ldb = ldb, .ldc = ldc, .group_size = group_size, .alpha = alpha, .beta = beta,                          \
    .a = (const void *const *)a, .b = (const void *const *)b, .c = (void *const *)c,                         \
    .type_scalar = TT_##S, .type_a = TT_##A, .type_b = TT_##B, .type_c = TT_##C

/* ---- gemv ---- */
#define TT_CBLAS_GEMV_PARAMETERS(INT, S, A, B, C)                                                            \
    (int order, int trans, INT m, INT n, TT_C_##S alpha, const TT_C_##A *a, INT lda, const TT_C_##B *x,      \
     INT incx, TT_C_##S beta, TT_C_##C *y, INT incy)
#define TT_CBLAS_GEMV_ARGUMENTS (order, trans, m, n, alpha, a, lda, x, incx, beta, y, incy)
#define TT_CBLAS_GEMV_FILL(S, A, B, C)                                                                       \
    .order = tt_blas_order(order), .trans = tt_blas_trans(trans), .m = m, .n = n,                            \
    .alpha = TT_VALUE_##S(alpha), .beta = TT_VALUE_##S(beta), .a = a, .x = x, .y = y, .lda = lda,            \
    .incx = incx, .incy = incy, .type_a = TT_##A, .type_x = TT_##B, .type_y = TT_##C

#define TT_FORTRAN_GEMV_PARAMETERS(INT, S, A, B, C)                                                          \
    (const char *trans, const INT *m, const INT *n, const TT_C_##S *alpha, const TT_C_##A *a,                \
     const INT *lda, const TT_C_##B *x, const INT *incx, const TT_C_##S *beta, TT_C_##C *y,                  \
     const INT *incy, size_t length)
#define TT_FORTRAN_GEMV_ARGUMENTS (trans, m, n, alpha, a, lda, x, incx, beta, y, incy, length)
#define TT_FORTRAN_GEMV_FILL(S, A, B, C)                                                                     \
    .order = 'c', .trans = tt_blas_trans_letter(*trans), .m = *m, .n = *n, .alpha = TT_VALUE_##S(*alpha),    \
    .beta = TT_VALUE_##S(*beta), .a = a, .x = x, .y = y, .lda = *lda, .incx = *incx, .incy = *incy,          \
    .type_a = TT_##A, .type_x = TT_##B, .type_y = TT_##C

/* ---- dot ---- */
#define TT_CBLAS_DOT_PARAMETERS(INT, S, A, B, C)                                                             \
    (INT n, const TT_C_##A *x, INT incx, const TT_C_##B *y, INT incy)
#define TT_CBLAS_DOT_ARGUMENTS (n, x, incx, y, incy)
#define TT_CBLAS_DOT_FILL(S, A, B, C)                                                                        \
    .n = n, .x = x, .y = (void *)y, .incx = incx, .incy = incy, .type_x = TT_##A, .type_y = TT_##B

#define TT_FORTRAN_DOT_PARAMETERS(INT, S, A, B, C)                                                           \
    (const INT *n, const TT_C_##A *x, const INT *incx, const TT_C_##B *y, const INT *incy)
#define TT_FORTRAN_DOT_ARGUMENTS TT_CBLAS_DOT_ARGUMENTS
#define TT_FORTRAN_DOT_FILL(S, A, B, C)                                                                      \
    .n = *n, .x = x, .y = (void *)y, .incx = *incx, .incy = *incy, .type_x = TT_##A, .type_y = TT_##B

/* ---- axpy ---- */
#define TT_CBLAS_AXPY_PARAMETERS(INT, S, A, B, C)                                                            \
    (INT n, TT_C_##S alpha, const TT_C_##A *x, INT incx, TT_C_##C *y, INT incy)
#define TT_CBLAS_AXPY_ARGUMENTS (n, alpha, x, incx, y, incy)
#define TT_CBLAS_AXPY_FILL(S, A, B, C)                                                                       \
    .n = n, .alpha = TT_VALUE_##S(alpha), .x = x, .y = y, .incx = incx, .incy = incy, .type_x = TT_##A,      \
    .type_y = TT_##C

#define TT_FORTRAN_AXPY_PARAMETERS(INT, S, A, B, C)                                                          \
    (const INT *n, const TT_C_##S *alpha, const TT_C_##A *x, const INT *incx, TT_C_##C *y, const INT *incy)
#define TT_FORTRAN_AXPY_ARGUMENTS TT_CBLAS_AXPY_ARGUMENTS
#define TT_FORTRAN_AXPY_FILL(S, A, B, C)                                                                     \
    .n = *n, .alpha = TT_VALUE_##S(*alpha), .x = x, .y = y, .incx = *incx, .incy = *incy,                    \
    .type_x = TT_##A, .type_y = TT_##C

/* ---- scal ---- */
#define TT_CBLAS_SCAL_PARAMETERS(INT, S, A, B, C) (INT n, TT_C_##S alpha, TT_C_##C *y, INT incy)
#define TT_CBLAS_SCAL_ARGUMENTS                   (n, alpha, y, incy)
#define TT_CBLAS_SCAL_FILL(S, A, B, C)                                                                       \
    .n = n, .alpha = TT_VALUE_##S(alpha), .y = y, .incy = incy, .type_y = TT_##C

#define TT_FORTRAN_SCAL_PARAMETERS(INT, S, A, B, C)                                                          \
    (const INT *n, const TT_C_##S *alpha, TT_C_##C *y, const INT *incy)
#define TT_FORTRAN_SCAL_ARGUMENTS TT_CBLAS_SCAL_ARGUMENTS
#define TT_FORTRAN_SCAL_FILL(S, A, B, C)                                                                     \
    .n = *n, .alpha = TT_VALUE_##S(*alpha), .y = y, .incy = *incy, .type_y = TT_##C

/* What call.h offers for each family. */
#define TT_RECORD_GEMM(step)         tt_gemm_##step
#define TT_RECORD_GEMM_STRIDED(step) tt_gemm_##step
#define TT_RECORD_GEMM_BATCH(step)   tt_gemm_batch_##step
#define TT_RECORD_GEMV(step)         tt_gemv_##step
#define TT_RECORD_DOT(step)          tt_dot_##step
#define TT_RECORD_AXPY(step)         tt_axpy_##step
#define TT_RECORD_SCAL(step)         tt_scal_##step
#define TT_STRUCT_GEMM               struct tt_gemm
#define TT_STRUCT_GEMM_STRIDED       struct tt_gemm
#define TT_STRUCT_GEMM_BATCH         struct tt_gemm_batch
#define TT_STRUCT_GEMV               struct tt_gemv
#define TT_STRUCT_DOT                struct tt_vector_call
#define TT_STRUCT_AXPY               struct tt_vector_call
#define TT_STRUCT_SCAL               struct tt_vector_call

/* Returned values. A Fortran function of single precision returns a float (gfortran) or a double (f2c) in the
 * same register: the wrapper passes all 64 bits on, so both callers get what they expect; a float is read
 * from their low half. */
#define TT_CBLAS_RESULT_F32   float
#define TT_CBLAS_RESULT_F64   double
#define TT_FORTRAN_RESULT_F32 double
#define TT_FORTRAN_RESULT_F64 double
#define TT_CBLAS_GIVE_F32     (float)
#define TT_CBLAS_GIVE_F64     (double)
#define TT_FORTRAN_GIVE_F32   tt_float_in_double
#define TT_FORTRAN_GIVE_F64   (double)

static inline double tt_float_in_double(double value)
{
    union {
        float narrow;
        double wide;
    } result = {.wide = 0};
    result.narrow = (float)value;
    return result.wide;
}

#endif
