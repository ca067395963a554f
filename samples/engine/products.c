/* SPDX-License-Identifier: Apache-2.0
 *
 * See products.h.
 */
#include "products.h"

#include <cblas.h>

void linear_forward(float *y, const float *x, const struct linear *linear, int rows)
{
    if (rows == 1)
        cblas_sgemv(CblasRowMajor, linear->untransposed ? CblasTrans : CblasNoTrans, linear->outputs,
                    linear->inner, linear->alpha, linear->weight, linear->leading_dimension, x, 1, 0.0f, y,
                    1);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, linear->untransposed ? CblasNoTrans : CblasTrans, rows,
                    linear->outputs, linear->inner, linear->alpha, x, linear->inputs, linear->weight,
                    linear->leading_dimension, 0.0f, y, linear->outputs);
    if (linear->bias)
        add_bias(y, linear->bias, rows, linear->outputs);
}

void head_scores(const struct head *head)
{
    if (head->own)
        own_scores(head->scores, head->q, head->k, head->rows, head->keys, head->head_dim, head->q_stride,
                   head->kv_stride);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, head->rows, head->keys, head->head_dim, 1.0f,
                    head->q, head->q_stride, head->k, head->kv_stride, 0.0f, head->scores, head->keys);
}

void head_context(const struct head *head)
{
    if (head->own)
        own_context(head->context, head->scores, head->v, head->rows, head->keys, head->head_dim,
                    head->kv_stride, head->q_stride);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, head->rows, head->head_dim, head->keys, 1.0f,
                    head->scores, head->keys, head->v, head->kv_stride, 0.0f, head->context, head->q_stride);
}
