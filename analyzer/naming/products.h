/* SPDX-License-Identifier: Apache-2.0
 *
 * Every matrix product of a capture in one orientation: y[rows, out] = x[rows, in] · w[out, in]ᵀ. Batched calls are
 * one product a slice. Whatever the routine, the storage order and which operand the engine calls A.
 */
#ifndef TT_NAMING_PRODUCTS_H
#define TT_NAMING_PRODUCTS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/identity.h"
#include "tensortap/reader.h"
#include "verify/trace.h"

struct tt_side { /* a matrix inside an operand */
    const struct tt_operand *operand;
    bool transposed; /* the operand's last two axes are the other way round */
    int64_t slice;   /* of a rank-3 operand */
    int64_t first_row, first_column, rows, columns; /* it is a window of a matrix of rows x columns; rows 0: all of it */
    const int64_t *row_index, *column_index; /* where the window's rows and columns are, when not one after the other from the
                                                first; NULL: they are. Owned by the products */
};

#define TT_MAX_CANDIDATES 4

struct tt_product {
    const struct tt_recorded_call *call;
    struct tt_side x, w, y, before; /* before: y as it was, operand NULL when beta is 0 */
    int64_t rows, in, out;
    double alpha, beta;
    int ncandidates;                /* weight nodes that w's content or place says */
    int candidates[TT_MAX_CANDIDATES];
    const struct tt_model_tensor *tensor; /* of the file, that w is, when layers have parts of it; NULL: not known */
    enum tt_evidence evidence;
    const char *transform;
    double weight_unit;             /* round-off to which the file's weight was rounded for the engine, 0: not */
    int node;                       /* linear node it was named as, -1: none (yet) */
    int pass;                       /* index of its group, -1 */
    bool taken;                     /* named as an attention product */
};

struct tt_products {
    size_t count;
    struct tt_product *items; /* in the order in which they began */
    int64_t **indices;        /* [nindices] of sides */
    size_t nindices;
};

/* All products of the capture, with their weights' candidates where those can be identified. */
struct tt_products tt_products_of(const struct tt_capture *capture, const struct tt_graph *graph,
                                  struct tt_identity *identity);
void tt_products_free(struct tt_products *products);

/* The other reading of the same call: yᵀ = w · xᵀ. */
void tt_product_swap(struct tt_product *product);

/* Values of one side as [rows, columns] row-major f64: NULL when they were not kept. Freed by the caller. */
double *tt_side_read(const struct tt_capture *capture, const struct tt_side *side, int64_t rows, int64_t columns);
/* Process address of the side's first element. */
uint64_t tt_side_address(const struct tt_side *side);

#endif
