/* SPDX-License-Identifier: Apache-2.0
 *
 * Named arrays that somebody else wrote, as references for a comparison: .safetensors, .npy, .npz, .pt.
 * Files stay mapped; only what is compressed, big-endian, in Fortran order or strided is copied.
 */
#ifndef TT_MODEL_ARRAYS_H
#define TT_MODEL_ARRAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tensortap/dtype.h"

struct tt_arrays;

struct tt_array {
    const char *name;    /* of the tensor; .npz: of the member without .npy; .npy: of the file without .npy;
                          * .pt: keys and places in lists, joined by dots */
    enum tt_dtype dtype; /* TT_NONE: stored in a type that cannot be read (text, objects, records) */
    int rank;
    int64_t shape[8]; /* row-major, outermost first, whatever order the file has */
    const void *data; /* row-major, little-endian, valid until tt_arrays_close; NULL for TT_NONE of .npz */
    uint64_t nbytes;
};

/* NULL with one clear line in *error. */
struct tt_arrays *tt_arrays_open(const char *path, struct tt_error *error);
void tt_arrays_close(struct tt_arrays *arrays); /* NULL is allowed */

size_t tt_arrays_count(const struct tt_arrays *arrays);
const struct tt_array *tt_arrays_at(const struct tt_arrays *arrays,
                                    size_t index); /* in the order of the file */
const struct tt_array *tt_arrays_find(const struct tt_arrays *arrays, const char *name); /* NULL: none */

/* A string of safetensors' `__metadata__`; NULL: none. */
const char *tt_arrays_metadata(const struct tt_arrays *arrays, const char *key);

/* `count` elements from element `first` (row-major) as f64. Bounds checked. */
int tt_array_read_f64(const struct tt_array *array, uint64_t first, uint64_t count, double *out,
                      struct tt_error *error);

#endif
