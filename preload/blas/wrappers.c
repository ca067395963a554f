/* SPDX-License-Identifier: Apache-2.0
 *
 * The exported functions: every name of every row of routines.h. Each finds the real function of its caller,
 * and when the tap is on records the operands around the call.
 */
#include <stddef.h>
#include <stdint.h>

#include "blas/bare.h"
#include "blas/call.h"
#include "blas/routines.h"
#include "blas/wrappers.h"
#include "real.h"

/* The start of each wrapper: `real` is the function that the caller would have reached. */
#define TT_FIND_REAL(FUNCTION, ENTRY)                                                                        \
    __typeof__(&FUNCTION) real =                                                                             \
        (__typeof__(&FUNCTION))tt_real(&ENTRY.site, __builtin_extract_return_addr(__builtin_return_address(0)))

/* A routine without a value: VIA is CBLAS or FORTRAN, FAMILY as in routines.h. */
#define TT_WRAP(LINKAGE, FUNCTION, ENTRY, VIA, FAMILY, INT, S, A, B, C)                                      \
    LINKAGE void FUNCTION TT_##VIA##_##FAMILY##_PARAMETERS(INT, S, A, B, C);                                 \
    LINKAGE void FUNCTION TT_##VIA##_##FAMILY##_PARAMETERS(INT, S, A, B, C)                                  \
    {                                                                                                        \
        TT_FIND_REAL(FUNCTION, ENTRY);                                                                       \
        if (!tt_blas_wanted(__builtin_frame_address(0)) && TT_LIKELY(real != NULL)) {                        \
            real TT_##VIA##_##FAMILY##_ARGUMENTS;                                                            \
            return;                                                                                          \
        }                                                                                                    \
        struct tt_blas_call call;                                                                            \
        TT_STRUCT_##FAMILY arguments = {.routine = ENTRY.site.name, TT_##VIA##_##FAMILY##_FILL(S, A, B, C)}; \
        TT_RECORD_##FAMILY(before)(&call, __builtin_frame_address(0), &arguments);                           \
        if (TT_LIKELY(real != NULL))                                                                         \
            real TT_##VIA##_##FAMILY##_ARGUMENTS;                                                            \
        else                                                                                                 \
            TT_RECORD_##FAMILY(plain)(&arguments);                                                           \
        TT_RECORD_##FAMILY(after)(&call, &arguments);                                                        \
    }

/* dot: the value is recorded, too. `S` is its element type; on a big-endian machine the low half of a double
 * would be elsewhere, so those are not offered the Fortran form of single precision. */
#define TT_WRAP_VALUE(LINKAGE, FUNCTION, ENTRY, VIA, FAMILY, INT, S, A, B, C)                                \
    LINKAGE TT_##VIA##_RESULT_##S FUNCTION TT_##VIA##_##FAMILY##_PARAMETERS(INT, S, A, B, C);                \
    LINKAGE TT_##VIA##_RESULT_##S FUNCTION TT_##VIA##_##FAMILY##_PARAMETERS(INT, S, A, B, C)                 \
    {                                                                                                        \
        TT_FIND_REAL(FUNCTION, ENTRY);                                                                       \
        if (!tt_blas_wanted(__builtin_frame_address(0)) && TT_LIKELY(real != NULL))                          \
            return real TT_##VIA##_##FAMILY##_ARGUMENTS;                                                     \
        struct tt_blas_call call;                                                                            \
        TT_STRUCT_##FAMILY arguments = {.routine = ENTRY.site.name, TT_##VIA##_##FAMILY##_FILL(S, A, B, C)}; \
        TT_RECORD_##FAMILY(before)(&call, __builtin_frame_address(0), &arguments);                           \
        TT_##VIA##_RESULT_##S result =                                                                       \
            TT_LIKELY(real != NULL) ? real TT_##VIA##_##FAMILY##_ARGUMENTS                                   \
                                    : TT_##VIA##_GIVE_##S(TT_RECORD_##FAMILY(plain)(&arguments));            \
        TT_RECORD_##FAMILY(after)(&call, &arguments, &result, TT_##S);                                       \
        return result;                                                                                       \
    }

#define TT_WRAP_GEMM         TT_WRAP
#define TT_WRAP_GEMM_STRIDED TT_WRAP
#define TT_WRAP_GEMM_BATCH   TT_WRAP
#define TT_WRAP_GEMV         TT_WRAP
#define TT_WRAP_DOT          TT_WRAP_VALUE
#define TT_WRAP_AXPY         TT_WRAP
#define TT_WRAP_SCAL         TT_WRAP

/* Names of the first two kinds are plain exported functions. */
#define TT_PLAIN_ENTRY(NAME) static struct tt_bare_entry tt_entry_##NAME = {.site = {.name = #NAME}};
#define TT_CBLAS_WRAPPER(NAME, INT, FAMILY, S, A, B, C)                                                      \
    TT_PLAIN_ENTRY(NAME)                                                                                     \
    TT_WRAP_##FAMILY(TT_EXPORT, NAME, tt_entry_##NAME, CBLAS, FAMILY, INT, S, A, B, C)
#define TT_FORTRAN_WRAPPER(NAME, INT, FAMILY, S, A, B, C)                                                    \
    TT_PLAIN_ENTRY(NAME)                                                                                     \
    TT_WRAP_##FAMILY(TT_EXPORT, NAME, tt_entry_##NAME, FORTRAN, FAMILY, INT, S, A, B, C)

/* A bare name is a stub that jumps to the wrapper only when the library means the routine, see bare.h. */
#define TT_BARE_WRAPPER(NAME, COMPANION, INT, FAMILY, S, A, B, C)                                            \
    TT_BARE_ENTRY(NAME)                                                                                      \
    TT_WRAP_##FAMILY(TT_HIDDEN, tt_bare_##NAME, tt_entry_##NAME, FORTRAN, FAMILY, INT, S, A, B, C)           \
    TT_BARE_STUB(NAME, COMPANION)

#define TT_ROUTINE(r, R, FAMILY, S, A, B, C)                                                                 \
    TT_CBLAS_NAMES(TT_CBLAS_WRAPPER, r, FAMILY, S, A, B, C)                                                  \
    TT_FORTRAN_NAMES(TT_FORTRAN_WRAPPER, r, FAMILY, S, A, B, C)                                              \
    TT_BARE_ROUTINE(r, R, FAMILY, S, A, B, C)

#ifdef TT_HAVE_BARE_NAMES
#define TT_BARE_ROUTINE(r, R, FAMILY, S, A, B, C) TT_BARE_NAMES(TT_BARE_WRAPPER, r, R, FAMILY, S, A, B, C)
#else
#define TT_BARE_ROUTINE(...)
#endif

TT_BLAS_ROUTINES(TT_ROUTINE)
