/* SPDX-License-Identifier: Apache-2.0
 *
 * Features for an encoder, read from arrays.
 */
#include "commands/ref_inputs.h"

#include <stdlib.h>
#include <string.h>

#include "model/arrays.h"

struct tt_ref_inputs {
    int count;
    struct tt_given_value *items; /* [count], names owned */
};

static bool is_input(const struct tt_node *node)
{
    return node->op && strcmp(node->op->name, "input") == 0;
}

static const char *input_name(const struct tt_node *node)
{
    return tt_attributes_string(&node->attributes, "name", "input");
}

static const struct tt_node *find_input(const struct tt_graph *graph, const char *name)
{
    for (int i = 0; i < tt_graph_nnodes(graph); i++)
        if (is_input(tt_graph_node(graph, i)) && (!name || strcmp(input_name(tt_graph_node(graph, i)), name) == 0))
            return tt_graph_node(graph, i);
    return NULL;
}

/* ---- one array ---- */

static const struct tt_array *choose(struct tt_context *context, const struct tt_arrays *arrays, const char *path,
                                     const char *key)
{
    const struct tt_array *array = key ? tt_arrays_find(arrays, key) : tt_arrays_at(arrays, 0);
    if (key ? !array : tt_arrays_count(arrays) != 1)
        tt_fail(&context->error, TT_EINPUT, "--input: %s holds %zu arrays%s%s; name one of them as %s#KEY", path,
                tt_arrays_count(arrays), key ? ", none of them " : "", key ? key : "", path);
    return key || tt_arrays_count(arrays) == 1 ? array : NULL;
}

/* [rows, columns]; axes of length 1 in front (a batch of one) are left out. */
static int read_array(struct tt_context *context, const struct tt_array *array, struct tt_value *out)
{
    int first = 0;
    while (array->rank - first > 2 && array->shape[first] == 1)
        first++;
    if (array->dtype == TT_NONE || array->rank - first < 1 || array->rank - first > TT_VALUE_RANK)
        return tt_fail(&context->error, TT_EINPUT, "--input: array %s has %d axes or a type that is no number", array->name,
                       array->rank);
    *out = tt_value_new(array->rank - first, array->shape + first);
    return tt_array_read_f64(array, 0, (uint64_t)tt_value_count(out), out->v, &context->error);
}

static int read_file(struct tt_context *context, const char *path, const char *key, struct tt_value *out)
{
    struct tt_arrays *arrays = tt_arrays_open(path, &context->error);
    const struct tt_array *array = arrays ? choose(context, arrays, path, key) : NULL;
    int failed = array ? read_array(context, array, out) : -1;
    tt_arrays_close(arrays);
    return failed;
}

/* "NAME=FILE", "NAME=FILE#KEY" */
static int open_one(struct tt_context *context, const struct tt_graph *graph, const char *text, struct tt_given_value *out)
{
    const char *equals = strchr(text, '='), *known = find_input(graph, NULL) ? input_name(find_input(graph, NULL)) : NULL;
    if (!equals || equals == text || !equals[1])
        return tt_fail(&context->error, TT_EINPUT, "--input '%s': expected NAME=FILE or NAME=FILE#KEY", text);
    char *path = tt_strdup(equals + 1), *key = strrchr(path, '#');
    out->name = tt_format("%.*s", (int)(equals - text), text);
    if (key)
        *key++ = '\0';
    int failed = 0;
    if (!find_input(graph, out->name))
        failed = tt_fail(&context->error, TT_EINPUT, "--input %s: this model takes %s%s%s", out->name,
                         known ? "'" : "tokens only", known ? known : "", known ? "'" : "");
    else
        failed = read_file(context, path, key, &out->value);
    free(path);
    return failed;
}

/* ---- all of them ---- */

static const struct tt_value *given(const struct tt_ref_inputs *inputs, const char *name)
{
    for (int i = 0; i < inputs->count; i++)
        if (strcmp(inputs->items[i].name, name) == 0)
            return &inputs->items[i].value;
    return NULL;
}

static int check_complete(struct tt_context *context, const struct tt_graph *graph, const struct tt_ref_inputs *inputs)
{
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *node = tt_graph_node(graph, i);
        if (!is_input(node))
            continue;
        const struct tt_value *value = given(inputs, input_name(node));
        if (!value)
            return tt_fail(&context->error, TT_EINPUT, "this model takes '%s' beside its tokens: give --input %s=FILE.npy",
                           input_name(node), input_name(node));
        bool fits = value->rank == node->rank;
        for (int k = 0; fits && k < node->rank; k++)
            fits = node->axes[k] < 0 || node->axes[k] == value->shape[k];
        if (!fits)
            return tt_fail(&context->error, TT_EINPUT, "--input %s: the array is [%lld, %lld], the model takes [%lld, %lld]",
                           input_name(node), (long long)value->shape[0], value->rank > 1 ? (long long)value->shape[1] : 1LL,
                           (long long)node->axes[0], node->rank > 1 ? (long long)node->axes[1] : 1LL);
    }
    return 0;
}

int tt_ref_inputs_open(struct tt_context *context, const struct tt_graph *graph, struct tt_trace *trace,
                       struct tt_ref_inputs **out)
{
    size_t count = tt_option_count(context->options, "input");
    struct tt_ref_inputs *made = *out = tt_alloc(sizeof *made);
    int failed = 0;
    made->items = tt_alloc_array(count + 1, sizeof *made->items);
    for (size_t i = 0; i < count && !failed; i++)
        failed = open_one(context, graph, tt_option_text_at(context->options, "input", i), &made->items[made->count++]);
    if (!failed)
        failed = check_complete(context, graph, made);
    for (int i = 0; i < trace->npasses && !failed; i++) {
        trace->passes[i].inputs.ngiven = made->count;
        trace->passes[i].inputs.given = made->items;
    }
    return failed;
}

void tt_ref_inputs_free(struct tt_ref_inputs *inputs)
{
    for (int i = 0; inputs && i < inputs->count; i++) {
        free((void *)inputs->items[i].name);
        tt_value_free(&inputs->items[i].value);
    }
    if (inputs)
        free(inputs->items);
    free(inputs);
}

int tt_ref_check_passes(struct tt_context *context, const struct tt_graph *graph, const struct tt_trace *trace, int64_t steps)
{
    bool follow = steps > 0;
    for (int i = 0; i < trace->npasses; i++)
        follow |= trace->passes[i].continues;
    for (int i = 0; i < tt_graph_nnodes(graph); i++)
        if (tt_graph_node(graph, i)->state)
            return 0;
    return follow ? tt_fail(&context->error, TT_EINPUT,
                            "a %s model has no cache: every pass sees its own tokens only. Give the whole sequence in one pass, "
                            "without --chunk and --decode", tt_graph_family(graph))
                  : 0;
}
