/* SPDX-License-Identifier: Apache-2.0
 *
 * Which epochs keep data, and when a new epoch begins.
 *
 * Passes are not known at run time. The epoch advances by an explicit mark; as long as none was made,
 * it advances when the anchor, the first operand taken for a weight, recurs after another weight was
 * used: so a weight used for one token after another does not count as many passes.
 */
#ifndef TT_RECORD_POLICY_H
#define TT_RECORD_POLICY_H

#include <stdbool.h>
#include <stdint.h>

struct tt_policy {
    bool everything;     /* no thinning */
    const char *passes;  /* epochs kept in full, NULL: the default policy */
    uint64_t epoch;      /* atomic */
    bool marked;         /* epochs come from marks */
    uint64_t anchor;     /* address of the anchor, 0: none yet */
    bool others_since;   /* another weight since the anchor was last seen */
};

bool tt_policy_keeps(const struct tt_policy *policy, uint64_t epoch);
void tt_policy_mark(struct tt_policy *policy);
/* Tells of an input operand: `weight`, it is taken for one (in a file, or seen before unchanged); `recurs`,
 * it was seen before. Lock of the recorder held. True when a new epoch began. */
bool tt_policy_weight(struct tt_policy *policy, uint64_t address, bool weight, bool recurs);
/* Bytes that one operand may still take of `remaining`, so that what comes later is never starved. */
uint64_t tt_policy_share(const struct tt_policy *policy, uint64_t remaining);

#endif
