/* SPDX-License-Identifier: Apache-2.0
 *
 * Prompts of `ref`.
 *
 * The probe is made to show what a short prompt hides: different tokens (another row of any table is another value), more
 * of them than the widest window of the model holds, so that rotation, mask and window matter, and decoded steps behind
 * them, so that the cache does. It is one sequence; what mixes sequences up needs an engine that is given several.
 */
#include "commands/ref_prompt.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "diagnose/shown.h"

#define PROBE_TOKENS 48  /* without a window: rotation differs visibly between neighbours and across the prompt */
#define PROBE_BEYOND 8   /* tokens more than the window holds */
#define PROBE_MOST   640 /* a reference of more takes long on a large model */
#define PROBE_DECODE 4
#define FEW_TOKENS   64  /* prompts whose blind spots are told */

/* ---- the probe ---- */

static int64_t widest_window(const struct tt_graph *graph)
{
    double widest = 0;
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        double window = tt_attributes_number(&tt_graph_node(graph, i)->attributes, "window", 0);
        widest = window > widest ? window : widest;
    }
    return widest < PROBE_MOST ? (int64_t)widest : PROBE_MOST;
}

/* Ordinary tokens: no special ones, which models know too little. */
static bool usable(const struct tt_tokenizer *tokenizer, int32_t id)
{
    size_t length = 0;
    return !tokenizer || (tt_token_piece(tokenizer, id, &length) && length && !tt_token_is_special(tokenizer, id));
}

static int64_t probe_length(struct tt_context *context, const struct tt_graph *graph, int64_t vocabulary)
{
    int64_t window = widest_window(graph), count = window ? window + PROBE_BEYOND : PROBE_TOKENS;
    if (count < PROBE_TOKENS)
        count = PROBE_TOKENS;
    if (count > PROBE_MOST) {
        count = PROBE_MOST;
        tt_note(context, "the probe has %d tokens, which a window of this model still holds: attn.window of those layers is not shown",
                PROBE_MOST);
    }
    return count < vocabulary ? count : vocabulary;
}

/* Ids in steps that meet every id once before any comes again. */
static int64_t coprime_step(int64_t vocabulary)
{
    int64_t step = vocabulary * 618 / 1000;
    for (int64_t a = step, b = vocabulary; step > 1; a = --step, b = vocabulary) {
        while (b) {
            int64_t rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1)
            break;
    }
    return step > 1 ? step : 1;
}

static int make_probe(struct tt_context *context, const struct tt_analysis *model, struct tt_ref_prompt *out)
{
    double size = 0;
    tt_graph_config(model->graph, "vocab", &size);
    int64_t vocabulary = (int64_t)size, id = vocabulary / 3, step = coprime_step(vocabulary);
    struct tt_error none;
    struct tt_tokenizer *tokenizer = tt_tokenizer_open(context->args[0], tt_data_directory(), &none);
    int64_t wanted = probe_length(context, model->graph, vocabulary);
    out->tokens = tt_alloc_array((size_t)wanted + 1, sizeof *out->tokens);
    for (int64_t tried = 0; tried < vocabulary && out->count < wanted; tried++, id = (id + step) % vocabulary)
        if (usable(tokenizer, (int32_t)id))
            out->tokens[out->count++] = (int32_t)id;
    tt_tokenizer_free(tokenizer);
    out->decode = PROBE_DECODE;
    return out->count ? 0
                      : tt_fail(&context->error, TT_EINPUT, "%s: no ordinary token for a probe; give ids with --tokens",
                                tt_model_path(model->model));
}

/* ---- one token ---- */

static int make_default(struct tt_context *context, struct tt_ref_prompt *out)
{
    struct tt_tokenize_options bare = {.ends = TT_ENDS_NONE};
    out->text = tt_strdup("What");
    if (tt_prompt_tokens(context, context->args[0], out->text, &bare, &out->tokens, &out->count))
        return -1;
    if (out->count > 1)
        tt_note(context, "'What' is %" PRId64 " tokens here; the first is taken", out->count);
    out->count = 1;
    return 0;
}

/* ---- as given ---- */

static int given_prompt(struct tt_context *context, const char *option, size_t index, struct tt_ref_prompt *out)
{
    const char *given = tt_option_text_at(context->options, option, index);
    struct tt_tokenize_options how;
    if (strcmp(option, "tokens") == 0)
        return tt_parse_tokens(given, &out->tokens, &out->count, &context->error);
    out->text = tt_strdup(given);
    return tt_prompt_options(context, &how) ||
           tt_prompt_tokens(context, context->args[0], given, &how, &out->tokens, &out->count) ? -1 : 0;
}

static int given_prompts(struct tt_context *context, const char *option, struct tt_ref_prompts *out)
{
    int failed = 0;
    out->count = tt_option_count(context->options, option);
    out->items = tt_alloc_array(out->count, sizeof *out->items);
    for (size_t i = 0; i < out->count && !failed; i++)
        failed = given_prompt(context, option, i, &out->items[i]);
    return failed;
}

