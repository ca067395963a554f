/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap params: what a model's configuration is and where its parameters are.
 */
#include "inspect/sizes.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "commands/command.h"
#include "inspect/settings.h"
#include "report/sheet.h"

struct job {
    struct tt_model *model;
    struct tt_graph *graph;
    struct tt_sizes sizes;
    const char **sets; /* ends with NULL */
    int64_t context;   /* tokens for which the cache is told, 0: a token's alone */
};

/* ---- opening ---- */

static const char **sets_of(const struct tt_context *context)
{
    size_t n = tt_option_count(context->options, "set");
    const char **sets = tt_alloc_array(n + 1, sizeof(*sets));
    for (size_t i = 0; i < n; i++)
        sets[i] = tt_option_text_at(context->options, "set", i);
    return sets;
}

/* "{arch}.block_count" of an architecture file is "llama.block_count" of the model. */
static bool is_key(const char *source, const char *key, size_t length)
{
    static const char arch[] = "{arch}";
    if (strncmp(source, arch, sizeof arch - 1) != 0)
        return strlen(source) == length && strncmp(source, key, length) == 0;
    size_t tail = strlen(source) - (sizeof arch - 1);
    return length > tail && strncmp(key + length - tail, source + sizeof arch - 1, tail) == 0;
}

static bool is_used(const struct tt_graph *graph, const char *set)
{
    size_t length = strcspn(set, "=");
    for (int i = 0; i < tt_graph_nconfig(graph); i++) {
        struct tt_graph_config_entry entry = tt_graph_config_at(graph, i);
        if ((strlen(entry.name) == length && strncmp(entry.name, set, length) == 0) || is_key(entry.source, set, length))
            return true;
    }
    return false;
}

/* A misspelt name would change nothing in silence. */
static int check_sets(struct tt_context *context, const struct job *job)
{
    int n = tt_graph_nconfig(job->graph);
    const char **names = tt_alloc_array((size_t)n + 1, sizeof(*names));
    int status = 0;
    for (int i = 0; i < n; i++)
        names[i] = tt_graph_config_at(job->graph, i).name;
    for (const char **set = job->sets; *set && !status; set++) {
        char *key = tt_format("%.*s", (int)strcspn(*set, "="), *set);
        const char *near = tt_nearest(key, names, (size_t)n);
        if (!strchr(*set, '='))
            status = tt_fail(&context->error, TT_EINPUT, "--set %s: expected NAME=VALUE, for instance --set layers=20", *set);
        else if (!is_used(job->graph, *set))
            status = tt_fail(&context->error, TT_EINPUT, "--set %s: family %s has no setting '%s'%s%s", *set,
                             tt_graph_family(job->graph), key, near ? "; did you mean " : "", near ? near : "");
        free(key);
    }
    free(names);
    return status;
}

static int open_job(struct tt_context *context, struct job *job)
{
    job->sets = sets_of(context);
    job->context = tt_option_integer(context->options, "context", 0);
    struct tt_graph_options options = {.bare = true, .sets = job->sets};
    job->model = tt_model_open_bare(context->args[0], &context->error);
    job->graph = job->model ? tt_graph_new_with(job->model, &options, &context->error) : NULL;
    if (!job->graph || check_sets(context, job))
        return -1;
    job->sizes = tt_sizes_of(job->graph);
    return 0;
}

static void close_job(struct job *job)
{
    tt_sizes_free(&job->sizes);
    tt_graph_free(job->graph);
    if (job->model)
        tt_model_close(job->model);
    free(job->sets);
}

/* Whether the types are the file's; a configuration alone says which it is meant to have. */
static bool has_types(const struct job *job)
{
    return tt_model_ntensors(job->model) > 0;
}

static double share(const struct job *job, uint64_t parameters)
{
    return job->sizes.total ? 100.0 * (double)parameters / (double)job->sizes.total : 0;
}

/* ---- JSON ---- */

