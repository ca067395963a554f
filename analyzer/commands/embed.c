/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap embed: what the first layer is given, and what it makes of it.
 */
#include "commands/inspection.h"

/* Does layer 0 read it? */
static bool is_input(const struct tt_graph *graph, int node)
{
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *reader = tt_graph_node(graph, i);
        for (int j = 0; j < reader->nin && reader->layer == 0; j++)
            if (reader->in[j] == node)
                return true;
    }
    return false;
}

/* Everything before the repeated block. */
static int choose(struct tt_context *context, struct tt_inspection *in)
{
    const struct tt_graph *graph = in->analysis.graph;
    for (int i = 0; i < tt_graph_nnodes(graph) && tt_graph_node(graph, i)->layer < 0; i++) {
        bool input = is_input(graph, i);
        if (input || !tt_graph_node(graph, i)->internal)
            tt_inspection_choose(in, i, input ? "input of layer 0" : NULL);
    }
    if (tt_layer_output(graph, 0) >= 0)
        tt_inspection_choose(in, tt_layer_output(graph, 0), "output of layer 0");
    return 0;
}

static int run_embed(struct tt_context *context)
{
    return tt_inspect(context, "embed", choose);
}

static const struct tt_option options[] = {TT_INSPECTION_OPTIONS, {0}};

const struct tt_command tt_command_embed = {
    .name = "embed",
    .summary = "embeddings and layer-0 output of a prompt",
    .usage = "MODEL (--prompt TEXT | --tokens IDS)\nMODEL --against WHAT",
    .description = "Runs the prompt through the reference engine and shows the embeddings, with what the model puts on them "
                   "(scale, positions, norm), and the output of layer 0: shape, statistics, first values of each token."
                   TT_INSPECTION_AGAINST,
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .related_keys = TT_CHECK_KEYS,
    .run = run_embed,
};
