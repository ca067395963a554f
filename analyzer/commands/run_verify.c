/* SPDX-License-Identifier: Apache-2.0
 *
 * The edit-run loop in one command: the program gets the prompt that the reference gets, and its run is judged at once.
 */
#include "commands/run.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "commands/analysis.h"
#include "commands/counterpart.h"
#include "commands/prompt.h"
#include "commands/reference_cache.h"
#include "compare/compare.h"

/* ---- the prompt ---- */

struct filling {
    const char *mark;  /* "{prompt}" */
    const char *value; /* NULL: not known */
    const char *needs; /* what would make it known */
};

/* `word` with every mark replaced; NULL with context->error when one cannot be. */
static char *fill_word(struct tt_context *context, const char *word, const struct filling *fillings)
{
    struct tt_string out = {0};
    while (*word) {
        const struct filling *f = fillings;
        while (f->mark && strncmp(word, f->mark, strlen(f->mark)) != 0)
            f++;
        if (f->mark && !f->value) {
            tt_fail(&context->error, TT_EINPUT, "%s in the command needs %s", f->mark, f->needs);
            tt_string_free(&out);
            return NULL;
        }
        if (f->mark)
            tt_string_add(&out, "%s", f->value);
        else
            tt_string_add_bytes(&out, word, 1);
        word += f->mark ? strlen(f->mark) : 1;
    }
    return out.text ? out.text : tt_strdup("");
}

static bool has_mark(const char *const *args, const char *mark)
{
    for (; *args; args++)
        if (strstr(*args, mark))
            return true;
    return false;
}

static int fill_command(struct tt_context *context, struct tt_run_prompt *prompt, bool fill)
{
    char *ids = prompt->tokens ? tt_tokens_text(prompt->tokens, prompt->count) : NULL;
    const struct filling fillings[] = {
        {"{prompt}", tt_option_text(context->options, "prompt"), "--prompt TEXT"},
        {"{tokens}", ids, "--tokens IDS, or --prompt TEXT with --model"},
        {"{model}", context->model, "--model"},
        {0},
    };
    int failed = 0;
    prompt->argv = tt_alloc_array(context->nargs + 1, sizeof *prompt->argv);
    for (size_t i = 0; i < context->nargs && !failed; i++) {
        prompt->argv[i] = fill ? fill_word(context, context->args[i], fillings) : tt_strdup(context->args[i]);
        failed = prompt->argv[i] ? 0 : -1;
    }
    free(ids);
    return failed;
}

/* What would be found wrong after the run is found before it. */
static int check_reference(struct tt_context *context)
{
    const char *against = tt_option_text(context->options, "against");
    struct tt_analysis model = {0};
    if (against && access(against, R_OK) != 0)
        return tt_fail(&context->error, TT_ESYSTEM, "--against %s: %m", against);
    int failed = context->model ? tt_analysis_model(context, context->model, &model) : 0;
    tt_analysis_close(&model);
    return failed;
}

static int known_tokens(struct tt_context *context, struct tt_run_prompt *prompt)
{
    bool text = tt_option_flag(context->options, "prompt");
    if (text && !context->model && !tt_option_flag(context->options, "tokens")) {
        if (!has_mark(context->args, "{tokens}"))
            tt_note(context, "--prompt without --model: its tokens are not checked");
        return 0;
    }
    return tt_given_prompt(context, context->model, &prompt->tokens, &prompt->count);
}

int tt_run_prepare(struct tt_context *context, struct tt_run_prompt *prompt)
{
    bool given = tt_option_flag(context->options, "prompt") || tt_option_flag(context->options, "tokens");
    bool verify = tt_option_flag(context->options, "verify");
    static const char *const of_verify[] = {"against", "rows"};
    for (size_t i = 0; i < sizeof of_verify / sizeof *of_verify && !verify; i++)
        if (tt_option_flag(context->options, of_verify[i]))
            return tt_fail(&context->error, TT_EINPUT, "--%s belongs to --verify; give both", of_verify[i]);
    if ((verify && check_reference(context)) || (given && known_tokens(context, prompt)))
        return -1;
    if (given && !has_mark(context->args, "{prompt}") && !has_mark(context->args, "{tokens}"))
        tt_note(context, "the command has neither {prompt} nor {tokens}: it has to take this prompt by itself");
    return fill_command(context, prompt, verify || given);
}

void tt_run_prompt_free(struct tt_run_prompt *prompt)
{
    for (char **word = prompt->argv; word && *word; word++)
        free(*word);
    free(prompt->argv);
    free(prompt->tokens);
    *prompt = (struct tt_run_prompt){0};
}

/* ---- the verdict ---- */

