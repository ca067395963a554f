/* SPDX-License-Identifier: Apache-2.0
 *
 * Inspected values: where from, statistics, corners, and how they compare.
 */
#include "commands/inspection_view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "commands/values_view.h"
#include "report/values.h"

#define FIRST_VALUES     8    /* of each token, in documents */
#define MOST_JSON_VALUES 4096 /* without --all a document leaves the values out above this */
#define MOST_TOKENS      64   /* ids printed */

const char *tt_agreement_name(enum tt_agreement agreement)
{
    static const char *const names[] = {"unmeasured", "match", "mismatch"};
    return names[agreement];
}

struct view {
    struct tt_context *context;
    const struct tt_inspection *in;
    const struct tt_inspected *item;
    const struct tt_node *node;
    struct tt_values values; /* of the token asked for, or of all; borrowed */
};

/* Heads joined, so that a row is a token; not where the last axis counts keys. */
static struct tt_values values_of(const struct tt_node *node, const struct tt_inspected *item)
{
    const struct tt_value *value = item->value;
    struct tt_values out = {.values = value->v, .count = (uint64_t)tt_value_count(value), .rank = value->rank};
    memcpy(out.shape, value->shape, sizeof value->shape);
    if (value->rank > 2 && node->axes[node->rank - 1] != TT_AXIS_KEY) {
        out.rank = 2;
        out.shape[1] = value->shape[0] ? (int64_t)out.count / value->shape[0] : 0;
    }
    if (item->token < 0 || !out.rank || node->axes[0] != TT_AXIS_TOKEN)
        return out;
    out.count /= (uint64_t)value->shape[0];
    out.values += (uint64_t)item->token * out.count;
    out.rank--;
    memmove(out.shape, out.shape + 1, sizeof out.shape - sizeof *out.shape);
    return out;
}

static struct view view_of(struct tt_context *context, const struct tt_inspection *in, const struct tt_inspected *item)
{
    struct view v = {.context = context, .in = in, .item = item};
    v.node = tt_graph_node(in->analysis.graph, in->nodes[item->index]);
    v.values = values_of(v.node, item);
    return v;
}

/* A step that is never blamed by its own name (a sum of embeddings) has one here. */
static struct tt_address name_of(const struct tt_node *node)
{
    struct tt_address name = tt_node_address(node);
    if (node->internal && node->layer < 0)
        snprintf(name.text, sizeof name.text, "%s", node->component);
    return name;
}

/* ---- for people ---- */

static void print_attributes(const struct tt_term *term, const struct tt_attributes *attributes)
{
    struct tt_string line = {0};
    for (int i = 0; i < attributes->count; i++) {
        const struct tt_attribute_value *item = &attributes->items[i];
        if (strcmp(item->name, "layer") == 0)
            continue;
        tt_string_add(&line, "%s%s %s", line.length ? ", " : "", item->name, item->string ? item->string : tt_real(item->number).text);
    }
    if (line.text)
        tt_fact(term, "attributes", "%s", line.text);
    tt_string_free(&line);
}

static bool is_through(const struct view *v)
{
    return v->item->judged_by != v->in->nodes[v->item->index];
}

/* The norm by which the value was judged. */
static struct tt_address through(const struct view *v)
{
    return tt_node_address(tt_graph_node(v->in->analysis.graph, v->item->judged_by));
}

static void print_against(const struct tt_term *term, const struct view *v)
{
    static const enum tt_style styles[] = {TT_DIM, TT_GREEN, TT_RED};
    const struct tt_judgement *j = &v->item->judged;
    if (!tt_option_text(v->context->options, "against"))
        return;
    tt_fact_begin(term, "against");
    fprintf(term->out, "%s%s%s", tt_style_begin(term, styles[v->item->outcome]), tt_agreement_name(v->item->outcome),
            tt_style_end(term, styles[v->item->outcome]));
    if (v->item->outcome == TT_NOT_COMPARED)
        fputs(": not among what it holds\n", term->out);
    else if (j->status == TT_EXACT)
        fputs(", bit by bit", term->out);
    else
        fprintf(term->out, ", NMSE %s (right up to %s), cosine %.6f, max abs %s, worst at %s", tt_real(j->nmse).text,
                tt_real(v->item->limit).text, j->cosine, tt_real(j->max_abs).text,
                tt_shape(j->at, v->item->value->rank).text);
    if (v->item->outcome != TT_NOT_COMPARED)
        fprintf(term->out, "%s%s\n", is_through(v) ? ", seen through " : "", is_through(v) ? through(v).text : "");
}

