/* SPDX-License-Identifier: Apache-2.0
 *
 * One array in NumPy's .npy form. Format: numpy.lib.format, versions 1 to 3.
 */
#ifndef TT_MODEL_NPY_H
#define TT_MODEL_NPY_H

#include "model/arrays.h"

#define TT_NPY_MAGIC       "\x93NUMPY"
#define TT_NPY_MAGIC_BYTES 6

/* Fills everything of *array but its name. `data` points into `bytes`, or, when order or byte order had to
 * change, to a copy that *owned then holds for free(). A type that cannot be read gives TT_NONE, no error.
 * `what` names the array in messages. */
int tt_npy_parse(const uint8_t *bytes, uint64_t size, const char *what, struct tt_array *array, void **owned,
                 struct tt_error *error);

#endif
