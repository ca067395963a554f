/* SPDX-License-Identifier: Apache-2.0
 *
 * What rounding to an element type does to numbers: the squared error to expect, from the numbers themselves and the
 * steps that the type's blocks have for them. Nothing here is a constant of a type: a block with one large number has
 * coarse steps for all of its numbers.
 */
#ifndef TT_INSPECT_ROUNDING_H
#define TT_INSPECT_ROUNDING_H

#include <stdint.h>

#include "tensortap/dtype.h"

/* Elements that share a scale; 1: each is rounded alone. */
int64_t tt_rounding_block(enum tt_dtype dtype);

/* Expected Σ (rounded - exact)² over one block of `n` <= tt_rounding_block numbers, or over any number of elements that
 * are rounded alone. */
double tt_rounding_error(enum tt_dtype dtype, const double *exact, int64_t n);

/* NMSE that the type leaves in Gaussian numbers: which of two types is the coarser one. */
double tt_rounding_nominal(enum tt_dtype dtype);

#endif
