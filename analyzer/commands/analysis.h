/* SPDX-License-Identifier: Apache-2.0
 *
 * What verify, compare, ref and map share: the capture, its model, its graph, its values.
 */
#ifndef TT_COMMANDS_ANALYSIS_H
#define TT_COMMANDS_ANALYSIS_H

#include "commands/command.h"
#include "naming/naming.h"
#include "report/verdict.h"
#include "tensortap/reader.h"

struct tt_analysis {
    bool model_optional;           /* in: a capture without a model is opened with model, graph and trace NULL */
    bool recover_tokens;           /* in: --tokens says what the run should have read, not what it did */
    struct tt_capture *capture;
    struct tt_model *model;
    struct tt_graph *graph;
    struct tt_naming *naming;      /* NULL for a reference capture */
    struct tt_trace *own;          /* of a reference capture */
    struct tt_trace *trace;        /* either one's */
    struct tt_naming_options options;
    int32_t *tokens;
};

/* Opens args[index] and binds it to --model, or to the model that the program had open. 0 or -1 with context->error. */
int tt_analysis_open(struct tt_context *context, size_t index, struct tt_analysis *analysis);
/* Model and graph alone, the model with the adapters of --lora. */
int tt_analysis_model(struct tt_context *context, const char *path, struct tt_analysis *analysis);
/* The same without adapters: what a model with them is compared with. */
int tt_analysis_other_model(struct tt_context *context, const char *path, struct tt_analysis *analysis);
/* The adapters of --lora on top of a model. */
int tt_analysis_adapters(struct tt_context *context, struct tt_model *model);
void tt_analysis_close(struct tt_analysis *analysis);

/* "1,2,3" -> ids; 0 or -1. */
int tt_parse_tokens(const char *text, int32_t **tokens, int64_t *count, struct tt_error *error);

/* verify.c: each value and call from its own operands; without a graph calls alone. */
struct tt_verdict *tt_analysis_verify(struct tt_context *context, const struct tt_analysis *analysis);

/* The verdict document, and the exit status that goes with it. */
cJSON *tt_analysis_document(struct tt_context *context, const struct tt_analysis *analysis, const struct tt_verdict *verdict,
                            const char *reference);
int tt_analysis_status(const struct tt_context *context, const struct tt_verdict *verdict);

/* Prints the verdict as asked for and gives the exit status. */
int tt_analysis_report(struct tt_context *context, const struct tt_analysis *analysis, const struct tt_verdict *verdict,
                       const char *reference);

#endif
