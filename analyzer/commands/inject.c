/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of other runs for `ref`, and whether `compare` finds the rest right with one of them.
 */
#include "commands/inject.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

/* ---- ref ---- */

struct tt_ref_injections {
    size_t count;
    struct one {
        char *name;
        struct tt_injection injection;
        struct tt_counterpart from;
    } *items; /* [count] */
};

static int replace(void *user, struct tt_evaluator *evaluator, const struct tt_trace_pass *pass, int node,
                   struct tt_error *error)
{
    struct tt_ref_injections *all = user;
    int failed = 0;
    for (size_t i = 0; i < all->count && !failed; i++)
        failed = tt_inject(&all->items[i].injection, evaluator, pass, node, error);
    return failed;
}

/* "NAME=FILE#KEY", "NAME@CAPTURE" */
static int open_one(struct tt_context *context, struct tt_graph *graph, const struct tt_trace *inputs, const char *text,
                    struct one *one)
{
    size_t length = strcspn(text, "=@");
    int first, failed;
    if (!length || !text[length] || !text[length + 1])
        return tt_fail(&context->error, TT_EINPUT, "--inject '%s': expected NAME=FILE, NAME=FILE#KEY or NAME@CAPTURE", text);
    one->name = tt_format("%.*s", (int)length, text);
    if (tt_injection_new(graph, one->name, &one->injection, &context->error))
        return -1;
    const char *from = text + length + 1;
    if (text[length] == '=' && !tt_is_array_file(from))
        return tt_fail(&context->error, TT_EINPUT, "--inject '%s': %s is no .safetensors, .npz, .npy or .pt; of a capture: %s@%s",
                       text, from, one->name, from);
    int count = tt_injection_count(graph, &one->injection, &first);
    bool single = count == 1 && text[length] == '=';
    if (!single && text[length] == '=' && strrchr(from, '#'))
        return tt_fail(&context->error, TT_EINPUT, "--inject '%s': one array, but '%s' means %d values; name one of them",
                       text, one->name, count);
    failed = single ? tt_counterpart_of_node(context, from, graph, first, inputs, &one->from)
                    : tt_counterpart_open(context, from, graph, inputs, &one->from);
    one->injection.source = one->from.trace;
    return failed;
}

int tt_ref_injections_open(struct tt_context *context, struct tt_graph *graph, const struct tt_trace *inputs,
                           struct tt_reference_options *how, struct tt_ref_injections **out)
{
    size_t count = tt_option_count(context->options, "inject");
    int failed = 0;
    *out = NULL;
    if (!count)
        return 0;
    struct tt_ref_injections *made = *out = tt_alloc(sizeof *made);
    made->items = tt_alloc_array(count, sizeof *made->items);
    for (; made->count < count && !failed; made->count++)
        failed = open_one(context, graph, inputs, tt_option_text_at(context->options, "inject", made->count),
                          &made->items[made->count]);
    how->replace = replace;
    how->user = made;
    return failed;
}

int tt_ref_injections_report(struct tt_context *context, const struct tt_ref_injections *all)
{
    for (size_t i = 0; all && i < all->count; i++) {
        const struct tt_injection *injection = &all->items[i].injection;
        if (!injection->rows)
            return tt_fail(&context->error, TT_EINPUT, "--inject %s: nothing was replaced, no row of it belongs to a position "
                                                       "of this run", injection->what);
        tt_note(context, "%s: %s replaced", injection->what, tt_plural((uint64_t)injection->rows, "row").text);
    }
    return 0;
}

void tt_ref_injections_free(struct tt_ref_injections *all)
{
    for (size_t i = 0; all && i < all->count; i++) {
        tt_injection_free(&all->items[i].injection);
        tt_counterpart_close(&all->items[i].from);
        free(all->items[i].name);
    }
    if (all)
        free(all->items);
    free(all);
}

/* ---- compare ---- */

struct result {
    const struct tt_graph *graph;
    const struct tt_injection *injection;
    const struct tt_injection_outcome *outcome;
};

static struct tt_address address(const struct tt_graph *graph, int node)
{
    return tt_node_address(tt_graph_node(graph, node));
}

static const char *overall_of(const struct tt_injection_outcome *o)
{
    return !o->compared_after ? "unmeasured" : o->apart_after ? "mismatch" : "match";
}