static void add_configuration(cJSON *json, const struct tt_graph *graph)
{
    cJSON *list = cJSON_AddArrayToObject(json, "configuration");
    for (int i = 0; i < tt_graph_nconfig(graph); i++) {
        struct tt_graph_config_entry entry = tt_graph_config_at(graph, i);
        cJSON *item = cJSON_CreateObject(), *values = entry.nvalues > 1 ? cJSON_AddArrayToObject(item, "values") : NULL;
        cJSON_AddStringToObject(item, "name", entry.name);
        for (int k = 0; values && k < entry.nvalues; k++)
            cJSON_AddItemToArray(values, entry.values[k].is_string ? cJSON_CreateString(entry.values[k].text)
                                                                   : cJSON_CreateNumber(entry.values[k].number));
        if (!values && entry.values[0].is_string)
            cJSON_AddStringToObject(item, "value", entry.values[0].text);
        else if (!values)
            tt_json_add_number(item, "value", entry.values[0].number);
        cJSON_AddStringToObject(item, "source", entry.source);
        cJSON_AddItemToArray(list, item);
    }
}

static cJSON *row_json(const struct job *job, const struct tt_size_row *row)
{
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "component", row->component);
    cJSON_AddItemToObject(item, "group", row->group ? cJSON_CreateString(row->group) : cJSON_CreateNull());
    if (row->nlayers) {
        cJSON_AddNumberToObject(item, "layers", row->nlayers);
        tt_json_add_u64(item, "per_layer", row->most);
        tt_json_add_u64(item, "per_layer_least", row->least);
    }
    tt_json_add_u64(item, "parameters", row->total);
    tt_json_add_u64(item, "active", row->active);
    cJSON_AddNumberToObject(item, "share", share(job, row->total) / 100);
    if (row->tied[0])
        cJSON_AddStringToObject(item, "tied_to", row->tied);
    return item;
}

static void add_cache(cJSON *json, const struct job *job)
{
    const struct tt_sizes *s = &job->sizes;
    cJSON *cache = cJSON_AddObjectToObject(json, "kv_cache");
    tt_json_add_u64(cache, "values_per_token", s->cache);
    tt_json_add_u64(cache, "bytes_per_token_f16", 2 * s->cache);
    tt_json_add_u64(cache, "bytes_per_token_f32", 4 * s->cache);
    tt_json_add_u64(cache, "windowed_values_per_token", s->windowed);
    tt_json_add_i64(cache, "window", s->window);
    if (job->context > 0) {
        tt_json_add_i64(cache, "context", job->context);
        tt_json_add_u64(cache, "bytes_f16", 2 * tt_cache_values(job->graph, job->context));
    }
}

static cJSON *document(const struct job *job)
{
    const struct tt_sizes *s = &job->sizes;
    cJSON *json = tt_json_document("params"), *list;
    cJSON_AddStringToObject(json, "model", tt_model_path(job->model));
    cJSON_AddStringToObject(json, "family", tt_graph_family(job->graph));
    add_configuration(json, job->graph);
    list = cJSON_AddArrayToObject(json, "components");
    for (int i = 0; i < s->nrows; i++)
        cJSON_AddItemToArray(list, row_json(job, &s->rows[i]));
    tt_json_add_u64(json, "parameters", s->total);
    tt_json_add_u64(json, "parameters_in_layers", s->blocks);
    tt_json_add_u64(json, "parameters_tied", s->tied);
    tt_json_add_u64(json, "parameters_active", s->active);
    list = cJSON_AddArrayToObject(json, "types");
    for (int i = 0; i < s->ntypes && has_types(job); i++) {
        cJSON *type = cJSON_CreateObject();
        cJSON_AddStringToObject(type, "dtype", tt_dtype_info(s->types[i].dtype)->name);
        tt_json_add_u64(type, "parameters", s->types[i].parameters);
        tt_json_add_u64(type, "bytes", s->types[i].bytes);
        cJSON_AddItemToArray(list, type);
    }
    add_cache(json, job);
    return json;
}

/* ---- text ---- */

static const struct tt_column configuration_columns[] = {
    {"setting", TT_LEFT, TT_PLAIN, false}, {"value", TT_LEFT, TT_BOLD, false}, {"from", TT_LEFT, TT_DIM, true}};