static void print_item(const struct tt_term *term, const struct view *v)
{
    tt_heading(term, "%s  [%s]", name_of(v->node).text, tt_shape(v->item->value->shape, v->item->value->rank).text);
    if (v->in->notes[v->item->index])
        tt_fact(term, "what", "%s", v->in->notes[v->item->index]);
    tt_fact(term, "computed by", "%s", v->node->op ? v->node->op->name : "cache");
    print_attributes(term, &v->node->attributes);
    tt_view_measured(term, &v->values);
    print_against(term, v);
    fputc('\n', term->out);
    tt_values_print(term, v->values.values, v->values.shape, v->values.rank, tt_option_flag(v->context->options, "all"));
    if (tt_option_flag(v->context->options, "pictures"))
        tt_view_pictures(term, &v->values);
    fputc('\n', term->out);
}

static void print_prompt(const struct tt_term *term, const struct tt_inspection *in, const struct tt_trace *trace,
                         int64_t token)
{
    const struct tt_pass_inputs *inputs = &trace->passes[0].inputs;
    struct tt_string ids = {0};
    for (int64_t i = 0; i < inputs->ntokens && i < MOST_TOKENS; i++)
        tt_string_add(&ids, "%s%d", i ? "," : "", inputs->tokens[i]);
    tt_fact(term, "model", "%s (%s)", tt_model_path(in->analysis.model), tt_graph_family(in->analysis.graph));
    tt_fact(term, "tokens", "%s%s", ids.text, inputs->ntokens > MOST_TOKENS ? ",…" : "");
    if (token >= 0)
        tt_fact(term, "shown", "token %lld (id %d)", (long long)token, inputs->tokens[token]);
    fputc('\n', term->out);
    tt_string_free(&ids);
}

/* ---- documents ---- */

static void add_attributes(cJSON *object, const struct tt_attributes *attributes)
{
    cJSON *made = cJSON_AddObjectToObject(object, "attributes");
    for (int i = 0; i < attributes->count; i++) {
        const struct tt_attribute_value *item = &attributes->items[i];
        if (item->string)
            cJSON_AddStringToObject(made, item->name, item->string);
        else
            tt_json_add_number(made, item->name, item->number);
    }
}

/* The first values of each token (of the one shown: of its first row). */
static void add_first(cJSON *object, const struct tt_values *values, bool one)
{
    uint64_t rows = !one && values->rank ? (uint64_t)values->shape[0] : 1, width = rows ? values->count / rows : 0;
    cJSON *list = cJSON_AddArrayToObject(object, "first");
    for (uint64_t r = 0; r < rows; r++) {
        cJSON *row = cJSON_CreateArray();
        for (uint64_t i = 0; i < width && i < FIRST_VALUES; i++) {
            double value = values->values[r * width + i];
            cJSON_AddItemToArray(row, isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull());
        }
        cJSON_AddItemToArray(list, row);
    }
}

static void add_against(cJSON *object, const struct view *v)
{
    const struct tt_judgement *j = &v->item->judged;
    if (!tt_option_text(v->context->options, "against"))
        return;
    cJSON *made = cJSON_AddObjectToObject(object, "against");
    cJSON_AddStringToObject(made, "verdict", tt_agreement_name(v->item->outcome));
    if (v->item->outcome == TT_NOT_COMPARED)
        return;
    if (is_through(v))
        cJSON_AddStringToObject(made, "seen_through", through(v).text);
    cJSON_AddBoolToObject(made, "exact", j->status == TT_EXACT);
    tt_json_add_number(made, "rows", (double)v->item->rows);
    tt_json_add_number(made, "nmse", j->nmse);
    tt_json_add_number(made, "limit", v->item->limit);
    tt_json_add_number(made, "floor", j->floor);
    tt_json_add_number(made, "cosine", j->cosine);
    tt_json_add_number(made, "max_abs", j->max_abs);
    tt_json_add_shape(made, "at", j->at, v->item->value->rank);
}

