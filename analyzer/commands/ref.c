/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap ref: a reference run by the project's own engine.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "commands/analysis.h"
#include "commands/inject.h"
#include "commands/ref_inputs.h"
#include "commands/ref_prompt.h"
#include "verify/reference.h"

#define MOST_DECODED 65536 /* more takes days and fills a disk */

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

/* Appends a pass of tokens [at, at + count) of a sequence. */
static void add_pass(struct tt_trace *trace, int number, int sequence, const int32_t *tokens, int64_t at, int64_t count)
{
    int64_t keys = at + count, *positions = tt_alloc_array((size_t)keys, sizeof *positions);
    for (int64_t i = 0; i < keys; i++)
        positions[i] = i;
    struct tt_trace_pass *pass =
        tt_trace_add_pass(trace, &(struct tt_pass_inputs){.ntokens = count, .tokens = tokens + at, .positions = positions + at,
                                                          .nkeys = keys, .key_positions = positions});
    pass->pass = number;
    pass->sequence = sequence;
    pass->continues = at > 0;
    pass->phase = at > 0 && count == 1 ? TT_DECODE : TT_PREFILL;
    free(positions);
}

/* Chunk by chunk, in each all sequences that are long enough. */
static int from_tokens(struct tt_context *context, struct tt_analysis *a, const struct tt_ref_prompts *prompts, struct tt_trace *trace)
{
    int64_t longest = 0, chunk = tt_option_integer(context->options, "chunk", 0);
    for (size_t s = 0; s < prompts->count; s++) {
        if (check_vocabulary(context, a, prompts->items[s].tokens, prompts->items[s].count))
            return -1;
        longest = prompts->items[s].count > longest ? prompts->items[s].count : longest;
    }
    chunk = chunk > 0 ? chunk : longest;
    for (int64_t at = 0, number = 0; at < longest; at += chunk, number++) {
        for (size_t s = 0; s < prompts->count; s++) {
            int64_t left = prompts->items[s].count - at;
            if (left > 0)
                add_pass(trace, (int)number, (int)s, prompts->items[s].tokens, at, left < chunk ? left : chunk);
        }
    }
    return 0;
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
    if (!context->output || !*context->output)
        return tt_fail(&context->error, TT_EINPUT, "where should the reference go? give a new folder with -o");
    if (stat(context->output, &info) == 0)
        return tt_fail(&context->error, TT_EINPUT, "%s exists; give a new name with -o, nothing is overwritten",
                       context->output);
    return errno == ENOENT ? 0 : tt_fail(&context->error, TT_ESYSTEM, "%s: %s", context->output, strerror(errno));
}

/* Numbers that can only be slips, and options that --like would leave unused. */
static int check_steps(struct tt_context *context, bool like)
{
    int64_t chunk = tt_option_integer(context->options, "chunk", 1), decode = tt_option_integer(context->options, "decode", 0);
    if (chunk < 1)
        return tt_fail(&context->error, TT_EINPUT, "--chunk %lld: expected at least one token a pass", (long long)chunk);
    if (decode < 0 || decode > MOST_DECODED)
        return tt_fail(&context->error, TT_EINPUT, "--decode %lld: expected 0 to %d tokens", (long long)decode, MOST_DECODED);
    if (like && (tt_option_flag(context->options, "chunk") || tt_option_flag(context->options, "decode")))
        return tt_fail(&context->error, TT_EINPUT, "--like takes the capture's own passes; leave --chunk and --decode out");
    return 0;
}

static int sequences_of(const struct tt_trace *trace)
{
    int n = 0;
    for (int i = 0; i < trace->npasses; i++)
        n = trace->passes[i].sequence >= n ? trace->passes[i].sequence + 1 : n;
    return n;
}

static double passes_of(const struct tt_trace *trace, int64_t decoded)
{
    return trace->npasses + (double)(decoded * sequences_of(trace));
}

static void describe(struct tt_context *context, const struct tt_trace *trace, int64_t decoded)
{
    int64_t sequences = sequences_of(trace), tokens = decoded * sequences, passes = (int64_t)passes_of(trace, decoded);
    for (int i = 0; i < trace->npasses; i++)
        tokens += trace->passes[i].inputs.ntokens;
    char many[48] = "";
    if (sequences > 1)
        snprintf(many, sizeof many, "%lld sequences, ", (long long)sequences);
    tt_note(context, "%s%lld pass%s, %lld tokens in %s; next: tensortap compare CAPTURE %s", many, (long long)passes,
            passes == 1 ? "" : "es", (long long)tokens, context->output, context->output);
}

/* One reference run. */
struct job {
    struct tt_analysis model, like; /* like: of the capture, with --like */
    struct tt_trace *made;          /* passes of the prompt; NULL with --like */
    const struct tt_trace *inputs;  /* either of them */
    struct tt_ref_prompts prompts;
    struct tt_ref_inputs *features;
    struct tt_ref_injections *injections;
    struct tt_reference_options how;
};

