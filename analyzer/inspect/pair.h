/* SPDX-License-Identifier: Apache-2.0
 *
 * One weight of two files, number by number: how far apart they are, and how far rounding to their types may take them.
 * Read in parts, so that memory does not grow with the model.
 */
#ifndef TT_INSPECT_PAIR_H
#define TT_INSPECT_PAIR_H

#include "inspect/placed.h"

struct tt_pair {
    const struct tt_placed *a, *b;
    int64_t rows, columns;     /* that both have */
    bool swapped;              /* b is the more exact file */
};

struct tt_pair_difference {
    double error, size;        /* Σ (a - b)², Σ of the squares of the more exact one */
    double expected;           /* Σ of squared errors that rounding to the two types leaves */
    double product;            /* Σ exact · rounded */
    int64_t count;             /* elements */
    int64_t nonfinite;         /* in one of the two alone */
    int64_t blocks, bad;       /* blocks, and those whose error is far above that of their own steps */
    int64_t zero;              /* blocks of zeros that are none in the more exact one */
    int64_t at;                /* element of the first bad block, -1: none */
};

/* False: the shapes do not allow it. More rows in one of the two are left out. */
bool tt_pair_of(const struct tt_placed *a, const struct tt_placed *b, struct tt_pair *pair);

int tt_pair_measure(const struct tt_pair *pair, struct tt_pair_difference *difference, struct tt_error *error);

/* Nothing but rounding. */
bool tt_pair_equal(const struct tt_pair_difference *difference);
double tt_pair_nmse(const struct tt_pair_difference *difference);
double tt_pair_expected(const struct tt_pair_difference *difference); /* NMSE */

/* The more exact and the other one. */
const struct tt_placed *tt_pair_exact(const struct tt_pair *pair);
const struct tt_placed *tt_pair_other(const struct tt_pair *pair);
/* Whether the error of both types is known. */
bool tt_pair_known(const struct tt_pair *pair);

#endif
