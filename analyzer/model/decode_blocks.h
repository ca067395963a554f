/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoders of block types, one block at a time. NULL: none for this dtype.
 */
#ifndef TT_MODEL_DECODE_BLOCKS_H
#define TT_MODEL_DECODE_BLOCKS_H

#include <stdint.h>

#include "tensortap/dtype.h"

/* out: [elements per block]. Definitions say `restrict` where loops vectorise for it (bytes may alias anything). */
typedef void tt_block_decoder(const uint8_t *block, float *out);

/* decode_k_blocks.c */
tt_block_decoder tt_decode_q2_k, tt_decode_q3_k, tt_decode_q4_k, tt_decode_q5_k, tt_decode_q6_k, tt_decode_q8_k;
/* decode_codebooks.c */
tt_block_decoder tt_decode_iq4_nl, tt_decode_iq4_xs, tt_decode_mxfp4, tt_decode_nvfp4, tt_decode_tq1_0,
    tt_decode_tq2_0;

extern tt_block_decoder *const tt_block_decoders[TT_DTYPE_COUNT];

#endif
