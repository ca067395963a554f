/* SPDX-License-Identifier: Apache-2.0
 *
 * Choosing values, running the prompt, comparing. What is printed lies in inspection_view.c.
 */
#include "commands/inspection.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "base/text.h"
#include "commands/inspection_view.h"
#include "compare/compare.h"
#include "compare/rows.h"

int tt_inspection_open(struct tt_context *context, const char *schema, struct tt_inspection *in)
{
    *in = (struct tt_inspection){.schema = schema};
    return tt_analysis_model(context, context->args[0], &in->analysis);
}

void tt_inspection_close(struct tt_inspection *in)
{
    for (size_t i = 0; i < in->nnodes; i++)
        free(in->notes[i]);
    free(in->notes);
    free(in->nodes);
    tt_analysis_close(&in->analysis);
}

/* ---- choosing ---- */

void tt_inspection_choose(struct tt_inspection *in, int node, const char *note)
{
    for (size_t i = 0; i < in->nnodes; i++)
        if (in->nodes[i] == node)
            return;
    in->nodes = tt_grow(in->nodes, in->nnodes + 1, sizeof *in->nodes);
    in->notes = tt_grow(in->notes, in->nnodes + 1, sizeof *in->notes);
    in->nodes[in->nnodes] = node;
    in->notes[in->nnodes++] = note ? tt_strdup(note) : NULL;
}

/* "3", "-1" or "0-3" at *text, moved past; false: neither. */
static bool parse_range(const char **text, int layers, int *first, int *last)
{
    char *end;
    long a = strtol(*text, &end, 10), b = a;
    if (end == *text)
        return false;
    if (*end == '-') {
        const char *second = end + 1;
        b = strtol(second, &end, 10);
        if (end == second)
            return false;
    }
    *text = end;
    *first = (int)(a < 0 && a >= -layers ? a + layers : a);
    *last = (int)(b < 0 && b >= -layers ? b + layers : b);
    return *first >= 0 && *last < layers && *first <= *last;
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

int tt_inspection_layers(struct tt_context *context, const struct tt_inspection *in, const char *text, int **layers,
                         size_t *count)
{
    int total = tt_graph_nlayers(in->analysis.graph), first, last;
    *layers = NULL;
    *count = 0;
    for (const char *at = text;; at++) {
        bool good = parse_range(&at, total, &first, &last) && (!*at || *at == ',');
        if (!good)
            return tt_fail(&context->error, TT_EINPUT,
                           "'%s' names no layers of %s: give numbers from 0 to %d like 0,2,-1 or 0-3", text,
                           tt_model_path(in->analysis.model), total - 1);
        *layers = tt_grow(*layers, *count + (size_t)(last - first) + 1, sizeof **layers);
        for (int layer = first; layer <= last; layer++)
            (*layers)[(*count)++] = layer;
        if (!*at)
            break;
    }
    qsort(*layers, *count, sizeof **layers, by_number);
    return 0;
}

int tt_layer_output(const struct tt_graph *graph, int layer)
{
    int found = -1;
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *reader = tt_graph_node(graph, i);
        for (int j = 0; j < reader->nin && reader->layer != layer; j++) {
            const struct tt_node *source = tt_graph_node(graph, reader->in[j]);
            if (source->layer == layer && !source->state && tt_node_by_token(source) && reader->in[j] > found)
                found = reader->in[j];
        }
    }
    return found;
}

static bool is_selected(const struct tt_context *context, const struct tt_graph *graph, int node)
{
    const struct tt_node *n = tt_graph_node(graph, node);
    struct tt_select_subject subject = {0};
    tt_select_set_number(&subject, TT_SELECT_LAYER, n->layer, tt_graph_nlayers(graph));
    tt_select_set_word(&subject, TT_SELECT_COMPONENT, n->component);
    tt_select_set_word(&subject, TT_SELECT_OP, n->op ? n->op->name : "cache");
    return tt_select_match(context->select, &subject);
}