static void print_configuration(const struct tt_term *term, const struct job *job)
{
    struct tt_sheet *sheet = tt_sheet_new(configuration_columns, 3);
    tt_heading(term, "Configuration");
    for (int i = 0; i < tt_graph_nconfig(job->graph); i++) {
        struct tt_graph_config_entry entry = tt_graph_config_at(job->graph, i);
        char value[80];
        tt_config_text(&entry, value, sizeof value);
        tt_sheet_cell(sheet, "%s", entry.name);
        tt_sheet_cell(sheet, "%s", value);
        tt_sheet_cell(sheet, "%s", entry.source);
    }
    tt_sheet_print(sheet, term);
    tt_sheet_free(sheet);
}

static const struct tt_column parameter_columns[] = {{"component", TT_LEFT, TT_PLAIN, false},
                                                     {"layers", TT_RIGHT, TT_PLAIN, false},
                                                     {"a layer", TT_RIGHT, TT_PLAIN, false},
                                                     {"parameters", TT_RIGHT, TT_BOLD, false},
                                                     {"share", TT_RIGHT, TT_PLAIN, false},
                                                     {"", TT_LEFT, TT_DIM, true}};

static void add_line(struct tt_sheet *sheet, const struct job *job, const char *name, int nlayers, uint64_t least, uint64_t most,
                     uint64_t total)
{
    tt_sheet_cell(sheet, "%s", name);
    if (nlayers) {
        tt_sheet_cell(sheet, "%d", nlayers);
        tt_sheet_cell(sheet, least == most ? "%s" : "%s to %s", tt_count(least).text, tt_count(most).text);
    } else {
        tt_sheet_cell(sheet, "%s", "");
        tt_sheet_cell(sheet, "%s", "");
    }
    tt_sheet_cell(sheet, "%s", tt_count(total).text);
    tt_sheet_cell(sheet, "%.1f %%", share(job, total));
}

static void add_component(struct tt_sheet *sheet, const struct job *job, const struct tt_size_row *row)
{
    char *name = tt_format("%s%s", row->nlayers ? "  " : "", row->component);
    add_line(sheet, job, name, row->nlayers, row->least, row->most, row->total);
    free(name);
    if (row->tied[0])
        tt_sheet_cell(sheet, "tied to %s, counted there", row->tied);
    else if (row->active != row->total)
        tt_sheet_cell(sheet, "%s active", tt_count(row->active).text);
    else
        tt_sheet_cell(sheet, "%s", "");
}

/* What the layers have together: "attention", "feed-forward". */
static void add_group(struct tt_sheet *sheet, const struct job *job, const char *group)
{
    uint64_t total = 0, least = 0, most = 0;
    int nlayers = 0;
    for (int i = 0; i < job->sizes.nrows; i++) {
        const struct tt_size_row *row = &job->sizes.rows[i];
        if (!row->group || strcmp(row->group, group) != 0 || !row->nlayers)
            continue;
        total += row->total;
        nlayers = row->nlayers > nlayers ? row->nlayers : nlayers;
    }
    if (!total)
        return;
    least = most = total / (uint64_t)nlayers;
    add_line(sheet, job, group, total % (uint64_t)nlayers ? 0 : nlayers, least, most, total);
    tt_sheet_cell(sheet, "%s", "");
}

static void print_parameters(const struct tt_term *term, const struct job *job)
{
    static const char *const groups[] = {"attention", "cross attention", "feed-forward", "norms"};
    const struct tt_sizes *s = &job->sizes;
    struct tt_sheet *sheet = tt_sheet_new(parameter_columns, 6);
    tt_heading(term, "Parameters");
    for (int i = 0; i < s->nrows; i++)
        add_component(sheet, job, &s->rows[i]);
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        add_group(sheet, job, groups[i]);
    int nlayers = tt_graph_nlayers(job->graph);
    bool alike = s->blocks % (uint64_t)nlayers == 0;
    add_line(sheet, job, "all layers", alike ? nlayers : 0, s->blocks / (uint64_t)nlayers, s->blocks / (uint64_t)nlayers, s->blocks);
    tt_sheet_cell(sheet, "%s", "");
    add_line(sheet, job, "total", 0, 0, 0, s->total);
    tt_sheet_cell(sheet, "%s", "");
    tt_sheet_print(sheet, term);
    tt_sheet_free(sheet);
}

