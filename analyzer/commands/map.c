/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap map: which call is which component, and how that is known.
 */
#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "commands/analysis.h"
#include "report/sheet.h"

static const struct tt_recorded_call *call_of(const struct tt_capture *capture, uint64_t id)
{
    for (size_t i = 0; i < tt_capture_ncalls(capture); i++)
        if (tt_capture_call(capture, i)->id == id)
            return tt_capture_call(capture, i);
    return NULL;
}

static cJSON *tokens_json(const struct tt_trace *trace)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < trace->npasses; i++) {
        const struct tt_trace_pass *p = &trace->passes[i];
        cJSON *one = cJSON_CreateObject();
        cJSON_AddNumberToObject(one, "pass", p->pass);
        cJSON_AddNumberToObject(one, "sequence", p->sequence);
        cJSON_AddStringToObject(one, "phase", tt_phase_name(p->phase));
        cJSON_AddNumberToObject(one, "epoch", (double)p->epoch);
        cJSON_AddItemToObject(one, "tokens", cJSON_CreateIntArray(p->inputs.tokens, (int)p->inputs.ntokens));
        cJSON_AddStringToObject(one, "match", tt_evidence_name(p->tokens_by));
        tt_json_add_number(one, "margin", p->tokens_margin);
        cJSON_AddNumberToObject(one, "keys", (double)p->inputs.nkeys);
        cJSON_AddItemToArray(list, one);
    }
    return list;
}

static cJSON *call_json(const struct tt_analysis *a, const struct tt_named_call *named)
{
    const struct tt_recorded_call *call = call_of(a->capture, named->call);
    const struct tt_node *node = named->node >= 0 ? tt_graph_node(a->graph, named->node) : NULL;
    cJSON *json = cJSON_CreateObject();
    tt_json_add_u64(json, "call", named->call);
    cJSON_AddStringToObject(json, "routine", call ? call->routine : "");
    if (!node) {
        cJSON_AddNullToObject(json, "component");
        cJSON_AddStringToObject(json, "why", named->why ? named->why : "");
        return json;
    }
    cJSON_AddNumberToObject(json, "pass", named->pass);
    if (node->layer >= 0)
        cJSON_AddNumberToObject(json, "layer", node->layer);
    else
        cJSON_AddNullToObject(json, "layer");
    cJSON_AddStringToObject(json, "component", node->blame);
    cJSON_AddStringToObject(json, "match", tt_evidence_name(named->evidence));
    if (named->transform && *named->transform)
        cJSON_AddStringToObject(json, "transform", named->transform);
    return json;
}

static int emit(struct tt_context *context, const struct tt_analysis *a)
{
    cJSON *document = tt_json_document("map");
    cJSON_AddStringToObject(document, "model", tt_model_path(a->model));
    cJSON_AddStringToObject(document, "family", tt_graph_family(a->graph));
    cJSON_AddItemToObject(document, "passes", tokens_json(a->trace));
    cJSON_AddNumberToObject(document, "named", a->trace->named_calls);
    cJSON_AddNumberToObject(document, "unnamed", a->trace->unnamed_calls);
    cJSON *calls = cJSON_AddArrayToObject(document, "calls");
    for (size_t i = 0; i < a->naming->ncalls; i++)
        cJSON_AddItemToArray(calls, call_json(a, &a->naming->calls[i]));
    return tt_emit_json(context, document, 0);
}

static void print_passes(const struct tt_trace *trace, const struct tt_term *term)
{
    for (int i = 0; i < trace->npasses; i++) {
        const struct tt_trace_pass *p = &trace->passes[i];
        char key[48];
        snprintf(key, sizeof key, "p%d %s", p->pass, tt_phase_name(p->phase));
        tt_fact_begin(term, key);
        if (p->sequence)
            fprintf(term->out, "sequence %d, ", p->sequence);
        fprintf(term->out, "%" PRId64 " token%s at %" PRId64 ":", p->inputs.ntokens, p->inputs.ntokens == 1 ? "" : "s",
                p->inputs.ntokens ? p->inputs.positions[0] : 0);
        for (int64_t t = 0; t < p->inputs.ntokens && t < 16; t++)
            fprintf(term->out, " %d", p->inputs.tokens[t]);
        fprintf(term->out, "%s (by %s)\n", p->inputs.ntokens > 16 ? " …" : "", tt_evidence_name(p->tokens_by));
    }
}

static void print_calls(const struct tt_analysis *a, const struct tt_term *term)
{
    static const struct tt_column columns[] = {{"call", TT_RIGHT, TT_DIM, false},    {"routine", TT_LEFT, TT_PLAIN, false},
                                               {"component", TT_LEFT, TT_BOLD, false}, {"by", TT_LEFT, TT_PLAIN, false},
                                               {"note", TT_LEFT, TT_DIM, true}};
    struct tt_sheet *sheet = tt_sheet_new(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < a->naming->ncalls; i++) {
        const struct tt_named_call *n = &a->naming->calls[i];
        const struct tt_recorded_call *call = call_of(a->capture, n->call);
        tt_sheet_cell(sheet, "%" PRIu64, n->call);
        tt_sheet_cell(sheet, "%s", call ? call->routine : "");
        if (n->node >= 0)
            tt_sheet_cell(sheet, "p%d/%s", n->pass, tt_node_address(tt_graph_node(a->graph, n->node)).text);
        else
            tt_sheet_cell(sheet, "-");
        tt_sheet_cell(sheet, "%s", n->node >= 0 ? tt_evidence_name(n->evidence) : "");
        tt_sheet_cell(sheet, "%s", n->why ? n->why : n->transform ? n->transform : "");
    }
    tt_sheet_print(sheet, term);
    tt_sheet_free(sheet);
}

static int run_map(struct tt_context *context)
{
    struct tt_analysis a = {0};
    int status = tt_analysis_open(context, 0, &a);
    if (!status && !a.naming)
        status = tt_fail(&context->error, TT_EINPUT, "%s is a reference: its calls carry their names", context->args[0]);
    if (!status && context->json) {
        status = emit(context, &a);
    } else if (!status) {
        struct tt_term term = tt_term_open(context->out, context->color, context->md);
        tt_fact(&term, "model", "%s (%s)", tt_model_path(a.model), tt_graph_family(a.graph));
        tt_fact(&term, "named", "%d of %d matrix products", a.trace->named_calls,
                a.trace->named_calls + a.trace->unnamed_calls);
        print_passes(a.trace, &term);
        print_calls(&a, &term);
    }
    tt_analysis_close(&a);
    return status;
}

static const struct tt_option options[] = {
    {"tokens", 't', TT_OPTION_TEXT, "IDS", "token ids of the prompt, when they need not be recovered", NULL, NULL},
    {0},
};

const struct tt_command tt_command_map = {
    .name = "map",
    .summary = "which call is which component, and by which evidence",
    .usage = "[options] CAPTURE [--model MODEL]",
    .description = "Evidence: file (its place in the model file), hash (its content), flow (what it reads and who reads "
                   "it), shape, value.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run_map,
};
