/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap info: what a capture is, what it holds and what it lacks.
 */
#include "commands/command.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/json.h"
#include "base/text.h"
#include "commands/epoch_forms.h"
#include "commands/summary.h"
#include "report/sheet.h"

/* Libraries that compute; the others of a process are noise here. */
static const char *const computing_libraries[] = {
    "*blas*",  "*mkl*",      "*blis*",   "*dnnl*",   "*onednn*",   "*ggml*",
    "*llama*", "*libtorch*", "*cublas*", "*cudart*", "*libcuda.*",
};

static const cJSON *member(const struct tt_capture *capture, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(tt_capture_manifest(capture), key);
}

/* Entries of a manifest list are texts or objects with a path. */
static const char *path_of(const cJSON *entry)
{
    const cJSON *path = cJSON_GetObjectItemCaseSensitive(entry, "path");
    return cJSON_IsString(entry) ? entry->valuestring : cJSON_GetStringValue(path);
}

static bool computes(const char *path)
{
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    for (size_t i = 0; i < sizeof computing_libraries / sizeof *computing_libraries; i++)
        if (tt_glob(computing_libraries[i], name))
            return true;
    return false;
}

static void print_models(const struct tt_term *term, const struct tt_capture *capture)
{
    const char *key = "model files";
    const cJSON *entry;
    cJSON_ArrayForEach (entry, member(capture, "model_files")) {
        struct stat info;
        const char *path = path_of(entry);
        if (!path)
            continue;
        if (stat(path, &info) == 0)
            tt_fact(term, key, "%s (%s)", path, tt_bytes((uint64_t)info.st_size).text);
        else
            tt_fact(term, key, "%s (no longer there)", path);
        key = "";
    }
}

static void print_libraries(const struct tt_term *term, const struct tt_capture *capture)
{
    const char *key = "libraries";
    const cJSON *entry;
    cJSON_ArrayForEach (entry, member(capture, "libraries")) {
        const char *path = path_of(entry);
        const char *build = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "build_id"));
        if (!path || !computes(path))
            continue;
        tt_fact(term, key, "%s%s%.12s", path, build && *build ? ", build " : "", build ? build : "");
        key = "";
    }
}

/* "data 120 (1.2 MiB), file 30 (4 MiB)" */
static char *kept_line(const struct tt_summary *summary)
{
    struct tt_string line = {0};
    for (int kept = 1; kept < TT_KEPT_COUNT; kept++)
        if (summary->kept[kept])
            tt_string_add(&line, "%s%s %s (%s)", line.length ? ", " : "", tt_kept_name((enum tt_kept)kept),
                          tt_count(summary->kept[kept]).text, tt_bytes(summary->kept_bytes[kept]).text);
    return line.text ? line.text : tt_strdup("nothing");
}

static void print_contents(const struct tt_term *term, const struct tt_summary *summary)
{
    char *kept = kept_line(summary);
    tt_fact(term, "calls", "%s in %s on %s over %s", tt_count(summary->calls).text,
            tt_plural(summary->epochs, "epoch").text, tt_plural(summary->threads, "thread").text,
            tt_seconds(summary->seconds).text);
    tt_fact(term, "operands", "%s: %s", tt_count(summary->operands).text, kept);
    if (summary->nonfinite)
        tt_fact(term, "", "%s%s with NaN or Inf%s", tt_style_begin(term, TT_RED),
                tt_plural(summary->nonfinite, "operand").text, tt_style_end(term, TT_RED));
    if (summary->repeats)
        tt_fact(term, "stored once", "%s not stored again, %s saved",
                tt_plural(summary->repeats, "repeat").text, tt_bytes(summary->repeat_bytes).text);
    tt_fact(term, "on disk", "%s", tt_bytes(summary->disk_bytes).text);
    free(kept);
}

static void print_gaps(const struct tt_term *term, const struct tt_capture *capture,
                       const struct tt_summary *summary)
{
    struct tt_gaps gaps = tt_summary_gaps(capture, summary);
    for (size_t i = 0; i < gaps.count; i++)
        tt_fact(term, i ? "" : "not captured", "%s%s%s", tt_style_begin(term, TT_YELLOW), gaps.lines[i],
                tt_style_end(term, TT_YELLOW));
    tt_gaps_free(&gaps);
}

