/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels for any machine.
 */
#define KERNELS tt_kernels_plain
#include "record/kernels.inc"