/* Of the chosen nodes those that --select leaves. */
static int apply_select(struct tt_context *context, struct tt_inspection *in)
{
    size_t kept = 0;
    char *unknown = tt_select_unknown(context->select, 1u << TT_SELECT_LAYER | 1u << TT_SELECT_COMPONENT | 1u << TT_SELECT_OP);
    if (unknown)
        tt_note(context, "--select: %s cannot be applied here and was not", unknown);
    free(unknown);
    for (size_t i = 0; i < in->nnodes; i++) {
        if (is_selected(context, in->analysis.graph, in->nodes[i])) {
            in->nodes[kept] = in->nodes[i];
            in->notes[kept++] = in->notes[i];
        } else {
            free(in->notes[i]);
        }
    }
    in->nnodes = kept;
    return kept ? 0 : tt_fail(&context->error, TT_EINPUT, "--select %s leaves nothing to show", context->select_text);
}

/* ---- the prompt ---- */

static int check_vocabulary(struct tt_context *context, const struct tt_inspection *in, const int32_t *tokens, int64_t count)
{
    double vocabulary = 0;
    if (!tt_graph_config(in->analysis.graph, "vocab", &vocabulary))
        return 0;
    for (int64_t i = 0; i < count; i++)
        if (tokens[i] >= (int32_t)vocabulary)
            return tt_fail(&context->error, TT_EINPUT, "token %d is outside the vocabulary of %s, which has %d entries",
                           tokens[i], tt_model_path(in->analysis.model), (int)vocabulary);
    return 0;
}

struct tt_trace *tt_trace_of_tokens(const struct tt_graph *graph, const int32_t *tokens, int64_t count)
{
    struct tt_trace *trace = tt_trace_new(graph);
    int64_t *positions = tt_alloc_array((size_t)count + 1, sizeof *positions);
    for (int64_t i = 0; i < count; i++)
        positions[i] = i;
    tt_trace_add_pass(trace, &(struct tt_pass_inputs){.ntokens = count, .tokens = tokens, .positions = positions,
                                                      .nkeys = count, .key_positions = positions});
    free(positions);
    return trace;
}

static struct tt_trace *given_prompt(struct tt_context *context, const struct tt_inspection *in)
{
    int32_t *tokens = NULL;
    int64_t count;
    struct tt_trace *trace = NULL;
    if (!tt_given_prompt(context, context->args[0], &tokens, &count) && !check_vocabulary(context, in, tokens, count))
        trace = tt_trace_of_tokens(in->analysis.graph, tokens, count);
    free(tokens);
    return trace;
}

/* The first pass of the run compared with whose tokens are known and that starts a sequence. */
static struct tt_trace *prompt_of(struct tt_context *context, const struct tt_inspection *in, const struct tt_trace *other)
{
    for (int i = 0; i < other->npasses; i++) {
        const struct tt_trace_pass *pass = &other->passes[i];
        if (pass->tokens_by != TT_BY_NONE && !pass->continues && pass->inputs.ntokens == pass->inputs.nkeys)
            return tt_trace_of_tokens(in->analysis.graph, pass->inputs.tokens, pass->inputs.ntokens);
    }
    tt_fail(&context->error, TT_EINPUT, "%s does not tell its prompt; give it with --prompt or --tokens",
            tt_option_text(context->options, "against"));
    return NULL;
}

