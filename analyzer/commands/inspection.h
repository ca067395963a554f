/* SPDX-License-Identifier: Apache-2.0
 *
 * A prompt through the reference engine in memory, and a look at some of its values: what `embed`, `attention` and
 * `hidden` share. Nothing is written; only what the chosen values need is computed.
 */
#ifndef TT_COMMANDS_INSPECTION_H
#define TT_COMMANDS_INSPECTION_H

#include "commands/counterpart.h"
#include "commands/prompt.h"
#include "verify/evaluate.h"

/* Options that every such command has. */
#define TT_INSPECTION_OPTIONS                                                                                          \
    {"prompt", 'p', TT_OPTION_TEXT, "TEXT", "the prompt as text", NULL, NULL},                                         \
        {"tokens", 't', TT_OPTION_TEXT, "IDS", "token ids of the prompt, as 1,15043,29871", NULL, NULL},               \
        TT_PROMPT_OPTIONS,                                                                                             \
        {"token", 0, TT_OPTION_INTEGER, "N", "show this token alone; -1 is the last", NULL, NULL},                     \
        {"against", 0, TT_OPTION_TEXT, "WHAT",                                                                         \
         "compare with a capture, a reference or saved arrays (.safetensors, .npz, .npy, .pt; FILE#NAME: one of them)",     \
         NULL, NULL},                                                                                                  \
        {"all", 'a', TT_OPTION_FLAG, NULL, "all values, not the corners alone", NULL, NULL},                           \
        {"pictures", 0, TT_OPTION_FLAG, NULL, "with histogram and heat map", NULL, NULL}

/* The end of such a command's description. */
#define TT_INSPECTION_AGAINST                                                                                          \
    "\n\nWith --against each value is compared; without --prompt and --tokens the prompt is then that of the capture or " \
    "dump. Exit status: 0 match or nothing compared, 1 mismatch, 2 bad input, 3 nothing to compare."

/* Keys of job files that the five checks share. */
#define TT_CHECK_KEYS "model prompt tokens layer layers token proj pos dim theta"

struct tt_inspection {
    struct tt_analysis analysis; /* model and graph */
    const char *schema;          /* of the document: "embed" */
    int *nodes;                  /* chosen, in execution order */
    char **notes;                /* [nnodes] said beside each, NULL: nothing */
    size_t nnodes;
};

/* Opens the model, args[0]. 0 or -1 with context->error; tt_inspection_close in either case. */
int tt_inspection_open(struct tt_context *context, const char *schema, struct tt_inspection *inspection);
void tt_inspection_close(struct tt_inspection *inspection);

/* `note` is copied, NULL: none. Nodes are to be chosen in execution order; a second time is ignored. */
void tt_inspection_choose(struct tt_inspection *inspection, int node, const char *note);
/* "0,12,-1" or "0-3" as layers of the model, -1 the last. `fallback` is what a missing option means. */
int tt_inspection_layers(struct tt_context *context, const struct tt_inspection *inspection, const char *text,
                         int **layers, size_t *count);
/* The node whose value layer `layer` hands on; -1: none. */
int tt_layer_output(const struct tt_graph *graph, int layer);

/* A run of one pass over these tokens, from position 0 on. */
struct tt_trace *tt_trace_of_tokens(const struct tt_graph *graph, const int32_t *tokens, int64_t count);

/* A whole command: opens the model, has nodes chosen, runs the prompt, compares with --against, prints. The exit status, or
 * -1 with context->error, as `choose` returns it. */
int tt_inspect(struct tt_context *context, const char *schema,
               int (*choose)(struct tt_context *context, struct tt_inspection *inspection));

#endif
