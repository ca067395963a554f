/* SPDX-License-Identifier: Apache-2.0
 *
 * "tensortap.verdict/1". Fields may be added, none renamed.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "report/verdict.h"

static void add_text_or_null(cJSON *object, const char *name, const char *text)
{
    if (text && *text)
        cJSON_AddStringToObject(object, name, text);
    else
        cJSON_AddNullToObject(object, name);
}

/* null where there is nothing to say; "nonfinite" only where the value itself is not finite. */
static void add_number_or_null(cJSON *object, const char *name, double value)
{
    if (isfinite(value))
        cJSON_AddNumberToObject(object, name, value);
    else
        cJSON_AddNullToObject(object, name);
}

static void add_layer(cJSON *object, int layer)
{
    if (layer < 0)
        cJSON_AddNullToObject(object, "layer");
    else
        cJSON_AddNumberToObject(object, "layer", layer);
}

static void add_pass(cJSON *object, int pass)
{
    if (pass < 0)
        cJSON_AddNullToObject(object, "pass");
    else
        cJSON_AddNumberToObject(object, "pass", pass);
}

/* Stack and iteration where the graph has them; the component without the stack's prefix. `node` NULL: a call's result. */
static void add_component(cJSON *object, const struct tt_node *node, const char *component)
{
    size_t prefix = node && *node->stack ? strlen(node->stack) + 1 : 0;
    if (prefix)
        cJSON_AddStringToObject(object, "stack", node->stack);
    if (node && node->iteration >= 0)
        cJSON_AddNumberToObject(object, "iteration", node->iteration);
    add_text_or_null(object, "component", node ? component + prefix : NULL);
}

static const char *axis_name(const struct tt_node *node, int axis)
{
    if (node->axes[axis] == TT_AXIS_TOKEN)
        return "token";
    if (node->axes[axis] == TT_AXIS_KEY)
        return "key";
    return axis + 1 == node->rank ? "channel" : axis == 1 && node->rank == 3 ? "head" : "row";
}

/* Of the result of a call that no component names. */
static const char *call_axis_name(int rank, int axis)
{
    return axis + 1 == rank ? (rank > 1 ? "column" : "element") : axis + 2 == rank ? "row" : "batch";
}

/* `node` NULL: a call's result */
static void add_place(cJSON *object, const struct tt_node *node, int rank, const int64_t *at)
{
    cJSON *place = cJSON_AddObjectToObject(object, "at");
    cJSON *axes = cJSON_AddArrayToObject(place, "axes");
    for (int i = 0; i < rank && (!node || i < node->rank); i++)
        cJSON_AddItemToArray(axes, cJSON_CreateString(node ? axis_name(node, i) : call_axis_name(rank, i)));
    tt_json_add_shape(place, "index", at, rank);
}

static void add_integers(cJSON *object, const char *name, const int *values, int count)
{
    cJSON *list = cJSON_AddArrayToObject(object, name);
    for (int i = 0; i < count; i++)
        cJSON_AddItemToArray(list, values[i] < 0 ? cJSON_CreateNull() : cJSON_CreateNumber(values[i]));
}

static void add_extent(cJSON *json, const struct tt_fault *fault)
{
    cJSON *extent = cJSON_AddObjectToObject(json, "extent");
    char pattern[128];
    add_integers(extent, "layers", fault->layers, fault->nlayers);
    add_integers(extent, "passes", fault->passes, fault->npasses);
    cJSON *components = cJSON_AddArrayToObject(extent, "components");
    for (int i = 0; i < fault->ncomponents; i++)
        cJSON_AddItemToArray(components, cJSON_CreateString(fault->components[i]));
    if (fault->node < 0)
        snprintf(pattern, sizeof pattern, "%d call%s", fault->times, fault->times == 1 ? "" : "s");
    else
        snprintf(pattern, sizeof pattern, "%d place%s: %d layer%s, %d pass%s", fault->times, fault->times == 1 ? "" : "s",
             fault->nlayers, fault->nlayers == 1 ? "" : "s", fault->npasses, fault->npasses == 1 ? "" : "es");
    cJSON_AddStringToObject(extent, "pattern", pattern);
}

