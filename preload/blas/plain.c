/* SPDX-License-Identifier: Apache-2.0
 *
 * BLAS by plain loops, for a call that has no real function.
 *
 * Without the tap such a program either fails to start or never calls: a weak reference, or a look-up by
 * dlsym(RTLD_DEFAULT), that finds our wrapper instead of nothing. Having answered to the name, we must do what
 * it says; ending somebody else's process is no choice. Sums are kept in double precision. The capture says in
 * its "problems" that this happened.
 */
#include <string.h>

#include "blas/call.h"

static double load(enum tt_dtype type, const void *data, int64_t index)
{
    switch (type) {
    case TT_F64:
        return ((const double *)data)[index];
    case TT_F16:
        return tt_half_value(((const uint16_t *)data)[index]);
    case TT_BF16:
        return tt_bf16_value(((const uint16_t *)data)[index]);
    default:
        return ((const float *)data)[index];
    }
}

/* `bits` of a float without its lowest `dropped`, to nearest, ties to even. */
static uint32_t round_bits(uint32_t bits, int dropped)
{
    uint32_t half = (1u << (dropped - 1)) - 1 + (bits >> dropped & 1);
    return (bits + half) >> dropped;
}

static uint16_t half_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000)
        return sign | 0x7e00;
    if (bits >= 0x477ff000) /* rounds to 65536 or more */
        return sign | 0x7c00;
    if (bits >= 0x38800000) /* normal: the exponent's bias falls from 127 to 15 */
        return sign | (uint16_t)round_bits(bits - 0x38000000, 13);
    float tiny = __builtin_fabsf(value) + 0.5f; /* an addend whose last place is that of subnormal halves */
    memcpy(&bits, &tiny, sizeof(bits));
    return sign | (uint16_t)(bits - 0x3f000000);
}

static uint16_t bf16_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return value != value ? (uint16_t)(bits >> 16 | 0x40) : (uint16_t)round_bits(bits, 16);
}

static void store(enum tt_dtype type, void *data, int64_t index, double value)
{
    switch (type) {
    case TT_F64:
        ((double *)data)[index] = value;
        break;
    case TT_F16:
        ((uint16_t *)data)[index] = half_bits((float)value);
        break;
    case TT_BF16:
        ((uint16_t *)data)[index] = bf16_bits((float)value);
        break;
    default:
        ((float *)data)[index] = (float)value;
    }
}

static void update(enum tt_dtype type, void *data, int64_t index, double addend, double beta)
{
    store(type, data, index, addend + (beta != 0 ? beta * load(type, data, index) : 0));
}

/* alpha times the sum over `n` products; with alpha 0 neither operand is read. */
static double scaled_dot(double alpha, const struct tt_tensor_view *x, int64_t x_first, int64_t x_step,
                         const struct tt_tensor_view *y, int64_t y_first, int64_t y_step, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n && alpha != 0; i++)
        sum += load(x->dtype, x->data, x_first + i * x_step) * load(y->dtype, y->data, y_first + i * y_step);
    return alpha * sum;
}

static void multiply(const struct tt_gemm *g, int64_t place)
{
    struct tt_tensor_view a = tt_blas_matrix_view(g->a, g->type_a, g->order, g->trans_a, g->m, g->k, g->lda);
    struct tt_tensor_view b = tt_blas_matrix_view(g->b, g->type_b, g->order, g->trans_b, g->k, g->n, g->ldb);
    struct tt_tensor_view c = tt_blas_matrix_view(g->c, g->type_c, g->order, 'n', g->m, g->n, g->ldc);
    for (int64_t i = 0; i < g->m; i++) {
        for (int64_t j = 0; j < g->n; j++) {
            double sum = scaled_dot(g->alpha, &a, place * g->stride_a + i * a.strides[0], a.strides[1], &b,
                                    place * g->stride_b + j * b.strides[1], b.strides[0], g->k);
            update(g->type_c, g->c, place * g->stride_c + i * c.strides[0] + j * c.strides[1], sum, g->beta);
        }
    }
}

void tt_gemm_plain(const struct tt_gemm *gemm)
{
    if (!tt_gemm_valid(gemm) && gemm->k != 0)
        return;
    for (int64_t place = 0; place < gemm->batch; place++)
        multiply(gemm, place);
}

void tt_gemv_plain(const struct tt_gemv *g)
{
    if (!tt_gemv_valid(g))
        return;
    int64_t rows = g->trans == 'n' ? g->m : g->n, columns = g->trans == 'n' ? g->n : g->m;
    struct tt_tensor_view a = tt_blas_matrix_view(g->a, g->type_a, g->order, g->trans, rows, columns, g->lda);
    struct tt_tensor_view x = tt_blas_vector_view(g->x, g->type_x, columns, g->incx);
    struct tt_tensor_view y = tt_blas_vector_view(g->y, g->type_y, rows, g->incy);
    for (int64_t i = 0; i < rows; i++)
        update(y.dtype, (void *)y.data, i * g->incy,
               scaled_dot(g->alpha, &a, i * a.strides[0], a.strides[1], &x, 0, g->incx, columns), g->beta);
}

double tt_dot_plain(const struct tt_vector_call *dot)
{
    struct tt_tensor_view x = tt_blas_vector_view(dot->x, dot->type_x, dot->n, dot->incx);
    struct tt_tensor_view y = tt_blas_vector_view(dot->y, dot->type_y, dot->n, dot->incy);
    return scaled_dot(1, &x, 0, dot->incx, &y, 0, dot->incy, dot->n);
}

void tt_axpy_plain(const struct tt_vector_call *axpy)
{
    struct tt_tensor_view x = tt_blas_vector_view(axpy->x, axpy->type_x, axpy->n, axpy->incx);
    struct tt_tensor_view y = tt_blas_vector_view(axpy->y, axpy->type_y, axpy->n, axpy->incy);
    for (int64_t i = 0; i < axpy->n && axpy->alpha != 0; i++)
        update(y.dtype, (void *)y.data, i * axpy->incy, axpy->alpha * load(x.dtype, x.data, i * axpy->incx), 1);
}

void tt_scal_plain(const struct tt_vector_call *scal)
{
    for (int64_t i = 0; i < scal->n && scal->incy > 0; i++)
        update(scal->type_y, scal->y, i * scal->incy, 0, scal->alpha);
}