static void print_routines(const struct tt_term *term, const struct tt_summary *summary)
{
    static const struct tt_column columns[] = {
        {"tap", TT_LEFT, TT_DIM, true},        {"op", TT_LEFT, TT_BOLD, false},
        {"routine", TT_LEFT, TT_PLAIN, false}, {"calls", TT_RIGHT, TT_PLAIN, false},
        {"epochs", TT_RIGHT, TT_PLAIN, true},  {"operands", TT_RIGHT, TT_PLAIN, true},
        {"bytes", TT_RIGHT, TT_PLAIN, true},
    };
    struct tt_sheet *table = tt_sheet_new(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < summary->nroutines; i++) {
        const struct tt_routine_summary *routine = &summary->routines[i];
        tt_sheet_cell(table, "%s", routine->tap);
        tt_sheet_cell(table, "%s", routine->op);
        tt_sheet_cell(table, "%s", routine->routine);
        tt_sheet_cell(table, "%s", tt_count(routine->calls).text);
        if (routine->first_epoch == routine->last_epoch)
            tt_sheet_cell(table, "%llu", (unsigned long long)routine->first_epoch);
        else
            tt_sheet_cell(table, "%llu-%llu", (unsigned long long)routine->first_epoch,
                          (unsigned long long)routine->last_epoch);
        tt_sheet_cell(table, "%s", tt_count(routine->operands).text);
        tt_sheet_cell(table, "%s", tt_bytes(routine->bytes).text);
    }
    if (tt_sheet_rows(table)) {
        fputc('\n', term->out);
        tt_sheet_print(table, term);
    }
    tt_sheet_free(table);
}

/* Seconds since 1970, shown in local time. */
static void print_started(const struct tt_term *term, const cJSON *started)
{
    char text[64];
    struct tm parts;
    time_t seconds = cJSON_IsNumber(started) ? (time_t)started->valuedouble : 0;
    if (seconds && localtime_r(&seconds, &parts) && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts))
        tt_fact(term, "started", "%s", text);
}

/* Settings that restrict what was kept; nothing where all are at their defaults. */
static void print_settings(const struct tt_term *term, const struct tt_capture *capture)
{
    static const char *const settings[] = {"select", "passes"};
    const char *level = tt_manifest_text(capture, "level", "data");
    if (strcmp(level, "data") != 0)
        tt_fact(term, "level", "%s", level);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (tt_manifest_text(capture, settings[i], NULL))
            tt_fact(term, settings[i], "%s", tt_manifest_text(capture, settings[i], NULL));
}

static void print_capture(const struct tt_term *term, const struct tt_capture *capture,
                          const struct tt_summary *summary)
{
    char *command = tt_manifest_command(capture);
    const cJSON *pid = member(capture, "pid");
    tt_heading(term, "%s", tt_capture_path(capture));
    if (cJSON_IsNumber(pid))
        tt_fact(term, "program", "%s, process %.0f", tt_manifest_text(capture, "program", "unknown"),
                pid->valuedouble);
    else
        tt_fact(term, "program", "%s", tt_manifest_text(capture, "program", "unknown"));
    if (*command)
        tt_fact(term, "command", "%s", command);
    print_started(term, member(capture, "started"));
    tt_fact(term, "path", "%s", tt_manifest_text(capture, "path", "unaltered"));
    print_settings(term, capture);
    print_models(term, capture);
    print_libraries(term, capture);
    print_contents(term, summary);
    tt_epoch_forms_print(term, capture);
    print_gaps(term, capture, summary);
    print_routines(term, summary);
    free(command);
}

static cJSON *capture_json(const struct tt_capture *capture, const struct tt_summary *summary)
{
    cJSON *object = tt_summary_json(capture, summary);
    cJSON_AddItemToObject(object, "epoch_forms", tt_epoch_forms_json(capture));
    cJSON_AddItemToObject(object, "manifest", cJSON_Duplicate(tt_capture_manifest(capture), 1));
    return object;
}

static int show_one(struct tt_context *context, const struct tt_term *term, const char *path, cJSON *list)
{
    struct tt_capture *capture = tt_capture_open(path, &context->error);
    if (!capture)
        return -1;
    struct tt_summary summary = tt_summary_of(capture);
    if (list)
        cJSON_AddItemToArray(list, capture_json(capture, &summary));
    else
        print_capture(term, capture, &summary);
    tt_summary_free(&summary);
    tt_capture_close(capture);
    return 0;
}

static int run_info(struct tt_context *context)
{
    struct tt_paths found = {0};
    struct tt_term term = tt_term_open(context->out, context->color, context->md);
    cJSON *document = context->json ? tt_json_document("info") : NULL;
    cJSON *list = document ? cJSON_AddArrayToObject(document, "captures") : NULL;
    int status = tt_find_captures(context, 0, &found);
    for (size_t i = 0; i < found.count && status == 0; i++) {
        if (i && !list)
            fputc('\n', context->out);
        status = show_one(context, &term, found.paths[i], list);
    }
    tt_paths_free(&found);
    if (status == 0 && document)
        return tt_emit_json(context, document, 0);
    cJSON_Delete(document);
    return status;
}

const struct tt_command tt_command_info = {
    .name = "info",
    .summary = "program, calls and sizes of a capture, and what it lacks",
    .usage = "[options] CAPTURE...",
    .description = "CAPTURE is a capture directory, or a directory with several of them.",
    .min_args = 1,
    .max_args = -1,
    .run = run_info,
};
