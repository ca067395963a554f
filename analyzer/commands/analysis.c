/* SPDX-License-Identifier: Apache-2.0
 *
 * The model of a capture: --model, else what the program mapped or opened. Several candidates are tried in turn and the
 * first whose weights occur in the capture is taken.
 */
#include "commands/analysis.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "commands/prompt.h"
#include "verify/reference.h"

int tt_parse_tokens(const char *text, int32_t **tokens, int64_t *count, struct tt_error *error)
{
    *tokens = NULL;
    *count = 0;
    for (const char *at = text; *at;) {
        char *end;
        long id = strtol(at, &end, 10);
        if (end == at || id < 0 || id > INT32_MAX || (*end && *end != ','))
            return tt_fail(error, TT_EINPUT, "token ids '%s', column %d: expected ids like 1,15043,29871", text,
                           (int)(at - text) + 1);
        *tokens = tt_grow(*tokens, (size_t)*count + 1, sizeof **tokens);
        (*tokens)[(*count)++] = (int32_t)id;
        at = *end ? end + 1 : end;
    }
    return *count ? 0 : tt_fail(error, TT_EINPUT, "no token ids; give some like 1,15043,29871");
}

/* PATH[=SCALE]; what stands behind a '=' of the path itself is no number. */
static int add_adapter(struct tt_model *model, const char *text, struct tt_error *error)
{
    const char *equals = strrchr(text, '=');
    double scale = 1;
    bool scaled = equals && tt_parse_number(equals + 1, &scale);
    char *path = scaled ? tt_format("%.*s", (int)(equals - text), text) : tt_strdup(text);
    int rc = tt_model_add_adapter(model, path, scaled ? scale : 1, error);

    free(path);
    return rc;
}

int tt_analysis_adapters(struct tt_context *context, struct tt_model *model)
{
    int rc = 0;
    for (size_t i = 0; i < tt_option_count(context->options, "lora") && rc == 0; i++)
        rc = add_adapter(model, tt_option_text_at(context->options, "lora", i), &context->error);
    return rc;
}

static int open_model(struct tt_context *context, const char *path, bool adapted, struct tt_analysis *a)
{
    a->model = tt_model_open(path, &context->error);
    if (!a->model || (adapted && tt_analysis_adapters(context, a->model)))
        return -1;
    a->graph = tt_graph_new(a->model, &context->error);
    return a->graph ? 0 : -1;
}

int tt_analysis_model(struct tt_context *context, const char *path, struct tt_analysis *a)
{
    return open_model(context, path, true, a);
}

int tt_analysis_other_model(struct tt_context *context, const char *path, struct tt_analysis *a)
{
    return open_model(context, path, false, a);
}

static void drop_model(struct tt_analysis *a)
{
    tt_graph_free(a->graph);
    if (a->model)
        tt_model_close(a->model);
    a->graph = NULL;
    a->model = NULL;
}

/* --prompt needs the model's tokenizer, so it waits until the model is known. */
static int take_prompt(struct tt_context *context, const char *path, struct tt_analysis *a)
{
    bool given = !a->recover_tokens && tt_options_have(context->options, "prompt") && tt_option_flag(context->options, "prompt");
    int32_t *tokens = NULL;
    if (!given)
        return 0;
    if (tt_given_prompt(context, path, &tokens, &a->options.ntokens))
        return -1;
    free(a->tokens);
    a->options.tokens = a->tokens = tokens;
    return 0;
}

static int bind(struct tt_context *context, const char *path, struct tt_analysis *a)
{
    if (tt_analysis_model(context, path, a) || take_prompt(context, path, a))
        return -1;
    if (tt_is_reference(a->capture))
        a->trace = a->own = tt_reference_read(a->capture, a->graph, &context->error);
    else if ((a->naming = tt_naming_new(a->capture, a->graph, &a->options, &context->error)))
        a->trace = a->naming->trace;
    return a->trace ? 0 : -1;
}

/* A weights file beside a config.json is opened by its folder. */
static char *model_path(const char *file)
{
    const char *slash = strrchr(file, '/'), *dot = strrchr(file, '.');
    if (!slash || !dot || strcmp(dot, ".safetensors") != 0)
        return tt_strdup(file);
    char *folder = tt_format("%.*s", (int)(slash - file), file);
    char *config = tt_format("%s/config.json", folder);
    bool beside = access(config, R_OK) == 0;
    free(config);
    if (beside)
        return folder;
    free(folder);
    return tt_strdup(file);
}

static bool is_model_file(const char *path)
{
    const char *dot = path ? strrchr(path, '.') : NULL;
    return dot && (strcmp(dot, ".gguf") == 0 || strcmp(dot, ".safetensors") == 0) && access(path, R_OK) == 0;
}