/* "15.8M", "1.24B" */
static const char *short_count(uint64_t n, char *text, size_t size)
{
    static const struct {
        double unit;
        const char *name;
    } units[] = {{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "K"}, {1, ""}};
    size_t i = 0;
    while (units[i].unit > 1 && (double)n < units[i].unit)
        i++;
    snprintf(text, size, "%.*f%s", units[i].unit > 1 ? ((double)n / units[i].unit < 10 ? 2 : 1) : 0, (double)n / units[i].unit,
             units[i].name);
    return text;
}

static void print_types(const struct tt_term *term, const struct job *job)
{
    const struct tt_sizes *s = &job->sizes;
    uint64_t bytes = 0;
    for (int i = 0; i < s->ntypes && has_types(job); i++) {
        bytes += s->types[i].bytes;
        tt_fact(term, i ? "" : "bytes", "%s in %s: %s parameters", tt_bytes(s->types[i].bytes).text,
                tt_dtype_info(s->types[i].dtype)->name, tt_count(s->types[i].parameters).text);
    }
    if (has_types(job) && s->ntypes > 1)
        tt_fact(term, "", "%s altogether", tt_bytes(bytes).text);
    if (!has_types(job))
        tt_fact(term, "bytes", "%s in f32, %s in f16 or bf16", tt_bytes(4 * s->total).text, tt_bytes(2 * s->total).text);
}

static void print_totals(const struct tt_term *term, const struct job *job)
{
    const struct tt_sizes *s = &job->sizes;
    char text[32];
    tt_fact(term, "total", "%s (%s)%s", tt_count(s->total).text, short_count(s->total, text, sizeof text),
            s->tied ? ", tied weights counted once" : "");
    tt_fact(term, "", "%s without embeddings and head", tt_count(s->total - s->embedding).text);
    if (s->active != s->total)
        tt_fact(term, "active", "%s (%s) for one token, %.1f %%", tt_count(s->active).text,
                short_count(s->active, text, sizeof text), share(job, s->active));
    print_types(term, job);
    if (s->cache)
        tt_fact(term, "KV cache", "%s a token in f16, %s in f32: %s values in %s", tt_bytes(2 * s->cache).text,
                tt_bytes(4 * s->cache).text, tt_count(s->cache).text, tt_plural((uint64_t)s->cached_layers, "layer").text);
    if (s->windowed)
        tt_fact(term, "", "%s of the values only for the last %s tokens", tt_count(s->windowed).text,
                tt_count((uint64_t)s->window).text);
    if (job->context > 0)
        tt_fact(term, "", "%s in f16 at %s tokens", tt_bytes(2 * tt_cache_values(job->graph, job->context)).text,
                tt_count((uint64_t)job->context).text);
}

static int report(struct tt_context *context, const struct job *job)
{
    if (context->json)
        return tt_emit_json(context, document(job), TT_STATUS_MATCH);
    struct tt_term term = tt_term_open(context->out, context->color, context->md);
    tt_heading(&term, "%s (%s, %s)", tt_model_path(job->model), tt_graph_family(job->graph), tt_model_scheme(job->model));
    print_configuration(&term, job);
    print_parameters(&term, job);
    print_totals(&term, job);
    return TT_STATUS_MATCH;
}

static int run_params(struct tt_context *context)
{
    struct job job = {0};
    int64_t tokens = tt_option_integer(context->options, "context", 1);
    int status = tokens < 1 ? tt_fail(&context->error, TT_EINPUT, "--context %lld: expected at least one token", (long long)tokens)
                            : open_job(context, &job);
    if (!status)
        status = report(context, &job);
    close_job(&job);
    return status;
}

static const struct tt_option options[] = {
    {"set", 0, TT_OPTION_LIST, "NAME=VALUE", "replace a setting, by our name or the file's; what follows from it follows", NULL,
     NULL},
    {"context", 0, TT_OPTION_INTEGER, "TOKENS", "tell the cache's size at this context, too", NULL, NULL},
    {0},
};

const struct tt_command tt_command_params = {
    .name = "params",
    .summary = "configuration, parameters by component, bytes, KV cache",
    .usage = "[options] MODEL [--set NAME=VALUE]…",
    .description = "MODEL is what --model takes, or a config.json without weights. Tied weights are counted once. With "
                   "--set the sizes are those that the model would have: settings that followed from others in the file "
                   "(a head size that is hidden / heads) follow the new ones, stated ones stay.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run_params,
};