static int check_options(struct tt_context *context)
{
    static const char *const own[] = {"prompt", "tokens", "probe"};
    bool like = tt_option_flag(context->options, "like");
    for (int i = 0; i < 3 && like; i++)
        if (tt_option_flag(context->options, own[i]))
            return tt_fail(&context->error, TT_EINPUT,
                           "--like takes the capture's own tokens; leave --tokens, --prompt and --probe out");
    return check_steps(context, like);
}

static int open_like(struct tt_context *context, const char *capture, struct job *job)
{
    const char *args[] = {capture, NULL};
    struct tt_context other = *context;
    other.args = args;
    other.model = context->args[0];
    int failed = tt_analysis_open(&other, 0, &job->like);
    context->error = other.error;
    job->inputs = job->like.trace;
    return failed;
}

static int open_prompts(struct tt_context *context, struct job *job)
{
    job->inputs = job->made = tt_trace_new(job->model.graph);
    if (tt_ref_prompts(context, &job->model, &job->prompts) || from_tokens(context, &job->model, &job->prompts, job->made))
        return -1;
    job->how.decode = tt_option_integer(context->options, "decode", job->prompts.items[0].decode);
    job->how.prompt = tt_ref_prompts_json(&job->prompts);
    return 0;
}

static int open_job(struct tt_context *context, struct job *job)
{
    const char *capture = tt_option_text(context->options, "like");
    job->how.directory = context->output;
    if (check_output(context) || precision_of(context, &job->how.precision) || check_options(context) ||
        tt_analysis_model(context, context->args[0], &job->model))
        return -1;
    if (capture ? open_like(context, capture, job) : open_prompts(context, job))
        return -1;
    struct tt_trace *trace = job->made ? job->made : job->like.trace;
    if (tt_ref_check_passes(context, job->model.graph, trace, job->how.decode) ||
        tt_ref_inputs_open(context, job->model.graph, trace, &job->features))
        return -1;
    return tt_ref_injections_open(context, job->model.graph, trace, &job->how, &job->injections);
}

static void close_job(struct job *job)
{
    cJSON_free(job->how.prompt);
    tt_ref_prompts_free(&job->prompts);
    tt_ref_injections_free(job->injections);
    tt_ref_inputs_free(job->features);
    tt_trace_free(job->made);
    tt_analysis_close(&job->like);
    tt_analysis_close(&job->model);
}

static int emit_document(struct tt_context *context, const struct job *job)
{
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "schema", "tensortap.reference/1");
    cJSON_AddStringToObject(document, "capture", context->output);
    cJSON_AddNumberToObject(document, "passes", passes_of(job->inputs, job->how.decode));
    if (job->how.prompt)
        cJSON_AddItemToObject(document, "prompt", cJSON_Parse(job->how.prompt));
    if (job->made)
        tt_ref_tell_unseen(context, &job->model, job->made, job->how.decode, document);
    return tt_emit_json(context, document, 0);
}

static int report(struct tt_context *context, const struct job *job)
{
    if (context->json)
        return emit_document(context, job);
    if (job->made)
        tt_ref_tell_unseen(context, &job->model, job->made, job->how.decode, NULL);
    describe(context, job->inputs, job->how.decode);
    return 0;
}

static int run_ref(struct tt_context *context)
{
    struct job job = {0};
    int failed = open_job(context, &job);
    if (!failed)
        failed = tt_reference_run(job.model.graph, job.inputs, &job.how, &context->error);
    if (!failed)
        failed = tt_ref_injections_report(context, job.injections);
    if (!failed)
        failed = report(context, &job);
    close_job(&job);
    return failed;
}

static const struct tt_option options[] = {
    {"tokens", 't', TT_OPTION_LIST, "IDS", "token ids of the prompt, as 1,15043,29871; given several times: a sequence each", NULL,
     NULL},
    {"like", 0, TT_OPTION_TEXT, "CAPTURE", "tokens, chunks and decode steps of this capture", NULL, NULL},
    {"prompt", 'p', TT_OPTION_LIST, "TEXT", "the prompt as text, made ids by the model's own tokenizer; likewise", NULL, NULL},
    {"probe", 0, TT_OPTION_FLAG, NULL, "a prompt made to show what a short one hides: rotation, masks, windows, caches", NULL, NULL},
    TT_PROMPT_OPTIONS,
    {"chunk", 0, TT_OPTION_INTEGER, "N", "prompt in passes of N tokens", NULL, NULL},
    {"decode", 'n', TT_OPTION_INTEGER, "N", "greedy tokens to decode after the prompt", NULL, NULL},
    TT_INPUT_OPTION,
    TT_INJECT_OPTION("NAME=FILE", "take this value from FILE, FILE#KEY (.npy, .npz, .safetensors, .pt), or with NAME@CAPTURE from a "
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