static cJSON *fault_json(const struct tt_fault *fault, const struct tt_graph *graph)
{
    cJSON *json = cJSON_CreateObject();
    add_pass(json, fault->pass);
    if (fault->sequence)
        cJSON_AddNumberToObject(json, "sequence", fault->sequence);
    add_layer(json, fault->layer);
    add_component(json, fault->node < 0 ? NULL : tt_graph_node(graph, fault->node), fault->component);
    if (fault->call)
        tt_json_add_u64(json, "call", fault->call);
    if (fault->routine)
        cJSON_AddStringToObject(json, "routine", fault->routine);
    cJSON_AddStringToObject(json, "status", tt_outcome_name(fault->status));
    cJSON_AddStringToObject(json, "class", fault->fault_class);
    cJSON_AddStringToObject(json, "side", fault->side);
    cJSON_AddStringToObject(json, "cause", fault->cause);
    cJSON *ties = cJSON_AddArrayToObject(json, "ties");
    for (int i = 0; i < fault->nties; i++)
        cJSON_AddItemToArray(ties, cJSON_CreateString(fault->ties[i]));
    cJSON_AddStringToObject(json, "confidence", tt_confidence_name(fault->confidence));
    add_text_or_null(json, "expected", fault->expected);
    add_text_or_null(json, "found", fault->found);
    tt_json_add_number(json, "chi2", fault->chi2);
    add_number_or_null(json, "chi2_after", fault->chi2_after);
    if (isfinite(fault->runner_up_chi2)) {
        cJSON *second = cJSON_AddObjectToObject(json, "runner_up");
        cJSON_AddStringToObject(second, "cause", fault->runner_up);
        cJSON_AddNumberToObject(second, "chi2", fault->runner_up_chi2);
    } else {
        cJSON_AddNullToObject(json, "runner_up");
    }
    add_text_or_null(json, "span", fault->span);
    add_extent(json, fault);
    add_place(json, fault->node < 0 ? NULL : tt_graph_node(graph, fault->node), fault->rank, fault->judged.at);
    add_text_or_null(json, "link", fault->link);
    add_text_or_null(json, "where", fault->where);
    add_text_or_null(json, "evidence", fault->evidence);
    return json;
}

static void add_measures(cJSON *json, double nmse, double floor, double cosine, double max_abs)
{
    tt_json_add_number(json, "nmse", nmse);
    tt_json_add_number(json, "floor", floor);
    tt_json_add_number(json, "cosine", cosine);
    tt_json_add_number(json, "max_abs", max_abs);
}

static void add_judgement(cJSON *json, const struct tt_row *row, const struct tt_graph *graph)
{
    const struct tt_judgement *j = &row->judged;
    if (j->n && row->in_span < 0) {
        tt_json_add_number(json, "chi2", j->chi2);
        add_measures(json, j->nmse, j->floor, j->cosine, j->max_abs);
        add_place(json, row->node < 0 ? NULL : tt_graph_node(graph, row->node), row->rank, j->at);
    }
    if (row->in_span >= 0)
        cJSON_AddStringToObject(json, "span", tt_node_address(tt_graph_node(graph, row->in_span)).text);
    if (row->compared)
        add_measures(cJSON_AddObjectToObject(json, "reference"), row->ref_nmse, row->ref_floor, row->ref_cosine,
                     row->ref_max_abs);
}

static cJSON *row_json(const struct tt_row *row, const struct tt_graph *graph)
{
    cJSON *json = cJSON_CreateObject();
    add_pass(json, row->pass);
    if (row->sequence)
        cJSON_AddNumberToObject(json, "sequence", row->sequence);
    add_layer(json, row->layer);
    add_component(json, row->op ? NULL : tt_graph_node(graph, row->node), row->component);
    if (row->op) {
        tt_json_add_u64(json, "call", row->call);
        cJSON_AddStringToObject(json, "op", row->op);
        add_text_or_null(json, "routine", row->routine);
    }
    cJSON_AddStringToObject(json, "operand", row->operand);
    if (row->reader)
        cJSON_AddStringToObject(json, "reader", row->reader);
    cJSON_AddStringToObject(json, "dtype", tt_dtype_info(row->dtype)->name);
    tt_json_add_shape(json, "shape", row->shape, row->rank);
    cJSON_AddStringToObject(json, "status", tt_outcome_name(row->judged.status));
    cJSON_AddBoolToObject(json, "explained", row->explained);
    if (row->form)
        cJSON_AddStringToObject(json, "form", row->form);
    add_judgement(json, row, graph);
    cJSON_AddStringToObject(json, "match", tt_evidence_name(row->evidence));
    cJSON *transform = cJSON_AddArrayToObject(json, "transform");
    if (row->transform && *row->transform)
        cJSON_AddItemToArray(transform, cJSON_CreateString(row->transform));
    return json;
}

