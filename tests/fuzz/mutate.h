/* SPDX-License-Identifier: Apache-2.0
 *
 * Random damage. One state for the whole program: a seed gives the same cases again.
 */
#ifndef TT_FUZZ_MUTATE_H
#define TT_FUZZ_MUTATE_H

#include <stdint.h>

#include "seeds.h"

void random_seed(uint64_t seed);
uint64_t random_number(void);
size_t random_below(size_t limit); /* 0 for 0 */

/* One change; `other` is a file of the same kind to take pieces from. */
void mutate(struct bytes *file, const struct bytes *other);

/* Makes the checksums of a zip archive's stored members right again, so that damage reaches what is in them. */
void repair_zip(struct bytes *file);
/* Makes the header length of a safetensors file what its text has become. */
void repair_safetensors(struct bytes *file);

#endif