static void print_result(struct tt_context *context, const struct result *r)
{
    const struct tt_injection_outcome *o = r->outcome;
    struct tt_term term = tt_term_open(context->out, context->color, context->md);
    tt_fact(&term, "before", "%d of %d values are apart%s%s", o->apart_before, o->compared_before,
            o->apart_before ? ", the first is " : "", o->apart_before ? address(r->graph, o->first_before).text : "");
    tt_fact(&term, "injected", "%s as the run had it, %s", r->injection->what,
            tt_plural((uint64_t)r->injection->rows, "row").text);
    tt_fact(&term, "behind it", "%d of %d values are apart%s%s", o->apart_after, o->compared_after,
            o->apart_after ? ", the first is " : "", o->apart_after ? address(r->graph, o->first_after).text : "");
    if (o->other_tokens >= 0)
        tt_fact(&term, "left out", "pass %d and what follows it: the reference goes on with other tokens (ref --like takes the run's)",
                o->other_tokens);
    if (!o->compared_after)
        fprintf(term.out, "unmeasured   the run holds no value that is computed from it\n");
    else if (!o->apart_after)
        fprintf(term.out, "match   from %s on all agrees: what parts the two lies in %s or before it\n",
                address(r->graph, o->agrees_from).text, r->injection->what);
    else if (o->agrees_from >= 0)
        fprintf(term.out, "mismatch   something else is wrong behind %s, first seen in %s; from %s on all agrees\n",
                r->injection->what, address(r->graph, o->first_after).text, address(r->graph, o->agrees_from).text);
    else
        fprintf(term.out, "mismatch   something else is wrong behind %s, first seen in %s, and to the end\n",
                r->injection->what, address(r->graph, o->first_after).text);
}

static void add_side(cJSON *object, const char *name, const struct tt_graph *graph, int compared, int apart, int first)
{
    cJSON *made = cJSON_AddObjectToObject(object, name);
    cJSON_AddNumberToObject(made, "compared", compared);
    cJSON_AddNumberToObject(made, "apart", apart);
    if (first >= 0)
        cJSON_AddStringToObject(made, "first", address(graph, first).text);
    else
        cJSON_AddNullToObject(made, "first");
}

static void add_apart(cJSON *object, const char *name, const char *number, enum tt_apart apart, double nmse)
{
    if (apart == TT_UNCOMPARED) {
        cJSON_AddNullToObject(object, name);
        return;
    }
    cJSON_AddStringToObject(object, name, apart == TT_EQUAL ? "match" : "mismatch");
    tt_json_add_number(object, number, nmse);
}

static cJSON *document(const struct result *r)
{
    const struct tt_injection_outcome *o = r->outcome;
    cJSON *made = tt_json_document("injection");
    cJSON_AddStringToObject(made, "verdict", overall_of(o));
    cJSON_AddStringToObject(made, "component", r->injection->what);
    tt_json_add_i64(made, "rows", r->injection->rows);
    add_side(made, "before", r->graph, o->compared_before, o->apart_before, o->first_before);
    add_side(made, "after", r->graph, o->compared_after, o->apart_after, o->first_after);
    if (o->agrees_from >= 0)
        cJSON_AddStringToObject(made, "agrees_from", address(r->graph, o->agrees_from).text);
    else
        cJSON_AddNullToObject(made, "agrees_from");
    if (o->other_tokens >= 0)
        cJSON_AddNumberToObject(made, "other_tokens_from_pass", o->other_tokens);
    cJSON *list = cJSON_AddArrayToObject(made, "values");
    for (int i = 0; i < tt_graph_nnodes(r->graph); i++) {
        const struct tt_injected_row *row = &o->rows[i];
        if (row->before == TT_UNCOMPARED)
            continue;
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", address(r->graph, i).text);
        add_apart(item, "before", "nmse_before", row->before, row->nmse_before);
        add_apart(item, "after", "nmse_after", row->after, row->nmse_after);
        cJSON_AddItemToArray(list, item);
    }
    return made;
}

int tt_compare_injected(struct tt_context *context, const struct tt_analysis *run, const struct tt_trace *reference,
                        const char *name)
{
    struct tt_injection injection = {0};
    struct tt_injection_outcome outcome = {0};
    struct result result = {.graph = run->graph, .injection = &injection, .outcome = &outcome};
    int status = tt_injection_new(run->graph, name, &injection, &context->error);
    if (!status)
        status = tt_injection_try(run->graph, run->trace, reference, &injection, &outcome, &context->error);
    if (!status) {
        status = outcome.apart_after       ? TT_STATUS_MISMATCH
                 : !outcome.compared_after ? tt_status_of_partial(context)
                                           : TT_STATUS_MATCH;
        if (context->json)
            status = tt_emit_json(context, document(&result), status);
        else
            print_result(context, &result);
    }
    tt_injection_outcome_free(&outcome);
    tt_injection_free(&injection);
    return status;
}