/* The prompt of the run as it was recovered: the passes up to the first that answers. */
static int64_t recovered_prompt(const struct tt_trace *trace, int32_t **tokens)
{
    int64_t count = 0;
    *tokens = NULL;
    for (int i = 0; i < trace->npasses; i++) {
        const struct tt_trace_pass *pass = &trace->passes[i];
        bool goes_on = i ? pass->continues && pass->phase == TT_PREFILL : !pass->continues;
        if (!goes_on || pass->sequence != trace->passes[0].sequence || pass->tokens_by == TT_BY_NONE)
            break;
        *tokens = tt_grow(*tokens, (size_t)(count + pass->inputs.ntokens), sizeof **tokens);
        memcpy(*tokens + count, pass->inputs.tokens, (size_t)pass->inputs.ntokens * sizeof **tokens);
        count += pass->inputs.ntokens;
    }
    return count;
}

/* Path of the reference to compare with, the caller's; NULL: none. A reference that cannot be made is no reason to say
 * nothing about the run. */
static char *reference_for(struct tt_context *context, const struct tt_analysis *a, const struct tt_run_prompt *prompt)
{
    const char *against = tt_option_text(context->options, "against");
    int32_t *tokens = NULL;
    if (against)
        return tt_strdup(against);
    if (!a->graph || (!context->model && !prompt->tokens))
        return NULL;
    int64_t count = prompt->tokens ? prompt->count : recovered_prompt(a->trace, &tokens);
    struct tt_error error;
    char *path = count ? tt_reference_cached(context, a->graph, prompt->tokens ? prompt->tokens : tokens, count, &error) : NULL;
    if (count && !path)
        tt_note(context, "no reference: %s", error.message);
    free(tokens);
    return path;
}

/* Adds the comparison. Only a reference that the user gave has to fit. */
static int compare(struct tt_context *context, const struct tt_analysis *a, const char *path, struct tt_verdict *verdict)
{
    struct tt_counterpart reference = {0};
    int failed = tt_counterpart_open(context, path, a->graph, a->trace, &reference);
    if (!failed)
        failed = tt_compare(a->graph, verdict, a->trace, reference.trace, &context->error) ? 0 : -1;
    tt_counterpart_close(&reference);
    if (!failed || tt_option_flag(context->options, "against"))
        return failed;
    tt_note(context, "not compared with the reference: %s", context->error.message);
    return 0;
}

struct judged {
    int status;
    const char *overall; /* static */
    cJSON *document;
};

static int judge(struct tt_context *context, struct tt_analysis *a, const struct tt_run_prompt *prompt, struct judged *out)
{
    struct tt_verdict *verdict = tt_analysis_verify(context, a);
    char *reference = reference_for(context, a, prompt);
    int failed = reference ? compare(context, a, reference, verdict) : 0;
    if (!failed) {
        out->overall = verdict->overall;
        out->status = tt_analysis_status(context, verdict);
        if (context->json)
            out->document = tt_analysis_document(context, a, verdict, reference);
        else
            failed = tt_analysis_report(context, a, verdict, reference) < 0 ? -1 : 0;
    }
    free(reference);
    tt_verdict_free(verdict);
    return failed;
}

static int judge_capture(struct tt_context *context, const char *path, const struct tt_run_prompt *prompt, struct judged *out)
{
    const char *args[] = {path, NULL};
    struct tt_context one = *context;
    struct tt_analysis analysis = {.model_optional = true, .recover_tokens = true};
    one.args = args;
    one.nargs = 1;
    int failed = tt_analysis_open(&one, 0, &analysis);
    if (!failed)
        failed = judge(&one, &analysis, prompt, out);
    context->error = one.error;
    tt_analysis_close(&analysis);
    return failed;
}

/* Worse first: a mismatch, then what was not measured. */
static int severity(int status)
{
    return status == TT_STATUS_MISMATCH ? 2 : status == TT_STATUS_PARTIAL ? 1 : 0;
}

int tt_run_verify(struct tt_context *context, const struct tt_paths *made, const struct tt_run_prompt *prompt,
                  struct tt_run_verdict *verdict)
{
    *verdict = (struct tt_run_verdict){.overall = made->count ? "match" : "unmeasured"};
    int failed = 0;
    verdict->status = made->count ? TT_STATUS_MATCH : tt_status_of_partial(context);
    if (!made->count && !context->json)
        fputs("unmeasured   nothing was captured\n", context->out);
    verdict->documents = tt_alloc_array(made->count + 1, sizeof *verdict->documents);
    for (size_t i = 0; i < made->count && !failed; i++) {
        struct judged one = {0};
        if (made->count > 1 && !context->json)
            fprintf(context->out, "%s%s\n", i ? "\n" : "", made->paths[i]);
        failed = judge_capture(context, made->paths[i], prompt, &one);
        verdict->documents[i] = one.document;
        if (failed || (i && severity(one.status) <= severity(verdict->status)))
            continue;
        verdict->status = one.status;
        verdict->overall = one.overall;
    }
    return failed;
}

void tt_run_verdict_free(struct tt_run_verdict *verdict, size_t captures)
{
    for (size_t i = 0; verdict->documents && i < captures; i++)
        cJSON_Delete(verdict->documents[i]);
    free(verdict->documents);
    *verdict = (struct tt_run_verdict){0};
}
