/* SPDX-License-Identifier: Apache-2.0
 *
 * What the families of BLAS calls have in common: entering and leaving, the words of BLAS, views.
 */
#include "blas/call.h"

#include <math.h>

_Thread_local uintptr_t tt_blas_inside __attribute__((tls_model("initial-exec")));

bool tt_blas_begin(struct tt_blas_call *call, const void *frame, struct tt_section *section, const char *op,
                   const char *routine)
{
    call->outer = tt_blas_inside;
    call->operands = false;
    tt_blas_inside = (uintptr_t)frame;
    call->recorder = tt_section_enter(section);
    if (!call->recorder)
        return false;
    if (!tt_call_enter(&call->scope, call->recorder, "blas", op, routine)) {
        call->recorder = NULL;
        tt_section_leave(section);
    }
    return call->recorder != NULL;
}

bool tt_blas_resume(struct tt_blas_call *call, struct tt_section *section)
{
    tt_blas_inside = call->outer;
    return call->recorder && tt_section_resume(section, call->recorder);
}

char tt_blas_order(int cblas)
{
    return cblas == 101 ? 'r' : cblas == 102 ? 'c' : 0;
}

char tt_blas_trans(int cblas)
{
    switch (cblas) {
    case 111: /* no transposition */
    case 114: /* conjugated only: the same for real elements */
        return 'n';
    case 112:
        return 't';
    case 113:
        return 'c';
    default:
        return 0;
    }
}

char tt_blas_trans_letter(char fortran)
{
    char letter = (char)(fortran | 0x20);
    return letter == 'n' || letter == 'r' ? 'n' : letter == 't' || letter == 'c' ? letter : 0;
}

const char *tt_blas_trans_text(char trans)
{
    return trans == 'n' ? "n" : trans == 't' ? "t" : trans == 'c' ? "c" : "?";
}

const char *tt_blas_order_text(char order)
{
    return order == 'r' ? "row" : order == 'c' ? "col" : "?";
}

/* Do the logical columns lie next to each other in memory? */
static bool columns_contiguous(char order, char trans)
{
    return (order == 'r') == (trans == 'n');
}

struct tt_tensor_view tt_blas_matrix_view(const void *data, enum tt_dtype type, char order, char trans,
                                          int64_t rows, int64_t columns, int64_t leading)
{
    bool contiguous = columns_contiguous(order, trans);
    return (struct tt_tensor_view){
        .dtype = type,
        .rank = 2,
        .shape = {rows, columns},
        .strides = {contiguous ? leading : 1, contiguous ? 1 : leading},
        .data = data,
    };
}

bool tt_blas_leading_valid(char order, char trans, int64_t rows, int64_t columns, int64_t leading)
{
    int64_t line = columns_contiguous(order, trans) ? columns : rows;
    return leading >= (line > 1 ? line : 1);
}

struct tt_tensor_view tt_blas_vector_view(const void *data, enum tt_dtype type, int64_t n, int64_t increment)
{
    int64_t first = increment < 0 ? (1 - n) * increment : 0;
    return (struct tt_tensor_view){
        .dtype = type,
        .rank = 1,
        .shape = {n},
        .strides = {increment},
        .data = (const char *)data + first * (int64_t)tt_dtype_info(type)->bytes,
    };
}

double tt_half_value(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = exponent == 31  ? (fraction ? NAN : INFINITY)
                   : exponent == 0 ? ldexp(fraction, -24)
                                   : ldexp(1024 + fraction, exponent - 25);
    return bits >> 15 ? -value : value;
}
