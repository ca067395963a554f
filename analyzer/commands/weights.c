/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap weights: projection weights of a layer, dequantised: shown, dumped, compared.
 */
#include "commands/weights.h"

#include <stdlib.h>
#include <string.h>

#include "commands/inspection.h"

#define MOST_ELEMENTS (1 << 27) /* of a tensor that are held for statistics: 1 GiB */

/* Short names of projections. */
static const struct {
    const char *name, *component;
} projections[] = {
    {"q", "attn.q_proj"},      {"k", "attn.k_proj"},  {"v", "attn.v_proj"},      {"o", "attn.o_proj"},
    {"gate", "ffn.gate_proj"}, {"up", "ffn.up_proj"}, {"down", "ffn.down_proj"},
};

static const char *component_of(const char *name)
{
    for (size_t i = 0; i < sizeof projections / sizeof *projections; i++)
        if (strcmp(projections[i].name, name) == 0)
            return projections[i].component;
    return name;
}

/* ---- choosing ---- */

static void add(struct tt_chosen_weights *weights, const struct tt_model_tensor *tensor, const char *canonical, int layer)
{
    weights->items = tt_grow(weights->items, weights->count + 1, sizeof *weights->items);
    struct tt_chosen_weight *made = &weights->items[weights->count++];
    *made = (struct tt_chosen_weight){.tensor = tensor, .canonical = canonical, .layer = layer};
    if (canonical && layer >= 0)
        snprintf(made->name, sizeof made->name, "L%d.%s", layer, canonical);
    else
        snprintf(made->name, sizeof made->name, "%s", canonical ? canonical : tensor->name);
}

/* Weights of `layer` whose canonical name is NAME or NAME.weight. */
static bool add_canonical(const struct tt_graph *graph, const char *name, int layer, struct tt_chosen_weights *weights)
{
    char *full = tt_format("%s.weight", name);
    bool found = false;
    for (int i = 0; i < tt_graph_nnodes(graph) && !found; i++) {
        const struct tt_node *node = tt_graph_node(graph, i);
        for (int w = 0; w < TT_OP_MAX_WEIGHTS && node->layer == layer && !found; w++) {
            const char *own = node->weight[w] ? node->weight_name[w] : NULL;
            found = own && (strcmp(own, name) == 0 || strcmp(own, full) == 0);
            if (found)
                add(weights, node->weight[w], own, layer);
        }
    }
    free(full);
    return found;
}

static int add_named(struct tt_context *context, const struct tt_graph *graph, const char *name, const int *layers,
                     size_t nlayers, struct tt_chosen_weights *weights)
{
    const struct tt_model_tensor *tensor = tt_model_tensor(tt_graph_model(graph), name);
    const char *component = component_of(name);
    bool found = false;
    for (size_t i = 0; i < nlayers; i++)
        found = add_canonical(graph, component, layers[i], weights) || found;
    if (!found && !add_canonical(graph, component, -1, weights) && tensor)
        add(weights, tensor, NULL, -1);
    else if (!found && !weights->count)
        return tt_fail(&context->error, TT_EINPUT,
                       "--proj %s: %s has no such weight there; give q, k, v, o, gate, up, down, a component like "
                       "attn.q_norm, or a tensor's name in the file", name, tt_model_path(tt_graph_model(graph)));
    return 0;
}

static int choose(struct tt_context *context, const struct tt_inspection *in, struct tt_chosen_weights *weights)
{
    const char *asked = tt_option_text(context->options, "proj"), *layer = tt_option_text(context->options, "layer");
    char *names = tt_strdup(asked ? asked : "q,k,v,o"), *rest = names, *name;
    int *layers = NULL, failed;
    size_t nlayers = 0;
    failed = tt_inspection_layers(context, in, layer ? layer : "0", &layers, &nlayers);
    while (!failed && (name = strsep(&rest, ",")))
        failed = add_named(context, in->analysis.graph, name, layers, nlayers, weights);
    free(layers);
    free(names);
    if (!failed && !weights->count)
        failed = tt_fail(&context->error, TT_EINPUT, "layer %s of %s has none of the weights %s", layer ? layer : "0",
                         tt_model_path(in->analysis.model), asked ? asked : "q, k, v, o");
    return failed;
}

/* ---- values ---- */

