/* SPDX-License-Identifier: Apache-2.0
 *
 * Closing a shard from a list of its tensors: done by the recorder at the end, by repair after a kill.
 */
#ifndef TENSORTAP_SHARD_H
#define TENSORTAP_SHARD_H

#include <stdint.h>

#include "tensortap/dtype.h"

struct tt_shard_entry { /* one tensor in a shard */
    char *name;
    enum tt_dtype dtype; /* logical */
    int rank;
    int64_t shape[8];    /* logical, in memory order: packed bytes are row-major in it */
    uint64_t offset, nbytes; /* from the start of the file */
};

/* Writes the closed header over the open one and cuts the file at `end`. Header and tensors must fit:
 * entries within [data_start, end), data_start a multiple of 64 and at least one page. Sorts entries.
 * 0 or -errno; on failure before the last write the shard stays in its open form. */
int tt_shard_seal(int fd, uint32_t number, struct tt_shard_entry *entries, uint32_t nentries,
                  uint64_t data_start, uint64_t end);

#endif
