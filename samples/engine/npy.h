/* SPDX-License-Identifier: Apache-2.0
 *
 * A float32 matrix in numpy's .npy format, written row by row.
 */
#ifndef ENGINE_NPY_H
#define ENGINE_NPY_H

#include <stdio.h>

/* Header of a [rows, columns] matrix, always 128 bytes, so that it can be written again when rows are known.
 */
int npy_header(FILE *file, long rows, long columns);

#endif