/* The run with what it is compared with, NULL with context->error. */
static struct tt_trace *open_run(struct tt_context *context, struct tt_inspection *in, struct tt_counterpart *other)
{
    const char *against = tt_option_text(context->options, "against");
    struct tt_trace *trace = NULL, *nothing = tt_trace_new(in->analysis.graph);
    bool given = tt_option_flag(context->options, "tokens") || tt_option_flag(context->options, "prompt");
    int failed = 0;
    if (given)
        failed = (trace = given_prompt(context, in)) ? 0 : -1;
    if (!failed && against && in->nnodes == 1)
        failed = tt_counterpart_of_node(context, against, in->analysis.graph, in->nodes[0], trace ? trace : nothing, other);
    else if (!failed && against)
        failed = tt_counterpart_open(context, against, in->analysis.graph, trace ? trace : nothing, other);
    if (!failed && !trace && against)
        trace = prompt_of(context, in, other->trace);
    else if (!failed && !trace)
        tt_fail(&context->error, TT_EINPUT, "give a prompt with --prompt TEXT or --tokens 1,2,3");
    tt_trace_free(nothing);
    if (failed) {
        tt_trace_free(trace);
        trace = NULL;
    }
    return trace;
}

/* ---- values ---- */

static void mark_needed(const struct tt_graph *graph, int node, uint8_t *needed)
{
    const struct tt_node *n = tt_graph_node(graph, node);
    for (int i = 0; i < n->nin; i++)
        needed[n->in[i]] = 1;
}

/* In execution order, one layer's weights at a time: asking for the last node alone would hold all of them. */
static int evaluate(struct tt_context *context, const struct tt_inspection *in, struct tt_evaluator *evaluator)
{
    struct tt_graph *graph = in->analysis.graph;
    uint8_t *needed = tt_alloc((size_t)tt_graph_nnodes(graph) + 1);
    int failed = 0, layer = -1;
    for (size_t i = 0; i < in->nnodes; i++)
        needed[in->nodes[i]] = 1;
    for (int i = tt_graph_nnodes(graph) - 1; i >= 0; i--)
        if (needed[i])
            mark_needed(graph, i, needed);
    struct tt_progress progress = tt_progress_begin("computing", (uint64_t)tt_graph_nnodes(graph));
    for (int i = 0; i < tt_graph_nnodes(graph) && !failed; i++) {
        if (needed[i])
            failed = tt_evaluator_value(evaluator, i, &context->error) ? 0 : -1;
        if (tt_graph_node(graph, i)->layer != layer)
            tt_graph_release_weights(graph);
        layer = tt_graph_node(graph, i)->layer;
        tt_progress_step(&progress, (uint64_t)i);
    }
    tt_progress_end(&progress);
    free(needed);
    return failed;
}

/* Round-off of the numbers that most of the other run's values are stored in. */
static double unit_of(const struct tt_trace *other)
{
    static const double units[] = {0x1p-8, 0x1p-11, 0x1p-24, 0x1p-53};
    int votes[4] = {0}, most = 2;
    if (other->load)
        return other->unit;
    for (int i = 0; i < other->npasses; i++)
        for (int j = 0; j < other->passes[i].nobservations; j++)
            for (int u = 0; u < 4; u++)
                votes[u] += other->passes[i].observations[j].unit == units[u];
    for (int u = 0; u < 4; u++)
        most = votes[u] > votes[most] ? u : most;
    return units[most];
}

static void keep_row(struct tt_observation *o, int64_t row)
{
    int64_t first = o->value.shape[0], inner = first ? tt_value_rows(&o->value) / first : 0;
    for (int64_t i = 0; i < first * inner; i++)
        o->seen[i] = o->seen[i] && i / inner == row;
    tt_observation_finish(o);
}

/* Rows of `node` as the other run has them, those shown only; NULL: none. */
static struct tt_observation *rows_of(struct tt_trace *trace, struct tt_trace *other, int node, int64_t token)
{
    struct tt_observation *o = tt_gather_rows(other, trace, &trace->passes[0], node);
    if (o && token >= 0)
        keep_row(o, token);
    return o && o->nseen ? o : NULL;
}

