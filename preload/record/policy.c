/* SPDX-License-Identifier: Apache-2.0
 *
 * Epochs and thinning (policy.h).
 */
#include "record/policy.h"

#include "record/select.h"

#define FULL_EPOCHS 5  /* a warm-up or first prefill, its last chunk, three decode steps */
#define SHARE       16 /* of what remains, for one operand */
#define SMALL       4096

bool tt_policy_keeps(const struct tt_policy *policy, uint64_t epoch)
{
    if (policy->everything)
        return true;
    if (policy->passes)
        return tt_ranges_contain(policy->passes, epoch);
    return epoch < FULL_EPOCHS || (epoch & (epoch - 1)) == 0; /* then 8, 16, 32, … */
}

void tt_policy_mark(struct tt_policy *policy)
{
    policy->marked = true;
    __atomic_fetch_add(&policy->epoch, 1, __ATOMIC_RELAXED);
}

bool tt_policy_weight(struct tt_policy *policy, uint64_t address, bool weight, bool recurs)
{
    if (policy->marked)
        return false;
    if (!policy->anchor) {
        if (!weight)
            return false;
        policy->anchor = address;
        policy->others_since = false;
        if (recurs)
            __atomic_fetch_add(&policy->epoch, 1, __ATOMIC_RELAXED);
        return recurs;
    }
    if (address != policy->anchor) {
        policy->others_since |= weight;
        return false;
    }
    bool begins = policy->others_since;
    policy->others_since = false;
    if (begins)
        __atomic_fetch_add(&policy->epoch, 1, __ATOMIC_RELAXED);
    return begins;
}

uint64_t tt_policy_share(const struct tt_policy *policy, uint64_t remaining)
{
    if (policy->everything)
        return remaining;
    uint64_t share = remaining / SHARE;
    return share < SMALL ? (remaining < SMALL ? remaining : SMALL) : share;
}
