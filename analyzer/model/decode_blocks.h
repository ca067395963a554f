/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoders of block types, one block at a time. NULL: none for this dtype.
 */
#ifndef TT_MODEL_DECODE_BLOCKS_H
#define TT_MODEL_DECODE_BLOCKS_H

#include <stdint.h>

#include "tensortap/dtype.h"

typedef void tt_block_decoder(const uint8_t *block, float *out); /* out: [elements per block] */

extern tt_block_decoder *const tt_block_decoders[TT_DTYPE_COUNT];

#endif
