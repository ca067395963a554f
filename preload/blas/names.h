/* SPDX-License-Identifier: Apache-2.0
 *
 * The exported names of routines.h as a list, for the preprocessor alone: TT_NAME_LINE(name) must be defined
 * to what a line looks like. Used for the version script, the tests' list and the table of names.
 */
#include "blas/bare.h"
#include "blas/routines.h"

#define TT_NAME_OF(NAME, ...) TT_NAME_LINE(NAME)
#ifdef TT_HAVE_BARE_NAMES
#define TT_ROUTINE_NAMES(r, R, ...)                                                                          \
    TT_CBLAS_NAMES(TT_NAME_OF, r, R) TT_FORTRAN_NAMES(TT_NAME_OF, r, R) TT_BARE_NAMES(TT_NAME_OF, r, R, R)
#else
#define TT_ROUTINE_NAMES(r, R, ...) TT_CBLAS_NAMES(TT_NAME_OF, r, R) TT_FORTRAN_NAMES(TT_NAME_OF, r, R)
#endif

TT_BLAS_ROUTINES(TT_ROUTINE_NAMES)
