/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap ref: a reference run by the project's own engine.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "commands/analysis.h"
#include "commands/inject.h"
#include "commands/ref_inputs.h"
#include "commands/ref_prompt.h"
#include "verify/reference.h"

static int check_vocabulary(struct tt_context *context, const struct tt_analysis *a, const int32_t *tokens, int64_t count)
{
    double vocabulary = 0;
    tt_graph_config(a->graph, "vocab", &vocabulary);
    for (int64_t i = 0; i < count; i++)
        if (tokens[i] >= (int32_t)vocabulary)
            return tt_fail(&context->error, TT_EINPUT, "token %d is outside the vocabulary of %s, which has %d entries",
                           tokens[i], tt_model_path(a->model), (int)vocabulary);
    return 0;
}

/* Appends a pass of `count` tokens behind what the trace already has. */
static void add_pass(struct tt_trace *trace, const int32_t *tokens, int64_t count)
{
    int64_t before = trace->npasses ? trace->passes[trace->npasses - 1].inputs.nkeys : 0, keys = before + count;
    int64_t *positions = tt_alloc_array((size_t)keys, sizeof *positions);
    for (int64_t i = 0; i < keys; i++)
        positions[i] = i;
    struct tt_trace_pass *pass =
        tt_trace_add_pass(trace, &(struct tt_pass_inputs){.ntokens = count, .tokens = tokens, .positions = positions + before,
                                                          .nkeys = keys, .key_positions = positions});
    pass->continues = before > 0;
    pass->phase = before > 0 && count == 1 ? TT_DECODE : TT_PREFILL;
    free(positions);
}

static int from_tokens(struct tt_context *context, struct tt_analysis *a, const struct tt_ref_prompt *prompt, struct tt_trace *trace)
{
    int64_t count = prompt->count, chunk = tt_option_integer(context->options, "chunk", 0);
    if (check_vocabulary(context, a, prompt->tokens, count))
        return -1;
    for (int64_t at = 0; at < count; at += chunk > 0 ? chunk : count)
        add_pass(trace, prompt->tokens + at, chunk > 0 && count - at > chunk ? chunk : chunk > 0 ? count - at : count);
    return 0;
}

/* The prompt of the reference as its manifest keeps it, the caller's; NULL: a capture told it. */
static char *prompt_json(const struct tt_ref_prompt *prompt)
{
    cJSON *object = cJSON_CreateObject(), *ids;
    if (prompt->text)
        cJSON_AddStringToObject(object, "text", prompt->text);
    ids = cJSON_AddArrayToObject(object, "tokens");
    for (int64_t i = 0; i < prompt->count; i++)
        cJSON_AddItemToArray(ids, cJSON_CreateNumber(prompt->tokens[i]));
    char *text = prompt->count ? cJSON_PrintUnformatted(object) : NULL;
    cJSON_Delete(object);
    return text;
}

static int precision_of(struct tt_context *context, enum tt_precision *precision)
{
    static const char *const names[] = {"f64", "f32", "f16", "bf16"};
    const char *wanted = tt_option_text(context->options, "precision");
    *precision = TT_EXACT_F64;
    for (int i = 0; wanted && i < 4; i++) {
        if (strcmp(names[i], wanted) == 0) {
            *precision = (enum tt_precision)i;
            return 0;
        }
    }
    return wanted ? tt_fail(&context->error, TT_EINPUT, "--precision %s: expected f64, f32, f16 or bf16", wanted) : 0;
}

static int check_output(struct tt_context *context)
{
    struct stat info;
    if (!context->output)
        return tt_fail(&context->error, TT_EINPUT, "where should the reference go? give a new folder with -o");
    if (stat(context->output, &info) == 0)
        return tt_fail(&context->error, TT_EINPUT, "%s exists; give a new name with -o, nothing is overwritten",
                       context->output);
    return errno == ENOENT ? 0 : tt_fail(&context->error, TT_ESYSTEM, "%s: %s", context->output, strerror(errno));
}

static void describe(struct tt_context *context, const struct tt_trace *trace, int64_t decoded)
{
    int64_t tokens = decoded, passes = trace->npasses + decoded;
    for (int i = 0; i < trace->npasses; i++)
        tokens += trace->passes[i].inputs.ntokens;
    tt_note(context, "%lld pass%s, %lld tokens in %s; next: tensortap compare CAPTURE %s", (long long)passes,
            passes == 1 ? "" : "es", (long long)tokens, context->output, context->output);
}

