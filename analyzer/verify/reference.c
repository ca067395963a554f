/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of a reference capture: tap "reference", op "inputs" (tokens, positions, key_positions) opens a pass, then one
 * call a component in execution order with attributes pass, sequence, layer, component and operand "out".
 */
#include "verify/reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "verify/evaluate.h"

static const char tap[] = "reference";

double tt_precision_unit(enum tt_precision precision)
{
    static const double units[] = {0, 0x1p-24, 0x1p-11, 0x1p-8};
    return units[precision];
}

/* ---- writing ---- */

static void write_vector(struct tt_call_scope *call, const char *role, enum tt_dtype dtype, int64_t count, const void *data)
{
    struct tt_tensor_view view = {.dtype = dtype, .rank = 1, .shape = {count}, .strides = {1}, .data = data};
    tt_call_operand(call, role, TT_AFTER, &view);
}

static void write_inputs(struct tt_recorder *recorder, const struct tt_trace_pass *pass)
{
    struct tt_call_scope call;
    if (!tt_call_enter(&call, recorder, tap, "inputs", "inputs"))
        return;
    tt_call_i64(&call, "pass", pass->pass);
    tt_call_i64(&call, "sequence", pass->sequence);
    tt_call_i64(&call, "continues", pass->continues);
    tt_call_i64(&call, "phase", pass->phase);
    tt_call_begin(&call);
    write_vector(&call, "tokens", TT_I32, pass->inputs.ntokens, pass->inputs.tokens);
    write_vector(&call, "positions", TT_I64, pass->inputs.ntokens, pass->inputs.positions);
    write_vector(&call, "key_positions", TT_I64, pass->inputs.nkeys, pass->inputs.key_positions);
    tt_call_end(&call);
}

static void write_value(struct tt_recorder *recorder, const struct tt_trace_pass *pass, const struct tt_node *node,
                        const struct tt_value *value)
{
    struct tt_call_scope call;
    if (!tt_call_enter(&call, recorder, tap, node->op ? node->op->name : "cache", "reference"))
        return;
    tt_call_i64(&call, "pass", pass->pass);
    tt_call_i64(&call, "sequence", pass->sequence);
    tt_call_i64(&call, "layer", node->layer);
    if (node->iteration >= 0)
        tt_call_i64(&call, "iteration", node->iteration);
    tt_call_str(&call, "component", node->component);
    tt_call_begin(&call);
    struct tt_tensor_view view = {.dtype = TT_F64, .rank = value->rank, .data = value->v};
    int64_t stride = 1;
    for (int i = value->rank - 1; i >= 0; i--) {
        view.shape[i] = value->shape[i];
        view.strides[i] = stride;
        stride *= value->shape[i];
    }
    tt_call_operand(&call, "out", TT_AFTER, &view);
    tt_call_end(&call);
}

static int32_t likeliest(const struct tt_value *logits)
{
    int64_t width = tt_value_width(logits), best = 0;
    const double *last = logits->v + (tt_value_rows(logits) - 1) * width;
    for (int64_t i = 1; i < width; i++)
        if (last[i] > last[best])
            best = i;
    return (int32_t)best;
}

/* The node's value, or what it is replaced by. */
static const struct tt_value *value_of(struct tt_evaluator *evaluator, const struct tt_trace_pass *pass, int node,
                                       const struct tt_reference_options *options, struct tt_error *error)
{
    const struct tt_value *value = tt_evaluator_value(evaluator, node, error);
    if (!value || !options->replace)
        return value;
    return options->replace(options->user, evaluator, pass, node, error) ? NULL : tt_evaluator_value(evaluator, node, error);
}

/* *next: the likeliest token after this pass, by the graph's last value. */
static int run_pass(struct tt_evaluator *evaluator, struct tt_graph *graph, const struct tt_trace *inputs, int index,
                    const struct tt_reference_options *options, struct tt_recorder *recorder, int32_t *next,
                    struct tt_error *error)
{
    const struct tt_trace_pass *pass = &inputs->passes[index];
    int nnodes = tt_graph_nnodes(graph);
    write_inputs(recorder, pass);
    tt_evaluator_begin(evaluator, index);
    for (int i = 0; i < nnodes; i++) {
        const struct tt_node *node = tt_graph_node(graph, i);
        if (node->once && pass->continues)
            continue;
        const struct tt_value *value = value_of(evaluator, pass, i, options, error);
        if (!value)
            return -1;
        write_value(recorder, pass, node, value);
        if (i + 1 == nnodes)
            *next = likeliest(value);
        tt_evaluator_done(evaluator, i);
    }
    tt_evaluator_end(evaluator);
    return 0;
}

static struct tt_trace *bare(const struct tt_graph *graph, const struct tt_trace *inputs)
{
    struct tt_trace *trace = tt_trace_bare(graph, inputs);
    for (int i = 0; i < inputs->npasses; i++)
        trace->passes[i].tokens_by = inputs->passes[i].tokens_by;
    return trace;
}

