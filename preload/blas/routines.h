/* SPDX-License-Identifier: Apache-2.0
 *
 * Every BLAS routine that the tap knows: one row each. The wrappers for all its names, their types, what is
 * read of which operand, the symbols that the library exports, the tests' list of them and the table in
 * docs/ come from here; there is no second list.
 *
 * A row:  X(routine, ROUTINE, family, scalar, left, right, result)
 *   routine, ROUTINE  name in lower and upper case, without cblas_ and without decoration
 *   family            shape of the argument list, see wrappers.h: what its operands are and how far they reach
 *   scalar            element type of alpha and beta (for DOT: of the returned value)
 *   left right result element types of a, b, c   (GEMV: a, x, y;  DOT: x, y, –;  AXPY: x, –, y;  SCAL: –, –, x)
 *
 * Element types are those of tensortap/dtype.h; wrappers.h says how C passes them.
 */
#ifndef TT_BLAS_ROUTINES_H
#define TT_BLAS_ROUTINES_H

#define TT_BLAS_ROUTINES(X)                                                                                  \
    X(sgemm, SGEMM, GEMM, F32, F32, F32, F32)                                                                \
    X(dgemm, DGEMM, GEMM, F64, F64, F64, F64)                                                                \
    X(sgemv, SGEMV, GEMV, F32, F32, F32, F32)                                                                \
    X(dgemv, DGEMV, GEMV, F64, F64, F64, F64)                                                                \
    X(sdot, SDOT, DOT, F32, F32, F32, NONE)                                                                  \
    X(ddot, DDOT, DOT, F64, F64, F64, NONE)                                                                  \
    X(saxpy, SAXPY, AXPY, F32, F32, NONE, F32)                                                               \
    X(daxpy, DAXPY, AXPY, F64, F64, NONE, F64)                                                               \
    X(sscal, SSCAL, SCAL, F32, NONE, NONE, F32)                                                              \
    X(dscal, DSCAL, SCAL, F64, NONE, NONE, F64)                                                              \
    X(sgemm_batch, SGEMM_BATCH, GEMM_BATCH, F32, F32, F32, F32)                                              \
    X(dgemm_batch, DGEMM_BATCH, GEMM_BATCH, F64, F64, F64, F64)                                              \
    X(sgemm_batch_strided, SGEMM_BATCH_STRIDED, GEMM_STRIDED, F32, F32, F32, F32)                            \
    X(dgemm_batch_strided, DGEMM_BATCH_STRIDED, GEMM_STRIDED, F64, F64, F64, F64)                            \
    /* bf16 and f16: OpenBLAS (sb…, b…, sh…) and MKL (gemm_…, hgemm) */                                      \
    X(sbgemm, SBGEMM, GEMM, F32, BF16, BF16, F32)                                                            \
    X(bgemm, BGEMM, GEMM, BF16, BF16, BF16, BF16)                                                            \
    X(sbgemv, SBGEMV, GEMV, F32, BF16, BF16, F32)                                                            \
    X(sbdot, SBDOT, DOT, F32, BF16, BF16, NONE)                                                              \
    X(shgemm, SHGEMM, GEMM, F32, F16, F16, F32)                                                              \
    X(hgemm, HGEMM, GEMM, F16, F16, F16, F16)                                                                \
    X(gemm_bf16bf16f32, GEMM_BF16BF16F32, GEMM, F32, BF16, BF16, F32)                                        \
    X(gemm_f16f16f32, GEMM_F16F16F32, GEMM, F32, F16, F16, F32)

/* Names under which libraries export a routine, and the integer width that goes with each.
 *   Y(name, integer, routine's row…)
 * Prefixes: none, scipy_ (the OpenBLAS inside numpy and scipy wheels), flexiblas_. Suffixes: none is LP64; 64_,
 * _64 and _64_ are ILP64. */
#define TT_CBLAS_NAMES(Y, r, ...)                                                                            \
    TT_CBLAS_SUFFIXES(Y, cblas_##r, __VA_ARGS__)                                                             \
    TT_CBLAS_SUFFIXES(Y, scipy_cblas_##r, __VA_ARGS__)                                                       \
    TT_CBLAS_SUFFIXES(Y, flexiblas_cblas_##r, __VA_ARGS__)

#define TT_CBLAS_SUFFIXES(Y, stem, ...)                                                                      \
    Y(stem, int32_t, __VA_ARGS__)                                                                            \
    Y(stem##64_, int64_t, __VA_ARGS__)                                                                       \
    Y(stem##_64, int64_t, __VA_ARGS__)                                                                       \
    Y(stem##_64_, int64_t, __VA_ARGS__)

#define TT_FORTRAN_NAMES(Y, r, ...)                                                                          \
    TT_FORTRAN_SUFFIXES(Y, r, __VA_ARGS__)                                                                   \
    TT_FORTRAN_SUFFIXES(Y, scipy_##r, __VA_ARGS__)                                                           \
    TT_FORTRAN_SUFFIXES(Y, flexiblas_##r, __VA_ARGS__)

#define TT_FORTRAN_SUFFIXES(Y, stem, ...)                                                                    \
    Y(stem##_, int32_t, __VA_ARGS__)                                                                         \
    Y(stem##64_, int64_t, __VA_ARGS__)                                                                       \
    Y(stem##_64_, int64_t, __VA_ARGS__)

/* Undecorated Fortran names (MKL, ESSL). Other libraries use such names for functions of their own, with other
 * arguments: one counts only in an object that also exports the companion.
 *   Y(name, companion, integer, routine's row…) */
#define TT_BARE_NAMES(Y, r, R, ...)                                                                          \
    Y(r, r##_, int32_t, __VA_ARGS__)                                                                         \
    Y(R, r##_, int32_t, __VA_ARGS__)                                                                         \
    Y(r##_64, r##_64_, int64_t, __VA_ARGS__)                                                                 \
    Y(R##_64, r##_64_, int64_t, __VA_ARGS__)

#endif