/* Whole rows up to the limit. */
static int read_values(struct tt_chosen_weight *weight, struct tt_error *error)
{
    const struct tt_model_tensor *tensor = weight->tensor;
    struct tt_values *values = &weight->values;
    uint64_t row = 1;
    values->rank = tensor->rank;
    memcpy(values->shape, tensor->shape, sizeof tensor->shape);
    for (int i = 1; i < tensor->rank; i++)
        row *= (uint64_t)tensor->shape[i];
    uint64_t rows = tensor->rank ? (uint64_t)tensor->shape[0] : 1, most = row ? MOST_ELEMENTS / row + 1 : rows;
    rows = rows < most ? rows : most;
    if (tensor->rank)
        values->shape[0] = (int64_t)rows;
    values->count = rows * row;
    values->values = tt_alloc_array(values->count + 1, sizeof *values->values);
    return tt_model_read(tensor, 0, values->count, values->values, error);
}

/* ---- the command ---- */

static int dump(struct tt_context *context, const struct tt_chosen_weights *weights)
{
    const char *dot = strrchr(context->output, '.');
    if (!dot || strcmp(dot, ".npy") != 0)
        return tt_fail(&context->error, TT_EINPUT, "%s: weights are written as .npy", context->output);
    if (weights->count != 1)
        return tt_fail(&context->error, TT_EINPUT, "-o takes one weight, but %zu are chosen; name one with --proj",
                       weights->count);
    if (tt_write_npy(context->output, weights->items[0].tensor, &context->error))
        return -1;
    tt_note(context, "%s in %s", weights->items[0].name, context->output);
    return 0;
}

static int show(struct tt_context *context, struct tt_inspection *in, struct tt_chosen_weights *weights)
{
    const char *against = tt_option_text(context->options, "against");
    int failed = choose(context, in, weights);
    if (!failed && context->output)
        failed = dump(context, weights);
    if (!failed && against)
        failed = tt_weights_against(context, in->analysis.graph, against, weights);
    for (size_t i = 0; i < weights->count && !failed; i++)
        failed = read_values(&weights->items[i], &context->error);
    return failed ? failed : tt_weights_print(context, in->analysis.graph, weights);
}

static int run_weights(struct tt_context *context)
{
    struct tt_inspection in;
    struct tt_chosen_weights weights = {0};
    int status = tt_inspection_open(context, "weights", &in);
    if (!status)
        status = show(context, &in, &weights);
    for (size_t i = 0; i < weights.count; i++)
        free(weights.items[i].values.values);
    free(weights.items);
    tt_inspection_close(&in);
    return status;
}

static const struct tt_option options[] = {
    {"out", 'o', TT_OPTION_TEXT, "FILE.npy", "write the dequantised values to FILE.npy", NULL, NULL},
    {"layer", 'l', TT_OPTION_TEXT, "LIST", "which layers, as 0 (default), 0,5 or -1", NULL, NULL},
    {"proj", 0, TT_OPTION_TEXT, "NAMES",
     "q, k, v, o, gate, up, down, a component like attn.q_norm, or a name in the file (q,k,v,o)", NULL, NULL},
    {"against", 0, TT_OPTION_TEXT, "WHAT", "compare with another model, or with saved arrays (.npy, .npz, .safetensors, .pt; "
                                           "FILE#NAME: one of them)", NULL, NULL},
    {"all", 'a', TT_OPTION_FLAG, NULL, "all values, not the corners alone", NULL, NULL},
    {"pictures", 0, TT_OPTION_FLAG, NULL, "with histogram and heat map", NULL, NULL},
    {0},
};

const struct tt_command tt_command_weights = {
    .name = "weights",
    .summary = "weights of a layer, dequantised: shown, dumped, compared",
    .usage = "MODEL --layer N --proj NAMES\nMODEL --layer N --proj NAMES --against WHAT",
    .description = "Values are as the file has them after dequantisation. With another model each weight is compared with "
                   "that of the same place, in the order and with the constants of either kind of file; the error allowed "
                   "is what rounding to the two types leaves.\n\n"
                   "Exit status: 0 match or nothing compared, 1 mismatch, 2 bad input.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .flags = TT_COMMAND_OWN_OUTPUT,
    .related_keys = TT_CHECK_KEYS,
    .run = run_weights,
};
