/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap compare: a run against a reference run.
 */
#include "compare/compare.h"

#include <string.h>

#include "commands/analysis.h"
#include "diagnose/walk.h"
#include "verify/reference.h"

struct reference {
    struct tt_capture *capture;
    struct tt_arrays *arrays;
    struct tt_naming *naming;
    struct tt_trace *trace; /* owned unless it is the naming's */
};

static bool is_array_file(const char *path)
{
    static const char *const suffixes[] = {".safetensors", ".npz", ".npy", ".pt"};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof suffixes / sizeof *suffixes; i++)
        if (strcmp(dot, suffixes[i]) == 0)
            return true;
    return false;
}

static int open_arrays(struct tt_context *context, const char *path, const struct tt_analysis *a, struct reference *r)
{
    r->arrays = tt_arrays_open(path, &context->error);
    r->trace = r->arrays ? tt_trace_of_arrays(r->arrays, a->graph, a->trace, &context->error) : NULL;
    return r->trace ? 0 : -1;
}

/* A reference of a model of other shapes shares no value with this graph: one line instead of empty rows. */
static int check_model(struct tt_context *context, const struct tt_analysis *a, const struct reference *r)
{
    const char *of = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(tt_capture_manifest(r->capture), "reference_of"));
    for (int i = 0; i < r->trace->npasses; i++)
        if (r->trace->passes[i].nobservations)
            return 0;
    return tt_fail(&context->error, TT_EINPUT, "%s is a reference of %s, not of %s; make one with: tensortap ref %s --like %s",
                   tt_capture_path(r->capture), of ? of : "another model", tt_model_path(a->model),
                   tt_model_path(a->model), tt_capture_path(a->capture));
}

static int open_capture(struct tt_context *context, const char *path, const struct tt_analysis *a, struct reference *r)
{
    r->capture = tt_capture_open(path, &context->error);
    if (!r->capture)
        return -1;
    if (tt_is_reference(r->capture)) {
        r->trace = tt_reference_read(r->capture, a->graph, &context->error);
        return r->trace ? check_model(context, a, r) : -1;
    }
    r->naming = tt_naming_new(r->capture, a->graph, NULL, &context->error);
    r->trace = r->naming ? r->naming->trace : NULL;
    return r->trace ? 0 : -1;
}

static void close_reference(struct reference *r)
{
    if (r->naming)
        tt_naming_free(r->naming);
    else
        tt_trace_free(r->trace);
    if (r->capture)
        tt_capture_close(r->capture);
    tt_arrays_close(r->arrays);
}

static int run_compare(struct tt_context *context)
{
    struct tt_analysis analysis = {0};
    struct reference reference = {0};
    const char *path = context->args[1];
    int status = tt_analysis_open(context, 0, &analysis);
    if (!status)
        status = is_array_file(path) ? open_arrays(context, path, &analysis, &reference)
                                     : open_capture(context, path, &analysis, &reference);
    if (!status) {
        struct tt_verify_options options = {.stop_at_first = context->stop_at_first,
                                            .capture = analysis.naming ? analysis.capture : NULL};
        struct tt_verdict *verdict = tt_verify(analysis.graph, analysis.trace, &options);
        status = tt_compare(analysis.graph, verdict, analysis.trace, reference.trace, &context->error)
                     ? tt_analysis_report(context, &analysis, verdict, path)
                     : -1;
        tt_verdict_free(verdict);
    }
    close_reference(&reference);
    tt_analysis_close(&analysis);
    return status;
}

static const struct tt_option options[] = {
    {"tokens", 't', TT_OPTION_TEXT, "IDS", "token ids of the prompt, when they need not be recovered", NULL, NULL},
    {"rows", 0, TT_OPTION_FLAG, NULL, "every value with its numbers instead of the ladder", NULL, NULL},
    {0},
};

const struct tt_command tt_command_compare = {
    .name = "compare",
    .summary = "a run against a reference run: first divergence and causes",
    .usage = "[options] CAPTURE REFERENCE [--model MODEL]",
    .description = "REFERENCE is a capture (of `tensortap ref`, or of another run) or a .safetensors, .npz or .npy file of "
                   "named tensors. Each value is also re-executed from its own operands, so a value that differs only "
                   "because of what came before is told from one that was computed wrongly.\n\n"
                   "Exit status: 0 match, 1 mismatch, 2 bad input, 3 not everything was measured.",
    .options = options,
    .min_args = 2,
    .max_args = 2,
    .run = run_compare,
};
