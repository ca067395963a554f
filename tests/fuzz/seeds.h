/* SPDX-License-Identifier: Apache-2.0
 *
 * Small good files of every container, as a start for mutation.
 */
#ifndef TT_FUZZ_SEEDS_H
#define TT_FUZZ_SEEDS_H

#include <stddef.h>

#define LARGEST_CASE (96u << 10) /* bytes */

struct bytes {
    size_t count;
    unsigned char at[LARGEST_CASE]; /* only [count] of a case that is kept */
};

typedef void seed_maker(struct bytes *file);

seed_maker seed_safetensors, seed_index, seed_config, seed_gguf, seed_npy, seed_npz;

#endif