static int bind_opened(struct tt_context *context, struct tt_analysis *a)
{
    const cJSON *manifest = tt_capture_manifest(a->capture), *entry;
    const char *reference = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(manifest, "reference_of"));
    if (reference)
        return bind(context, reference, a);
    int tried = 0;
    cJSON_ArrayForEach (entry, cJSON_GetObjectItemCaseSensitive(manifest, "model_files")) {
        const char *file = cJSON_IsString(entry) ? entry->valuestring
                                                 : cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "path"));
        if (!is_model_file(file) || strstr(file, tt_capture_path(a->capture)))
            continue;
        char *path = model_path(file);
        int failed = bind(context, path, a);
        free(path);
        tried++;
        if (!failed)
            return 0;
        drop_model(a);
    }
    if (!tried && a->model_optional)
        return 0;
    return tried ? -1
                 : tt_fail(&context->error, TT_EINPUT,
                           "%s: the program had no GGUF or safetensors file open; give its model with --model",
                           tt_capture_path(a->capture));
}

int tt_analysis_open(struct tt_context *context, size_t index, struct tt_analysis *a)
{
    const char *tokens = a->recover_tokens ? NULL : tt_option_text(context->options, "tokens");
    if (tokens && tt_parse_tokens(tokens, &a->tokens, &a->options.ntokens, &context->error))
        return -1;
    a->options.tokens = a->tokens;
    a->capture = tt_capture_open(context->args[index], &context->error);
    if (!a->capture)
        return -1;
    return context->model ? bind(context, context->model, a) : bind_opened(context, a);
}

void tt_analysis_close(struct tt_analysis *a)
{
    tt_naming_free(a->naming);
    tt_trace_free(a->own);
    drop_model(a);
    if (a->capture)
        tt_capture_close(a->capture);
    free(a->tokens);
}

static struct tt_verdict_view view_of(struct tt_context *context, const struct tt_analysis *a, const char *reference)
{
    const cJSON *manifest = tt_capture_manifest(a->capture);
    const char *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(manifest, "path"));
    return (struct tt_verdict_view){.model = a->model ? tt_model_path(a->model) : NULL,
                                    .family = a->graph ? tt_graph_family(a->graph) : NULL,
                                    .path = path, .reference = reference,
                                    .note = a->trace ? a->trace->note : NULL,
                                    .unnamed_calls = a->trace ? a->trace->unnamed_calls : 0, .select = context->select,
                                    .all_rows = tt_option_flag(context->options, "rows") || context->select};
}

static void say_unknown_keys(struct tt_context *context)
{
    char *unknown = tt_select_unknown(context->select, TT_ROW_KEYS);
    if (unknown)
        tt_note(context, "--select: %s cannot be applied to a verdict's rows and was not", unknown);
    free(unknown);
}

cJSON *tt_analysis_document(struct tt_context *context, const struct tt_analysis *a, const struct tt_verdict *verdict,
                            const char *reference)
{
    struct tt_verdict_view view = view_of(context, a, reference);
    say_unknown_keys(context);
    return tt_verdict_json(verdict, a->graph, &view);
}

int tt_analysis_status(const struct tt_context *context, const struct tt_verdict *verdict)
{
    int status = tt_verdict_status(verdict, context->strict);
    return status == TT_STATUS_PARTIAL ? tt_status_of_partial(context) : status;
}

/* A selection that no row has: a slip, not a verdict about nothing. */
static int check_selection(struct tt_context *context, const struct tt_analysis *a, const struct tt_verdict *verdict)
{
    struct tt_verdict_view view = {.select = context->select};
    int found = !context->select || !verdict->nrows;
    for (int i = 0; i < verdict->nrows && !found; i++)
        found = tt_row_selected(&view, &verdict->rows[i], a->graph ? tt_graph_nlayers(a->graph) : 0);
    return found ? 0
                 : tt_fail(&context->error, TT_EINPUT, "--select %s leaves nothing to show",
                           tt_option_text(context->options, "select"));
}

int tt_analysis_report(struct tt_context *context, const struct tt_analysis *a, const struct tt_verdict *verdict,
                       const char *reference)
{
    int status = tt_analysis_status(context, verdict);
    if (check_selection(context, a, verdict))
        return -1;
    if (context->json)
        return tt_emit_json(context, tt_analysis_document(context, a, verdict, reference), status);
    struct tt_verdict_view view = view_of(context, a, reference);
    struct tt_term term = tt_term_open(context->out, context->color, context->md);
    say_unknown_keys(context);
    tt_verdict_print(verdict, a->graph, &view, &term);
    return status;
}