/* A sum that no call shows is seen through the norm that alone reads it: *node becomes the first such reader. */
static struct tt_observation *rows_behind(const struct tt_inspection *in, struct tt_trace *trace, struct tt_trace *other,
                                          int *node, int64_t token)
{
    const struct tt_graph *graph = in->analysis.graph;
    for (int i = *node + 1; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *reader = tt_graph_node(graph, i);
        bool alone = reader->nin == 1 && reader->in[0] == *node && reader->op && reader->op->rowwise;
        struct tt_observation *o = alone ? rows_of(trace, other, i, token) : NULL;
        if (o) {
            *node = i;
            return o;
        }
    }
    return NULL;
}

static int compare(struct tt_context *context, struct tt_inspection *in, struct tt_evaluator *evaluator,
                   struct tt_trace *trace, struct tt_trace *other, struct tt_inspected *item)
{
    int node = in->nodes[item->index];
    struct tt_observation *o = rows_of(trace, other, node, item->token);
    if (!o)
        o = rows_behind(in, trace, other, &node, item->token);
    if (!o)
        return 0;
    const struct tt_value *expected = tt_evaluator_value(evaluator, node, &context->error);
    if (!expected)
        return -1;
    item->judged = tt_judge(o, expected);
    item->judged_by = node;
    item->rows = o->nseen;
    item->limit = TT_ENVELOPE * (item->judged.floor + TT_STORED * o->unit * o->unit);
    bool right = item->judged.status == TT_EXACT || (!item->judged.nonfinite && item->judged.nmse <= item->limit);
    item->outcome = !item->judged.n ? TT_NOT_COMPARED : right ? TT_AGREES : TT_DIFFERS;
    return 0;
}

static int choose_token(struct tt_context *context, const struct tt_trace *trace, int64_t *token)
{
    int64_t count = trace->passes[0].inputs.ntokens;
    *token = -1;
    if (!tt_option_flag(context->options, "token"))
        return 0;
    int64_t asked = tt_option_integer(context->options, "token", 0);
    *token = asked < 0 ? asked + count : asked;
    if (*token >= 0 && *token < count)
        return 0;
    return tt_fail(&context->error, TT_EINPUT, "--token %lld: the prompt has %lld token%s, 0 to %lld, or -1 for the last",
                   (long long)asked, (long long)count, count == 1 ? "" : "s", (long long)count - 1);
}

static int inspect(struct tt_context *context, struct tt_inspection *in, struct tt_trace *trace, struct tt_trace *other)
{
    struct tt_inspected *items = tt_alloc_array(in->nnodes + 1, sizeof *items);
    struct tt_evaluator *evaluator = tt_evaluator_new(in->analysis.graph, trace);
    int64_t token = -1;
    int status = choose_token(context, trace, &token);
    if (other)
        trace->unit = unit_of(other);
    tt_evaluator_values_only(evaluator, !other);
    tt_evaluator_begin(evaluator, 0);
    if (!status)
        status = evaluate(context, in, evaluator);
    for (size_t i = 0; i < in->nnodes && !status; i++) {
        items[i] = (struct tt_inspected){.index = i, .token = token};
        items[i].value = tt_evaluator_value(evaluator, in->nodes[i], &context->error);
        if (other)
            status = compare(context, in, evaluator, trace, other, &items[i]);
    }
    if (!status)
        status = tt_inspection_print(context, in, items, trace);
    tt_evaluator_free(evaluator);
    free(items);
    return status;
}

static int run(struct tt_context *context, struct tt_inspection *in)
{
    struct tt_counterpart other = {0};
    if (context->select && apply_select(context, in))
        return -1;
    struct tt_trace *trace = open_run(context, in, &other);
    int status = trace ? inspect(context, in, trace, other.trace) : -1;
    tt_trace_free(trace);
    tt_counterpart_close(&other);
    return status;
}

int tt_inspect(struct tt_context *context, const char *schema,
               int (*choose)(struct tt_context *context, struct tt_inspection *inspection))
{
    struct tt_inspection in;
    int status = tt_inspection_open(context, schema, &in);
    if (!status)
        status = choose(context, &in);
    if (!status)
        status = run(context, &in);
    tt_inspection_close(&in);
    return status;
}
