/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels for any machine.
 */
#pragma GCC optimize("O3", "no-trapping-math")
#define KERNELS tt_kernels_plain
#include "record/kernels.inc"
