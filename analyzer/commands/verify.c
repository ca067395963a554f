/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap verify: every op of a run re-executed from its own operands.
 */
#include "commands/analysis.h"
#include "commands/prompt.h"
#include "diagnose/walk.h"

#include <stdlib.h>

#include "verify/calls.h"

/* Calls that the graph's nodes are verified by, ascending. */
struct named {
    uint64_t *ids;
    size_t count;
};

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static struct named named_calls(const struct tt_naming *naming)
{
    struct named named = {tt_alloc_array(naming->ncalls + 1, sizeof *named.ids), 0};
    for (size_t i = 0; i < naming->ncalls; i++)
        if (naming->calls[i].node >= 0)
            named.ids[named.count++] = naming->calls[i].call;
    qsort(named.ids, named.count, sizeof *named.ids, by_id);
    return named;
}

static bool is_named(void *user, uint64_t call)
{
    const struct named *named = user;
    return bsearch(&call, named->ids, named->count, sizeof call, by_id) != NULL;
}

static struct tt_verdict *verify_named(struct tt_context *context, const struct tt_analysis *a)
{
    struct tt_verify_options options = {.stop_at_first = context->stop_at_first,
                                        .capture = a->naming ? a->capture : NULL};
    struct tt_verdict *verdict = tt_verify(a->graph, a->trace, &options);
    if (a->naming) {
        struct named named = named_calls(a->naming);
        struct tt_calls_options calls = {.skip = is_named, .user = &named, .stop_at_first = context->stop_at_first};
        tt_verify_calls(verdict, a->capture, &calls);
        free(named.ids);
    }
    return verdict;
}

static struct tt_verdict *verify_unnamed(struct tt_context *context, const struct tt_analysis *a)
{
    struct tt_verdict *verdict = tt_alloc(sizeof *verdict);
    tt_verify_calls(verdict, a->capture, &(struct tt_calls_options){.stop_at_first = context->stop_at_first});
    return verdict;
}

struct tt_verdict *tt_analysis_verify(struct tt_context *context, const struct tt_analysis *a)
{
    return a->graph ? verify_named(context, a) : verify_unnamed(context, a);
}

static int run_verify(struct tt_context *context)
{
    struct tt_analysis analysis = {.model_optional = true};
    int status = tt_analysis_open(context, 0, &analysis);
    if (!status) {
        struct tt_verdict *verdict = tt_analysis_verify(context, &analysis);
        status = tt_analysis_report(context, &analysis, verdict, NULL);
        tt_verdict_free(verdict);
    }
    tt_analysis_close(&analysis);
    return status;
}

static const struct tt_option options[] = {
    {"tokens", 't', TT_OPTION_TEXT, "IDS", "token ids of the prompt, when they need not be recovered", NULL, NULL},
    {"prompt", 'p', TT_OPTION_TEXT, "TEXT", "the prompt as text, made ids by the model's own tokenizer", NULL, NULL},
    TT_PROMPT_OPTIONS,
    {"rows", 0, TT_OPTION_FLAG, NULL, "every value with its numbers instead of the ladder", NULL, NULL},
    {0},
};

const struct tt_command tt_command_verify = {
    .name = "verify",
    .summary = "re-execute each op on its own operands; name faults, causes",
    .usage = "[options] CAPTURE [--model MODEL]",
    .description = "Each value that was captured is recomputed in double precision from what the engine itself had just "
                   "before, and judged by how far a right engine of its precision may be off. The first fault printed is "
                   "the first divergence.\n\nThe model is --model, else the one that the program had open. Without any, and for "
                   "calls that belong to no component, each recorded BLAS call is recomputed from its own operands.\n\nExit status: 0 match, 1 mismatch, 2 bad input, 3 not everything was measured.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run_verify,
};
