/* SPDX-License-Identifier: Apache-2.0
 *
 * Recovers which keys a query saw: which probabilities are exactly zero although the scores would give them
 * weight.
 */
#include <math.h>
#include <stdio.h>

#include "ops/fit.h"
#include "ops/softmax.h"
#include "ops/support.h"

struct support {                               /* distances query position - key position */
    int64_t nearest_visible, farthest_visible; /* of keys that got weight */
    int64_t nearest_masked;                    /* among keys behind the nearest visible one */
    bool any;
};

/* Probabilities if nothing were masked. */
static int unmasked(const struct tt_op_call *call, struct tt_value *out)
{
    struct tt_attributes attributes = call->attributes ? *call->attributes : (struct tt_attributes){0};
    struct tt_op_call changed = *call;
    changed.attributes = &attributes;
    if (tt_attributes_set_string(&attributes, "mask", "none") ||
        tt_attributes_set_number(&attributes, "window", 0))
        return -1;
    return tt_op_find("softmax")->forward(&changed, out, NULL);
}

/* A zero counts as a mask only where an unmasked probability would be well above underflow of any format. */
static void read_element(const struct tt_op_call *call, const struct tt_value *observed,
                         const struct tt_value *free_, int64_t i, struct support *seen)
{
    int64_t keys = observed->shape[2], query = i / (observed->shape[1] * keys);
    int64_t distance = call->pass->positions[query] - call->pass->key_positions[i % keys];
    if (observed->v[i] > 0) {
        if (!seen->any || distance < seen->nearest_visible)
            seen->nearest_visible = distance;
        if (!seen->any || distance > seen->farthest_visible)
            seen->farthest_visible = distance;
        seen->any = true;
    } else if (free_->v[i] > 1e-4 && distance > 0 && distance < seen->nearest_masked) {
        seen->nearest_masked = distance;
    }
}

static bool read_support(const struct tt_op_call *call, const struct tt_value *observed, struct support *seen)
{
    struct tt_value free_ = {0};
    *seen = (struct support){.nearest_masked = INT64_MAX};
    if (!call->pass || !call->pass->positions || !call->pass->key_positions || unmasked(call, &free_))
        return false;
    bool fine = observed->rank == 3 && tt_value_count(observed) == tt_value_count(&free_) &&
                call->pass->nkeys == observed->shape[2] && call->pass->ntokens == observed->shape[0];
    for (int64_t i = 0; fine && i < tt_value_count(observed); i++)
        read_element(call, observed, &free_, i, seen);
    tt_value_free(&free_);
    return fine && seen->any;
}

static void offer(struct tt_recoveries *list, int64_t window, int64_t offset)
{
    struct tt_attributes set = {0};
    int64_t window_before = (int64_t)tt_op_number(list->call, "window", 0);
    int64_t offset_before = (int64_t)tt_op_number(list->call, "offset", 0);
    char before[64], after[64]; /* cut to 48 when kept */
    snprintf(before, sizeof before, "window %lld offset %lld", (long long)window_before,
             (long long)offset_before);
    snprintf(after, sizeof after, "window %lld offset %lld", (long long)window, (long long)offset);
    tt_attributes_set_string(&set, "mask", "causal");
    tt_attributes_set_number(&set, "window", (double)window);
    tt_attributes_set_number(&set, "offset", (double)offset);
    if (window != window_before)
        tt_recovery_offer(list, "attn.window", &set, before, after);
    else if (offset != offset_before)
        tt_recovery_offer(list, "attn.mask_off_by_one", &set, before, after);
}

int tt_softmax_recover(const struct tt_op_call *call, const struct tt_value *observed,
                       struct tt_recovery *found, int most)
{
    struct tt_recoveries list = {"softmax", call, observed, found, most, 0, 0};
    struct support seen;
    if (!read_support(call, observed, &seen))
        return 0;
    int64_t window = seen.nearest_masked != INT64_MAX && seen.nearest_masked > seen.farthest_visible
                         ? seen.nearest_masked
                         : 0;
    offer(&list, window, -seen.nearest_visible);
    return list.count;
}