static int last_pass_of(const struct tt_trace *trace, int sequence)
{
    int last = -1;
    for (int i = 0; i < trace->npasses; i++)
        last = trace->passes[i].sequence == sequence ? i : last;
    return last;
}

/* One more token for a sequence, as pass `number`. */
static void add_step(struct tt_trace *trace, int number, int sequence, int32_t token)
{
    const struct tt_pass_inputs *last = &trace->passes[last_pass_of(trace, sequence)].inputs;
    int64_t keys = last->nkeys + 1;
    int64_t *positions = tt_alloc_array((size_t)keys, sizeof *positions);
    memcpy(positions, last->key_positions, (size_t)(keys - 1) * sizeof *positions);
    positions[keys - 1] = keys > 1 ? positions[keys - 2] + 1 : 0;
    struct tt_trace_pass *step = tt_trace_add_pass(
        trace, &(struct tt_pass_inputs){.ntokens = 1, .tokens = &token, .positions = positions + keys - 1, .nkeys = keys,
                                        .key_positions = positions, .ngiven = last->ngiven, .given = last->given});
    step->pass = number;
    step->sequence = sequence;
    step->continues = true;
    step->phase = TT_DECODE;
    free(positions);
}

struct steps { /* decoding: the likeliest next token of each sequence */
    int32_t *next; /* [sequences] */
    int sequences;
};

static struct steps steps_of(const struct tt_trace *trace)
{
    struct steps steps = {0};
    for (int i = 0; i < trace->npasses; i++)
        if (trace->passes[i].sequence >= steps.sequences)
            steps.sequences = trace->passes[i].sequence + 1;
    steps.next = tt_alloc_array((size_t)steps.sequences + 1, sizeof *steps.next);
    return steps;
}

static void add_steps(struct tt_trace *trace, const struct steps *steps)
{
    int number = trace->passes[trace->npasses - 1].pass + 1;
    for (int s = 0; s < steps->sequences; s++)
        if (last_pass_of(trace, s) >= 0)
            add_step(trace, number, s, steps->next[s]);
}

static int run_passes(struct tt_graph *graph, struct tt_trace *trace, const struct tt_reference_options *options,
                      struct tt_recorder *recorder, struct tt_error *error)
{
    struct tt_evaluator *evaluator = tt_evaluator_new(graph, trace);
    struct steps steps = steps_of(trace);
    int64_t left = options->decode;
    struct tt_progress progress = tt_progress_begin("reference", (uint64_t)(trace->npasses + left * steps.sequences));
    int failed = 0;
    tt_evaluator_round(evaluator, tt_precision_unit(options->precision));
    tt_evaluator_values_only(evaluator, true);
    for (int i = 0; i < trace->npasses && !failed; i++) {
        failed = run_pass(evaluator, graph, trace, i, options, recorder, &steps.next[trace->passes[i].sequence], error);
        if (!failed && tt_recorder_nlosses(recorder))
            failed = tt_fail(error, TT_ESYSTEM, "%s: pass %d could not be written whole; is the disk full? The folder holds what was",
                             options->directory, trace->passes[i].pass);
        if (!failed && i + 1 == trace->npasses && left-- > 0)
            add_steps(trace, &steps);
        tt_progress_step(&progress, (uint64_t)i + 1);
    }
    tt_progress_end(&progress);
    tt_evaluator_free(evaluator);
    free(steps.next);
    return failed;
}

int tt_reference_run(struct tt_graph *graph, const struct tt_trace *inputs, const struct tt_reference_options *options,
                     struct tt_error *error)
{
    struct tt_recorder *recorder = NULL;
    struct tt_recorder_options how = {.directory = options->directory, .program = "reference", .level = TT_LEVEL_DATA,
                                      .limit = UINT64_MAX, .keep_everything = true};
    int opened = tt_recorder_open(&recorder, &how);
    if (opened)
        return tt_fail(error, TT_ESYSTEM, "%s: cannot create the capture: %s", options->directory, strerror(-opened));
    char *model = tt_format("\"%s\"", tt_model_path(tt_graph_model(graph)));
    tt_recorder_manifest(recorder, "reference_of", model);
    free(model);
    if (options->prompt)
        tt_recorder_manifest(recorder, "prompt", options->prompt);
    struct tt_trace *trace = bare(graph, inputs);
    int failed = run_passes(graph, trace, options, recorder, error);
    tt_trace_free(trace);
    tt_graph_release_weights(graph);
    if (!failed && !tt_recorder_directory(recorder))
        failed = tt_fail(error, TT_ESYSTEM, "%s: nothing could be written: %s", options->directory,
                         strerror(-tt_recorder_failure(recorder)));
    tt_recorder_close(recorder);
    return failed;
}

