/* SPDX-License-Identifier: Apache-2.0
 *
 * Operands that grow by rows. A plane is the last two axes of the memory order, [rows, row bytes]; each
 * is recognised by the content of its first row and confirmed by the digest of all rows known.
 * Extents of one plane are bounded: when they get too many, the last ones are stored again as one, so
 * every row is rewritten about log(rows)/log(16) times instead of once per token.
 */
#ifndef TT_RECORD_PREFIX_H
#define TT_RECORD_PREFIX_H

#include "record/content.h"

/* 0 with *out (not yet published); -ENOENT: nothing known repeats here. */
int tt_prefix_store(struct tt_recorder *recorder, struct tt_thread *thread, const struct tt_keep *keep,
                    uint64_t share, struct tt_content **out);
/* Remembers the planes of published content. */
void tt_prefix_learn(struct tt_recorder *recorder, const struct tt_keep *keep, const struct tt_content *content);
void tt_prefixes_free(struct tt_contents *contents);

/* content.c */
struct tt_content *tt_content_new(uint64_t nbytes, const struct tt_digest *digest, uint32_t nextents);
int tt_content_store(struct tt_recorder *recorder, struct tt_thread *thread, const struct tt_keep *keep,
                     uint64_t first, uint64_t lines, struct tt_extent *extent);

#endif
