/* SPDX-License-Identifier: Apache-2.0
 *
 * Matrix products: the linear layers and the two products of attention, through CBLAS.
 */
#ifndef ENGINE_PRODUCTS_H
#define ENGINE_PRODUCTS_H

#include <stdbool.h>

#include "model.h"

/* y = alpha · x · Wᵀ + bias; a single row goes through gemv, as in any engine that decodes. */
void linear_forward(float *y,       /* [rows, outputs] */
                    const float *x, /* [rows, inputs] */
                    const struct linear *linear, int rows);

/* One head; q and context rows lie q_stride floats apart, k and v rows (in the cache) kv_stride. */
struct head {
    const float *q, *k, *v; /* first row of this head */
    float *scores;          /* [rows, keys] */
    float *context;
    int rows, keys, head_dim, q_stride, kv_stride;
    bool own; /* own loops in place of CBLAS */
};

void head_scores(const struct head *head);  /* scores = q · kᵀ */
void head_context(const struct head *head); /* context = scores · v */

#endif