static int run_ref(struct tt_context *context)
{
    struct tt_analysis model = {0}, like = {0};
    struct tt_trace *made = NULL;
    const struct tt_trace *inputs = NULL;
    struct tt_ref_injections *injections = NULL;
    struct tt_ref_inputs *features = NULL;
    struct tt_ref_prompt prompt = {0};
    const char *capture = tt_option_text(context->options, "like");
    struct tt_reference_options how = {.directory = context->output,
                                       .decode = capture ? 0 : tt_option_integer(context->options, "decode", 0)};
    int failed = check_output(context) || precision_of(context, &how.precision) ? -1 : 0;
    if (!failed && capture && (tt_option_text(context->options, "prompt") || tt_option_text(context->options, "tokens") ||
                               tt_option_flag(context->options, "probe")))
        failed = tt_fail(&context->error, TT_EINPUT, "--like takes the capture's own tokens; leave --tokens, --prompt and --probe out");
    if (!failed)
        failed = tt_analysis_model(context, context->args[0], &model);
    if (!failed && capture) {
        const char *args[] = {capture, NULL};
        struct tt_context other = *context;
        other.args = args;
        other.model = context->args[0];
        failed = tt_analysis_open(&other, 0, &like);
        context->error = other.error;
        inputs = like.trace;
    } else if (!failed) {
        made = tt_trace_new(model.graph);
        failed = tt_ref_prompt(context, &model, &prompt) || from_tokens(context, &model, &prompt, made) ? -1 : 0;
        how.decode = tt_option_integer(context->options, "decode", prompt.decode);
        how.prompt = prompt_json(&prompt);
        inputs = made;
    }
    if (!failed)
        failed = tt_ref_check_passes(context, model.graph, inputs, how.decode) ||
                 tt_ref_inputs_open(context, model.graph, made ? made : like.trace, &features) ? -1 : 0;
    if (!failed)
        failed = tt_ref_injections_open(context, model.graph, inputs, &how, &injections);
    if (!failed)
        failed = tt_reference_run(model.graph, inputs, &how, &context->error);
    if (!failed)
        failed = tt_ref_injections_report(context, injections);
    if (!failed && context->json) {
        cJSON *document = cJSON_CreateObject();
        cJSON_AddStringToObject(document, "schema", "tensortap.reference/1");
        cJSON_AddStringToObject(document, "capture", context->output);
        cJSON_AddNumberToObject(document, "passes", inputs->npasses + (double)how.decode);
        if (how.prompt)
            cJSON_AddItemToObject(document, "prompt", cJSON_Parse(how.prompt));
        if (made)
            tt_ref_tell_unseen(context, &model, made, how.decode, document);
        failed = tt_emit_json(context, document, 0);
    } else if (!failed) {
        if (made)
            tt_ref_tell_unseen(context, &model, made, how.decode, NULL);
        describe(context, inputs, how.decode);
    }
    cJSON_free(how.prompt);
    tt_ref_prompt_free(&prompt);
    tt_ref_injections_free(injections);
    tt_ref_inputs_free(features);
    tt_trace_free(made);
    tt_analysis_close(&like);
    tt_analysis_close(&model);
    return failed;
}

static const struct tt_option options[] = {
    {"tokens", 't', TT_OPTION_TEXT, "IDS", "token ids of the prompt, as 1,15043,29871", NULL, NULL},
    {"like", 0, TT_OPTION_TEXT, "CAPTURE", "tokens, chunks and decode steps of this capture", NULL, NULL},
    {"prompt", 'p', TT_OPTION_TEXT, "TEXT", "the prompt as text, made ids by the model's own tokenizer", NULL, NULL},
    {"probe", 0, TT_OPTION_FLAG, NULL, "a prompt made to show what a short one hides: rotation, masks, windows, caches", NULL, NULL},
    TT_PROMPT_OPTIONS,
    {"chunk", 0, TT_OPTION_INTEGER, "N", "prompt in passes of N tokens", NULL, NULL},
    {"decode", 'n', TT_OPTION_INTEGER, "N", "greedy tokens to decode after the prompt", NULL, NULL},
    TT_INPUT_OPTION,
    TT_INJECT_OPTION("NAME=FILE", "take this value from FILE, FILE#KEY (.npy, .npz, .safetensors), or with NAME@CAPTURE from a "
                                  "capture, and compute the rest from it; may be given several times"),
    {"precision", 0, TT_OPTION_TEXT, "P", "f64 (default), or every value rounded to f32, f16 or bf16", NULL, NULL},
    {0},
};

const struct tt_command tt_command_ref = {
    .name = "ref",
    .summary = "reference run of a model by the project's own engine",
    .usage = "MODEL [--prompt TEXT | --tokens IDS | --probe] -o REFERENCE\nMODEL --like CAPTURE -o REFERENCE",
    .description = "Interprets the model's graph in double precision and writes every component as a capture, for "
                   "`tensortap compare`.\n\nWithout a prompt the single token \"What\" is run, with no BOS in front: enough for most "
                   "of a layer; what it cannot show is said.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .flags = TT_COMMAND_OWN_OUTPUT,
    .run = run_ref,
};
