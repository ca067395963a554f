/* SPDX-License-Identifier: Apache-2.0
 *
 * Several vectors a token: values [tokens, streams, width] of models that carry more than one residual stream. A value
 * [tokens, width] counts as one stream.
 */
#ifndef TT_OPS_STREAMS_H
#define TT_OPS_STREAMS_H

#include "ops/op.h"

struct tt_streams {
    int64_t tokens, count, width;
};

/* -1 with a message unless x is [tokens, width] or [tokens, streams, width]. */
int tt_streams_read(const struct tt_value *x, const char *op, struct tt_streams *streams, struct tt_error *error);
/* Copies `count` streams of all tokens, from stream `from_first` of x to stream `to_first` of out, error bars included.
 * Both have the same number of tokens and the same width. */
void tt_streams_copy(const struct tt_value *x, int64_t from_first, int64_t count, struct tt_value *out, int64_t to_first);

#endif