static cJSON *unmeasured_row(const struct tt_node *node)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNullToObject(json, "pass");
    add_layer(json, node->layer);
    cJSON_AddStringToObject(json, "component", node->blame);
    cJSON_AddStringToObject(json, "status", "unmeasured");
    return json;
}

static void add_coverage(cJSON *json, const struct tt_verdict *v, const struct tt_graph *graph)
{
    const struct tt_coverage *c = &v->coverage;
    cJSON *coverage = cJSON_AddObjectToObject(json, "coverage");
    cJSON_AddNumberToObject(coverage, "components", c->components);
    cJSON_AddNumberToObject(coverage, "covered", c->covered);
    cJSON_AddNumberToObject(coverage, "alone", c->alone);
    cJSON_AddNumberToObject(coverage, "calls", v->calls.seen);
    cJSON_AddNumberToObject(coverage, "calls_measured", v->calls.measured);
    cJSON_AddNumberToObject(coverage, "causes", v->causes_total);
    cJSON_AddNumberToObject(coverage, "causes_visible", v->causes_visible);
    cJSON *list = cJSON_AddArrayToObject(coverage, "unmeasured");
    for (int i = 0; i < c->nunmeasured; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(tt_node_address(tt_graph_node(graph, c->unmeasured[i])).text));
}

static void add_preflight(cJSON *json, const struct tt_verdict *v, const struct tt_verdict_view *view)
{
    cJSON *preflight = cJSON_AddObjectToObject(json, "preflight");
    const struct tt_trace *trace = v->trace;
    cJSON_AddNumberToObject(preflight, "passes", trace && trace->npasses ? trace->passes[trace->npasses - 1].pass + 1 : 0);
    cJSON_AddNumberToObject(preflight, "unnamed_calls", view->unnamed_calls);
    add_text_or_null(preflight, "note", view->note);
    cJSON *inputs = cJSON_AddArrayToObject(preflight, "inputs");
    for (int i = 0; trace && i < trace->npasses; i++) {
        const struct tt_trace_pass *pass = &trace->passes[i];
        cJSON *one = cJSON_CreateObject();
        cJSON_AddNumberToObject(one, "pass", pass->pass);
        cJSON_AddNumberToObject(one, "sequence", pass->sequence);
        cJSON_AddStringToObject(one, "phase", tt_phase_name(pass->phase));
        cJSON_AddItemToObject(one, "tokens", cJSON_CreateIntArray(pass->inputs.tokens, (int)pass->inputs.ntokens));
        cJSON_AddStringToObject(one, "tokens_by", tt_evidence_name(pass->tokens_by));
        cJSON_AddNumberToObject(one, "first_position", pass->inputs.ntokens ? (double)pass->inputs.positions[0] : 0);
        cJSON_AddItemToArray(inputs, one);
    }
}

cJSON *tt_verdict_json(const struct tt_verdict *v, const struct tt_graph *graph, const struct tt_verdict_view *view)
{
    cJSON *json = tt_json_document("verdict");
    cJSON_AddStringToObject(json, "verdict", v->overall);
    add_text_or_null(json, "model", view->model);
    add_text_or_null(json, "family", view->family);
    cJSON_AddStringToObject(json, "path", view->path ? view->path : "unaltered");
    add_text_or_null(json, "reference", view->reference);
    add_preflight(json, v, view);
    cJSON *faults = cJSON_AddArrayToObject(json, "faults");
    for (int i = 0; i < v->nfaults; i++)
        cJSON_AddItemToArray(faults, fault_json(&v->faults[i], graph));
    cJSON *components = cJSON_AddArrayToObject(json, "components");
    for (int i = 0; i < v->nrows; i++)
        if (tt_row_selected(view, &v->rows[i], graph ? tt_graph_nlayers(graph) : 0))
            cJSON_AddItemToArray(components, row_json(&v->rows[i], graph));
    for (int i = 0; i < v->coverage.nunmeasured; i++)
        cJSON_AddItemToArray(components, unmeasured_row(tt_graph_node(graph, v->coverage.unmeasured[i])));
    cJSON *unobservable = cJSON_AddArrayToObject(json, "unobservable");
    for (int i = 0; i < v->nunobservable; i++) {
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "cause", v->unobservable[i].cause);
        cJSON_AddStringToObject(one, "why", v->unobservable[i].why);
        cJSON_AddStringToObject(one, "prompt", v->unobservable[i].prompt);
        cJSON_AddItemToArray(unobservable, one);
    }
    add_coverage(json, v, graph);
    return json;
}
