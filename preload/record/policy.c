/* SPDX-License-Identifier: Apache-2.0
 *
 * Epochs and thinning (policy.h).
 */
#include "record/policy.h"

#include <string.h>

#include "record/select.h"

#define SHARE 16 /* of what remains, for one operand */
#define SMALL 4096

const char *tt_form_name(enum tt_form form)
{
    return form == TT_FORM_DATA || form == TT_FORM_WHOLE ? "data" : "statistics";
}

const char *tt_reason_name(enum tt_reason reason)
{
    static const char *const names[] = {
        [TT_REASON_EVERYTHING] = "everything", [TT_REASON_PASSES] = "passes", [TT_REASON_LEVEL] = "level",
        [TT_REASON_FIRST] = "first",           [TT_REASON_SPARSE] = "sparse", [TT_REASON_THINNED] = "thinned",
        [TT_REASON_BUDGET] = "budget",         [TT_REASON_CHANGE] = "change", [TT_REASON_NAN] = "nan",
        [TT_REASON_END] = "end",
    };
    return names[reason];
}

/* ---- when an epoch begins ---- */

static void set_now(struct tt_policy *policy, uint64_t now)
{
    __atomic_store_n(&policy->now, now, __ATOMIC_RELEASE);
}

static void advance(struct tt_policy *policy)
{
    policy->others_since = false;
    set_now(policy, tt_now(tt_now_epoch(policy->now) + 1, TT_FORM_UNDECIDED, 0));
}

void tt_policy_mark(struct tt_policy *policy)
{
    __atomic_store_n(&policy->marked, true, __ATOMIC_RELAXED);
    advance(policy);
}

void tt_policy_recurs(struct tt_policy *policy, uint64_t address)
{
    if (policy->marked)
        return;
    bool begins = policy->anchor ? address == policy->anchor && policy->others_since : true;
    if (!policy->anchor)
        __atomic_store_n(&policy->anchor, address, __ATOMIC_RELEASE);
    if (begins)
        advance(policy);
}

void tt_policy_used(struct tt_policy *policy, uint64_t address, bool weight)
{
    if (policy->marked || !weight)
        return;
    if (!policy->anchor)
        __atomic_store_n(&policy->anchor, address, __ATOMIC_RELEASE);
    policy->others_since |= address != policy->anchor;
}

/* ---- in which form it is kept ---- */

static struct tt_class *class_of(struct tt_policy *policy, uint64_t key)
{
    for (uint32_t i = 0; i < policy->nclasses; i++)
        if (policy->classes[i].key == key)
            return &policy->classes[i];
    if (policy->nclasses == TT_MOST_CLASSES)
        return &policy->classes[TT_MOST_CLASSES - 1];
    struct tt_class *class = &policy->classes[policy->nclasses++];
    *class = (struct tt_class){.key = key};
    return class;
}

static bool is_sparse(uint64_t n)
{
    return (n & (n - 1)) == 0; /* 0, 1, 2, 4, 8, … */
}

/* What the epoch that ends has shown of its class. */
static void learn(struct tt_policy *policy, const struct tt_store *store)
{
    uint64_t refused = __atomic_exchange_n(&policy->refused, 0, __ATOMIC_RELAXED);
    if (policy->current && (policy->form == TT_FORM_DATA || policy->form == TT_FORM_WHOLE))
        policy->current->need = store->stored - policy->stored + refused;
    else if (policy->current && store->held)
        policy->current->held = store->held;
    policy->stored = store->stored;
}

/* Later epochs leave as much as they take: other classes come, and the end. */
static bool fits(const struct tt_class *class, const struct tt_store *store)
{
    return class->need <= store->remaining / 2;
}

static uint64_t choose(const struct tt_policy *policy, uint64_t epoch, const struct tt_class *class,
                       const struct tt_store *store)
{
    bool sparse = is_sparse(class->seen);
    if (!policy->data)
        return tt_now(epoch, TT_FORM_STATISTICS, TT_REASON_LEVEL);
    if (policy->everything)
        return tt_now(epoch, TT_FORM_WHOLE, TT_REASON_EVERYTHING);
    if (policy->passes)
        return tt_now(epoch, tt_ranges_contain(policy->passes, epoch) ? TT_FORM_DATA : TT_FORM_STATISTICS,
                      TT_REASON_PASSES);
    if (class->seen == 0)
        return tt_now(epoch, TT_FORM_DATA, TT_REASON_FIRST);
    if (sparse && fits(class, store))
        return tt_now(epoch, TT_FORM_WHOLE, TT_REASON_SPARSE);
    return tt_now(epoch, store->ring && class->held <= store->ring ? TT_FORM_HELD : TT_FORM_STATISTICS,
                  sparse ? TT_REASON_BUDGET : TT_REASON_THINNED);
}

bool tt_policy_decide(struct tt_policy *policy, uint64_t class_key, const struct tt_store *store)
{
    uint64_t epoch = tt_now_epoch(policy->now);
    struct tt_class *before = policy->current, *class = class_of(policy, class_key);
    learn(policy, store);
    bool keep_before = before && before != class && is_sparse(before->changes++);
    uint64_t now = choose(policy, epoch, class, store);
    class->seen++;
    policy->current = class;
    tt_policy_revise(policy, epoch, tt_now_form(now), tt_now_reason(now));
    return keep_before;
}

/* ---- what was decided ---- */

static void insert_run(struct tt_policy *policy, uint32_t at, struct tt_run run)
{
    if (policy->nruns == TT_MOST_RUNS) /* the log has them all */
        return;
    memmove(&policy->runs[at + 1], &policy->runs[at], (policy->nruns - at) * sizeof run);
    policy->runs[at] = run;
    policy->nruns++;
}

static bool continues(const struct tt_run *run, const struct tt_run *next)
{
    return run->form == next->form && run->reason == next->reason && run->last + 1 == next->first;
}

/* Only the last epochs are revised: those that a run ends with. */
static void note_run(struct tt_policy *policy, struct tt_run run)
{
    uint32_t at = policy->nruns;
    while (at > 0 && policy->runs[at - 1].first > run.last)
        at--;
    struct tt_run *before = at ? &policy->runs[at - 1] : NULL;
    if (before && before->last >= run.first) {
        struct tt_run rest = *before;
        rest.first = run.last + 1;
        if (before->first == run.first) {
            *before = run;
        } else {
            before->last = run.first - 1;
            insert_run(policy, at++, run);
        }
        if (rest.first <= rest.last)
            insert_run(policy, at, rest);
    } else if (before && continues(before, &run)) {
        before->last = run.last;
    } else {
        insert_run(policy, at, run);
    }
}

void tt_policy_revise(struct tt_policy *policy, uint64_t epoch, enum tt_form form, enum tt_reason reason)
{
    note_run(policy, (struct tt_run){epoch, epoch, form, reason});
    if (epoch != tt_now_epoch(policy->now))
        return;
    policy->form = form;
    set_now(policy, tt_now(epoch, form, reason));
}

uint64_t tt_policy_share(uint64_t remaining)
{
    uint64_t share = remaining / SHARE;
    return share < SMALL ? (remaining < SMALL ? remaining : SMALL) : share;
}
