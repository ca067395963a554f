/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap hidden: what chosen layers hand on, for a chosen token.
 */
#include <stdlib.h>

#include "commands/inspection.h"

static int choose(struct tt_context *context, struct tt_inspection *in)
{
    const struct tt_graph *graph = in->analysis.graph;
    const char *asked = tt_option_text(context->options, "layers");
    char *text = asked ? tt_strdup(asked) : tt_format("0,%d,-1", tt_graph_nlayers(graph) / 2);
    int *layers, failed;
    size_t count;
    failed = tt_inspection_layers(context, in, text, &layers, &count);
    for (size_t i = 0; i < count && !failed; i++) {
        int node = tt_layer_output(graph, layers[i]);
        char *note = tt_format("output of layer %d%s", layers[i],
                               layers[i] == tt_graph_nlayers(graph) - 1 ? ", the last one" : "");
        if (node >= 0)
            tt_inspection_choose(in, node, note);
        free(note);
    }
    free(layers);
    free(text);
    return failed;
}

static int run_hidden(struct tt_context *context)
{
    return tt_inspect(context, "hidden", choose);
}

static const struct tt_option options[] = {
    {"layers", 'l', TT_OPTION_TEXT, "LIST", "which layers, as 0,12,-1 or 0-3 (first, middle, last)", NULL, NULL},
    TT_INSPECTION_OPTIONS,
    {0},
};

const struct tt_command tt_command_hidden = {
    .name = "hidden",
    .summary = "hidden states at chosen layers and token",
    .usage = "MODEL --layers LIST (--prompt TEXT | --tokens IDS)\nMODEL --layers LIST --token N --against WHAT",
    .description = "Runs the prompt through the reference engine and shows what the chosen layers hand on, before the final "
                   "norm. Layer N's output is entry N+1 of Hugging Face's hidden_states; the last entry there has the final "
                   "norm applied."
                   TT_INSPECTION_AGAINST,
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .related_keys = TT_CHECK_KEYS,
    .run = run_hidden,
};
