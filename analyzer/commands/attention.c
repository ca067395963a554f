/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap attention: a layer's attention step by step, from the norm of its input to the output projection.
 */
#include <stdlib.h>
#include <string.h>

#include "commands/inspection.h"

static bool is_attention(const struct tt_node *node)
{
    return !node->internal && !node->state && (strstr(node->component, "attn.") || strstr(node->component, "attn_"));
}

static int choose(struct tt_context *context, struct tt_inspection *in)
{
    const struct tt_graph *graph = in->analysis.graph;
    const char *text = tt_option_text(context->options, "layer");
    int *layers;
    size_t count;
    int failed = tt_inspection_layers(context, in, text ? text : "0", &layers, &count);
    for (size_t l = 0; l < count && !failed; l++)
        for (int i = 0; i < tt_graph_nnodes(graph); i++)
            if (tt_graph_node(graph, i)->layer == layers[l] && is_attention(tt_graph_node(graph, i)))
                tt_inspection_choose(in, i, NULL);
    free(layers);
    if (!failed && !in->nnodes)
        failed = tt_fail(&context->error, TT_EINPUT, "layer %s of %s has no attention", text ? text : "0",
                         tt_model_path(in->analysis.model));
    return failed;
}

static int run_attention(struct tt_context *context)
{
    return tt_inspect(context, "attention", choose);
}

static const struct tt_option options[] = {
    {"layer", 'l', TT_OPTION_TEXT, "N", "which layer (0); -1 is the last, 0-2 several", NULL, NULL},
    TT_INSPECTION_OPTIONS,
    {0},
};

const struct tt_command tt_command_attention = {
    .name = "attention",
    .summary = "attention of a layer, step by step",
    .usage = "MODEL --layer N (--prompt TEXT | --tokens IDS)\nMODEL --layer N --against WHAT",
    .description = "Runs the prompt through the reference engine and shows each step of a layer's attention: input norm, q, k "
                   "and v projections, their norms, rope, scores, probabilities, context, output projection."
                   TT_INSPECTION_AGAINST,
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .related_keys = TT_CHECK_KEYS,
    .run = run_attention,
};