static cJSON *item_json(const struct view *v)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", name_of(v->node).text);
    if (v->node->layer >= 0)
        cJSON_AddNumberToObject(object, "layer", v->node->layer);
    cJSON_AddStringToObject(object, "component", v->node->component);
    if (v->in->notes[v->item->index])
        cJSON_AddStringToObject(object, "what", v->in->notes[v->item->index]);
    cJSON_AddStringToObject(object, "op", v->node->op ? v->node->op->name : "cache");
    add_attributes(object, &v->node->attributes);
    tt_json_add_shape(object, "shape", v->item->value->shape, v->item->value->rank);
    if (v->item->token >= 0)
        cJSON_AddNumberToObject(object, "token", (double)v->item->token);
    tt_view_add_moments(object, &v->values);
    add_first(object, &v->values, v->item->token >= 0);
    if (tt_option_flag(v->context->options, "all") || v->values.count <= MOST_JSON_VALUES)
        tt_view_add_values(object, &v->values);
    else
        cJSON_AddStringToObject(object, "values_left_out", "many values; ask for them with --all or --token");
    add_against(object, v);
    return object;
}

static cJSON *document(struct tt_context *context, const struct tt_inspection *in, const struct tt_inspected *items,
                       const struct tt_trace *trace, enum tt_agreement overall)
{
    const struct tt_pass_inputs *inputs = &trace->passes[0].inputs;
    cJSON *made = tt_json_document(in->schema);
    cJSON_AddStringToObject(made, "model", tt_model_path(in->analysis.model));
    cJSON_AddStringToObject(made, "family", tt_graph_family(in->analysis.graph));
    cJSON *tokens = cJSON_AddArrayToObject(made, "tokens");
    for (int64_t i = 0; i < inputs->ntokens; i++)
        cJSON_AddItemToArray(tokens, cJSON_CreateNumber(inputs->tokens[i]));
    if (tt_option_text(context->options, "against")) {
        cJSON_AddStringToObject(made, "against", tt_option_text(context->options, "against"));
        cJSON_AddStringToObject(made, "verdict", tt_agreement_name(overall));
    }
    cJSON *list = cJSON_AddArrayToObject(made, "components");
    for (size_t i = 0; i < in->nnodes; i++) {
        struct view view = view_of(context, in, &items[i]);
        cJSON_AddItemToArray(list, item_json(&view));
    }
    return made;
}

/* ---- both ---- */

static enum tt_agreement overall_of(const struct tt_inspection *in, const struct tt_inspected *items)
{
    enum tt_agreement overall = TT_NOT_COMPARED;
    for (size_t i = 0; i < in->nnodes; i++)
        overall = items[i].outcome > overall ? items[i].outcome : overall;
    return overall;
}

static int status_of(const struct tt_context *context, enum tt_agreement overall)
{
    if (!tt_option_text(context->options, "against") || overall == TT_AGREES)
        return TT_STATUS_MATCH;
    return overall == TT_DIFFERS ? TT_STATUS_MISMATCH : tt_status_of_partial(context);
}

static void print_overall(const struct tt_term *term, const struct tt_inspection *in, const struct tt_inspected *items,
                          enum tt_agreement overall)
{
    size_t compared = 0, different = 0, first = 0;
    for (size_t i = in->nnodes; i-- > 0;) {
        compared += items[i].outcome != TT_NOT_COMPARED;
        different += items[i].outcome == TT_DIFFERS;
        first = items[i].outcome == TT_DIFFERS ? i : first;
    }
    fprintf(term->out, "%s   %zu of %zu values compared", tt_agreement_name(overall), compared, in->nnodes);
    if (different)
        fprintf(term->out, ", %zu differ, the first is %s", different,
                tt_node_address(tt_graph_node(in->analysis.graph, in->nodes[first])).text);
    fputc('\n', term->out);
}

int tt_inspection_print(struct tt_context *context, const struct tt_inspection *in, const struct tt_inspected *items,
                        const struct tt_trace *trace)
{
    enum tt_agreement overall = overall_of(in, items);
    int status = status_of(context, overall);
    if (context->json)
        return tt_emit_json(context, document(context, in, items, trace, overall), status);
    struct tt_term term = tt_term_open(context->out, context->color, context->md);
    print_prompt(&term, in, trace, in->nnodes ? items[0].token : -1);
    for (size_t i = 0; i < in->nnodes; i++) {
        struct view view = view_of(context, in, &items[i]);
        print_item(&term, &view);
    }
    if (tt_option_text(context->options, "against"))
        print_overall(&term, in, items, overall);
    return status;
}