/* ---- reading ---- */

bool tt_is_reference(const struct tt_capture *capture)
{
    return tt_capture_ncalls(capture) && strcmp(tt_capture_call(capture, 0)->tap, tap) == 0;
}

static double *read_vector(const struct tt_capture *capture, const struct tt_recorded_call *call, const char *role,
                           int64_t *count)
{
    const struct tt_operand *o = tt_call_find(call, role, TT_AFTER);
    if (!o || o->rank != 1 || !tt_operand_readable(o))
        return NULL;
    *count = o->shape[0];
    double *values = tt_alloc_array((size_t)*count + 1, sizeof *values);
    if (tt_operand_read(capture, o, values, NULL) == 0)
        return values;
    free(values);
    return NULL;
}

static int64_t *as_integers(const double *from, int64_t n)
{
    int64_t *to = tt_alloc_array((size_t)n + 1, sizeof *to);
    for (int64_t i = 0; i < n; i++)
        to[i] = (int64_t)from[i];
    return to;
}

static struct tt_trace_pass *read_inputs(struct tt_trace *trace, const struct tt_capture *capture,
                                         const struct tt_recorded_call *call)
{
    int64_t ntokens = 0, npositions = 0, nkeys = 0;
    double *tokens = read_vector(capture, call, "tokens", &ntokens);
    double *positions = read_vector(capture, call, "positions", &npositions);
    double *keys = read_vector(capture, call, "key_positions", &nkeys);
    struct tt_trace_pass *pass = NULL;
    if (tokens && positions && keys && npositions == ntokens && nkeys >= ntokens) {
        int32_t *ids = tt_alloc_array((size_t)ntokens + 1, sizeof *ids);
        for (int64_t i = 0; i < ntokens; i++)
            ids[i] = (int32_t)tokens[i];
        int64_t *own = as_integers(positions, ntokens), *all = as_integers(keys, nkeys);
        pass = tt_trace_add_pass(trace, &(struct tt_pass_inputs){.ntokens = ntokens, .tokens = ids, .positions = own,
                                                                 .nkeys = nkeys, .key_positions = all});
        pass->pass = (int)tt_call_attr_i64(call, "pass", 0);
        pass->sequence = (int)tt_call_attr_i64(call, "sequence", 0);
        pass->continues = tt_call_attr_i64(call, "continues", 0) != 0;
        pass->phase = tt_call_attr_i64(call, "phase", 0) == TT_DECODE ? TT_DECODE : TT_PREFILL;
        pass->tokens_by = TT_BY_NAME;
        free(ids);
        free(own);
        free(all);
    }
    free(tokens);
    free(positions);
    free(keys);
    return pass;
}

static void read_value(struct tt_trace *trace, struct tt_trace_pass *pass, const struct tt_capture *capture,
                       const struct tt_recorded_call *call)
{
    const char *component = tt_call_attr_str(call, "component");
    const struct tt_operand *out = tt_call_find(call, "out", TT_AFTER);
    int node = component ? tt_graph_find_at(trace->graph, component, (int)tt_call_attr_i64(call, "layer", -1),
                                            (int)tt_call_attr_i64(call, "iteration", -1)) : -1;
    int64_t shape[TT_VALUE_RANK], count = 1;
    if (node < 0 || !out || !tt_operand_readable(out))
        return;
    for (int i = 0, rank = tt_trace_shape(trace->graph, pass, node, -1, -1, shape); i < rank; i++)
        count *= shape[i];
    if ((uint64_t)count != tt_operand_count(out))
        return;
    struct tt_observation *o = tt_trace_observe(trace, pass, node, -1, -1);
    if (tt_operand_read(capture, out, o->value.v, NULL))
        return;
    memset(o->seen, 1, (size_t)tt_value_rows(&o->value));
    o->dtype = out->dtype;
    o->evidence = TT_BY_NAME;
    o->call = call->id;
    tt_observation_finish(o);
}

struct tt_trace *tt_reference_read(const struct tt_capture *capture, const struct tt_graph *graph, struct tt_error *error)
{
    struct tt_trace *trace = tt_trace_new(graph);
    struct tt_trace_pass *pass = NULL;
    for (size_t i = 0; i < tt_capture_ncalls(capture); i++) {
        const struct tt_recorded_call *call = tt_capture_call(capture, i);
        if (strcmp(call->tap, tap) != 0)
            continue;
        if (strcmp(call->op, "inputs") == 0)
            pass = read_inputs(trace, capture, call);
        else if (pass)
            read_value(trace, pass, capture, call);
    }
    if (trace->npasses) {
        trace->unit = tt_trace_usual_unit(trace);
        return trace;
    }
    tt_trace_free(trace);
    tt_fail(error, TT_EINPUT, "%s: no complete pass in this reference; make it again with 'tensortap ref'",
            tt_capture_path(capture));
    return NULL;
}