int tt_ref_prompts(struct tt_context *context, const struct tt_analysis *model, struct tt_ref_prompts *out)
{
    bool text = tt_option_flag(context->options, "prompt"), ids = tt_option_flag(context->options, "tokens");
    bool probe = tt_option_flag(context->options, "probe");
    if (probe && (text || ids))
        return tt_fail(&context->error, TT_EINPUT, "--probe makes its own prompt; leave --%s out", text ? "prompt" : "tokens");
    if (text && ids)
        return tt_fail(&context->error, TT_EINPUT, "--prompt and --tokens are both given; give one of them");
    if (text || ids)
        return given_prompts(context, text ? "prompt" : "tokens", out);
    out->count = 1;
    out->items = tt_alloc_array(1, sizeof *out->items);
    return probe ? make_probe(context, model, out->items) : make_default(context, out->items);
}

void tt_ref_prompts_free(struct tt_ref_prompts *prompts)
{
    for (size_t i = 0; i < prompts->count; i++) {
        free(prompts->items[i].tokens);
        free(prompts->items[i].text);
    }
    free(prompts->items);
    *prompts = (struct tt_ref_prompts){0};
}

static void add_prompt(cJSON *to, const struct tt_ref_prompt *prompt)
{
    if (prompt->text)
        cJSON_AddStringToObject(to, "text", prompt->text);
    cJSON *ids = cJSON_AddArrayToObject(to, "tokens");
    for (int64_t i = 0; i < prompt->count; i++)
        cJSON_AddItemToArray(ids, cJSON_CreateNumber(prompt->tokens[i]));
}

char *tt_ref_prompts_json(const struct tt_ref_prompts *prompts)
{
    cJSON *whole = prompts->count == 1 ? cJSON_CreateObject() : cJSON_CreateArray();
    for (size_t i = 0; i < prompts->count; i++) {
        cJSON *one = prompts->count == 1 ? whole : cJSON_CreateObject();
        add_prompt(one, &prompts->items[i]);
        if (one != whole)
            cJSON_AddItemToArray(whole, one);
    }
    char *text = cJSON_PrintUnformatted(whole);
    cJSON_Delete(whole);
    return text;
}

/* ---- what it cannot show ---- */

static struct tt_trace *with_steps(const struct tt_graph *graph, const struct tt_trace *inputs, int64_t decode)
{
    struct tt_trace *trace = tt_trace_new(graph);
    for (int i = 0; i < inputs->npasses; i++) {
        struct tt_trace_pass *pass = tt_trace_add_pass(trace, &inputs->passes[i].inputs);
        pass->pass = i;
        pass->continues = inputs->passes[i].continues;
        pass->phase = inputs->passes[i].phase;
    }
    for (int64_t step = 0; step < decode && step < 2; step++) {
        int32_t token = 0;
        int64_t keys = trace->passes[trace->npasses - 1].inputs.nkeys + 1, *positions = tt_alloc_array((size_t)keys, sizeof *positions);
        for (int64_t i = 0; i < keys; i++)
            positions[i] = i;
        struct tt_trace_pass *pass = tt_trace_add_pass(
            trace, &(struct tt_pass_inputs){.ntokens = 1, .tokens = &token, .positions = positions + keys - 1, .nkeys = keys, .key_positions = positions});
        pass->pass = trace->npasses - 1;
        pass->continues = true;
        pass->phase = TT_DECODE;
        free(positions);
    }
    return trace;
}

static void add_unseen(cJSON *document, const struct tt_shown *shown)
{
    cJSON *list = document ? cJSON_AddArrayToObject(document, "unobservable") : NULL;
    for (int i = 0; i < shown->count && list; i++)
        if (!shown->causes[i].shown)
            cJSON_AddItemToArray(list, cJSON_CreateString(shown->causes[i].cause));
}

void tt_ref_tell_unseen(struct tt_context *context, const struct tt_analysis *model, const struct tt_trace *inputs,
                        int64_t decode, cJSON *document)
{
    int64_t tokens = 0;
    struct tt_shown shown = {0};
    for (int i = 0; i < inputs->npasses; i++)
        tokens += inputs->passes[i].inputs.ntokens;
    if (!inputs->npasses || tokens > FEW_TOKENS)
        return;
    struct tt_trace *trace = with_steps(model->graph, inputs, decode);
    tt_causes_shown(model->graph, trace, &shown);
    char *text = tt_causes_not_shown(&shown);
    if (*text)
        tt_note(context, "%s cannot show: %s%s", tokens == 1 && !decode ? "one token at position 0" : "this prompt", text,
                tt_option_flag(context->options, "probe") ? "" : "; --probe makes a prompt that shows more");
    add_unseen(document, &shown);
    free(text);
    tt_trace_free(trace);
}
