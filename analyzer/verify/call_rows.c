/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls in the verdict: a row each, faults of one routine and cause joined, in execution order among the named ones.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "verify/calls.h"

static void add_row(struct tt_verdict *v, const struct tt_call_check *c)
{
    if ((v->nrows & (v->nrows - 1)) == 0)
        v->rows = tt_grow(v->rows, v->nrows ? 2 * (size_t)v->nrows : 1, sizeof *v->rows);
    struct tt_row *row = &v->rows[v->nrows++];
    *row = (struct tt_row){.pass = -1, .node = -1, .layer = -1, .in_span = -1, .component = "call", .operand = "out", .call = c->call->id,
                           .op = c->call->op, .routine = c->call->routine, .judged = c->judged, .form = c->form,
                           .explained = c->judged.status != TT_DRIFT || c->form, .transform = ""};
    if (!c->result)
        return;
    row->dtype = c->result->dtype;
    row->rank = c->result->rank < TT_VALUE_RANK ? c->result->rank : TT_VALUE_RANK;
    memcpy(row->shape, c->result->shape, (size_t)row->rank * sizeof *row->shape);
}

static struct tt_fault fault_of(const struct tt_call_check *c)
{
    struct tt_fault fault = {.pass = -1, .node = -1, .layer = -1, .status = TT_INTRODUCED, .fault_class = "kernel",
                             .side = "engine", .judged = c->judged, .chi2 = c->judged.chi2, .chi2_after = c->chi2_after,
                             .runner_up_chi2 = INFINITY, .rank = c->result->rank, .call = c->call->id,
                             .routine = c->call->routine, .times = 1};
    bool unknown = strcmp(c->cause, "unknown") == 0;
    fault.confidence = unknown ? TT_UNSURE : isfinite(c->chi2_after) ? TT_LIKELY : TT_CERTAIN;
    snprintf(fault.component, sizeof fault.component, "call");
    snprintf(fault.cause, sizeof fault.cause, "%s", c->cause);
    snprintf(fault.expected, sizeof fault.expected, "%s", c->expected);
    snprintf(fault.found, sizeof fault.found, "%s", c->found);
    tt_call_place(c->call, fault.where, sizeof fault.where);
    snprintf(fault.evidence, sizeof fault.evidence, "recomputed from its own operands the result has chi2/N %.3g%s%s",
             c->judged.chi2, c->found[0] ? ": " : "", c->found);
    return fault;
}

static bool joined(struct tt_verdict *v, const struct tt_fault *fault)
{
    for (int i = 0; i < v->nfaults; i++) {
        struct tt_fault *old = &v->faults[i];
        if (old->node >= 0 || strcmp(old->cause, fault->cause) != 0 || !old->routine || !fault->routine ||
            strcmp(old->routine, fault->routine) != 0)
            continue;
        old->times++;
        return true;
    }
    return false;
}

/* Before the first fault that a later call shows. */
static void insert_fault(struct tt_verdict *v, const struct tt_fault *fault)
{
    int at = v->nfaults;
    for (int i = 0; i < v->nfaults && at == v->nfaults; i++)
        if (v->faults[i].call > fault->call)
            at = i;
    struct tt_fault *faults = tt_alloc_array((size_t)v->nfaults + 1, sizeof *faults);
    for (int i = 0; i <= v->nfaults; i++) { /* overrides point into themselves: no plain copy */
        const struct tt_fault *from = i == at ? fault : &v->faults[i - (i > at)];
        faults[i] = *from;
        tt_overrides_copy(&faults[i].repair, &from->repair);
    }
    free(v->faults);
    v->faults = faults;
    v->nfaults++;
}

static void add_call(struct tt_verdict *v, const struct tt_call_check *c)
{
    add_row(v, c);
    v->calls.seen++;
    v->calls.measured += c->judged.n > 0;
    if (c->judged.status != TT_INTRODUCED)
        return;
    struct tt_fault fault = fault_of(c);
    if (!joined(v, &fault))
        insert_fault(v, &fault);
}

static bool routine_measured(const struct tt_verdict *v, const struct tt_row *row)
{
    for (int i = 0; i < v->nrows; i++)
        if (v->rows[i].judged.n && strcmp(v->rows[i].op, row->op) == 0 && v->rows[i].routine == row->routine)
            return true;
    return false;
}

/* Calls of one routine are alike; a routine of which none could be measured is a gap. */
static const char *overall_of(const struct tt_verdict *v)
{
    if (v->nfaults)
        return "mismatch";
    if (!v->calls.measured)
        return "unmeasured";
    for (int i = 0; i < v->nrows; i++)
        if (!v->rows[i].judged.n && !routine_measured(v, &v->rows[i]))
            return "partial";
    return "match";
}

void tt_verify_calls(struct tt_verdict *v, const struct tt_capture *capture, const struct tt_calls_options *options)
{
    size_t n = tt_capture_ncalls(capture);
    struct tt_progress progress = tt_progress_begin("verifying calls", (uint64_t)n);
    for (size_t i = 0; i < n && !(options->stop_at_first && v->nfaults); i++) {
        const struct tt_recorded_call *call = tt_capture_call(capture, i);
        struct tt_call_check check;
        if (!tt_call_checkable(call) || (options->skip && options->skip(options->user, call->id)))
            continue;
        tt_call_check(capture, call, &check);
        add_call(v, &check);
        tt_progress_step(&progress, (uint64_t)i + 1);
    }
    tt_progress_end(&progress);
    if (!v->trace)
        v->overall = overall_of(v);
    else if (v->nfaults)
        v->overall = "mismatch";
}
