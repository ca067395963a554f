/* SPDX-License-Identifier: Apache-2.0
 *
 * The last lines of `tensortap run`: what was captured, what was not and why, what to type next.
 */
#include "commands/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/program.h"
#include "base/text.h"
#include "commands/summary.h"
#include "report/sheet.h"

#define MOST_SHOWN 12 /* captures listed one by one */

/* "matmul 128, dot 12": calls by op. */
static char *ops_line(const struct tt_summary *summary)
{
    struct tt_string line = {0};
    for (size_t i = 0; i < summary->nroutines; i++) {
        const char *op = summary->routines[i].op;
        uint64_t calls = 0;
        bool told = false;
        for (size_t k = 0; k < summary->nroutines; k++) {
            bool same = strcmp(summary->routines[k].op, op) == 0;
            told = told || (same && k < i);
            calls += same ? summary->routines[k].calls : 0;
        }
        if (!told)
            tt_string_add(&line, "%s%s %s", line.length ? ", " : "", op, tt_count(calls).text);
    }
    return line.text ? line.text : tt_strdup("no call");
}

static void say_gaps(const struct tt_capture *capture, const struct tt_summary *summary)
{
    struct tt_gaps gaps = tt_summary_gaps(capture, summary);
    for (size_t i = 0; i < gaps.count; i++)
        fprintf(stderr, "  %s %s\n", i ? "             " : "not captured:", gaps.lines[i]);
    tt_gaps_free(&gaps);
}

static void say_capture(const char *path)
{
    struct tt_error error;
    struct tt_capture *capture = tt_capture_open(path, &error);
    if (!capture) {
        fprintf(stderr, "tensortap run: %s\n", error.message);
        return;
    }
    struct tt_summary summary = tt_summary_of(capture);
    char *ops = ops_line(&summary);
    fprintf(stderr, "tensortap: %s: %s in %s, %s\n", path, ops, tt_plural(summary.epochs, "epoch").text,
            tt_bytes(summary.disk_bytes).text);
    say_gaps(capture, &summary);
    free(ops);
    tt_summary_free(&summary);
    tt_capture_close(capture);
}

/* The probable reason why no capture was made; owned by the caller. */
static char *reason_for_nothing(const struct tt_context *context)
{
    const char *mode = getenv("TENSORTAP_MODE"), *programs = getenv("TENSORTAP_PROGRAMS");
    struct tt_program program = tt_program_examine(context->args[0]);
    char *reason;
    if (mode && strcmp(mode, "off") == 0)
        reason = tt_strdup("the mode is off");
    else if (program.kind == TT_PROGRAM_MISSING)
        reason = tt_format("%s cannot be examined", context->args[0]);
    else if (program.kind == TT_PROGRAM_STATIC)
        reason = tt_format("%s is a static executable, which LD_PRELOAD does not reach", program.path);
    else if (program.kind == TT_PROGRAM_FOREIGN)
        reason = tt_format("%s is built for another architecture", program.path);
    else if (program.kind == TT_PROGRAM_OTHER)
        reason = tt_format("%s is no ELF program", program.path);
    else if (program.privileged)
        reason =
            tt_format("%s is set-uid or has file capabilities: the loader drops LD_PRELOAD", program.path);
    else if (programs && *programs)
        reason = tt_format("only programs that match '%s' are captured", programs);
    else if (program.nimports)
        reason = tt_format("%s imports %s, but no tapped call was made", program.importer, program.import);
    else
        reason =
            tt_format("%s and its %s import no BLAS routine, and nothing loaded later was seen calling one",
                      program.path, tt_plural(program.nlibraries, "needed library").text);
    tt_program_free(&program);
    return reason;
}

static const char *next_command(void)
{
    return tt_command_find("verify") ? "verify" : "info";
}

static void say(const struct tt_context *context, const char *directory, const struct tt_paths *made,
                const struct tt_run_result *result)
{
    if (result->signal)
        fprintf(stderr, "tensortap: %s was ended by signal %d (%s)\n", context->args[0], result->signal,
                strsignal(result->signal));
    for (size_t i = 0; i < made->count && i < MOST_SHOWN; i++)
        say_capture(made->paths[i]);
    if (made->count > MOST_SHOWN)
        fprintf(stderr, "tensortap: and %zu more captures in %s\n", made->count - MOST_SHOWN, directory);
    if (made->count && tt_option_flag(context->options, "verify"))
        return;
    if (made->count) {
        fprintf(stderr, "tensortap: next: tensortap %s %s\n", next_command(),
                made->count == 1 ? made->paths[0] : directory);
        return;
    }
    char *reason = reason_for_nothing(context);
    fprintf(stderr, "tensortap: nothing captured: %s\n", reason);
    free(reason);
}

static cJSON *document_of(const struct tt_context *context, const struct tt_paths *made,
                          const struct tt_run_result *result)
{
    cJSON *document = tt_json_document("run");
    cJSON *command = cJSON_AddArrayToObject(document, "command");
    for (char *const *word = result->argv; *word; word++)
        cJSON_AddItemToArray(command, cJSON_CreateString(*word));
    cJSON_AddNumberToObject(document, "status", result->status);
    if (result->signal)
        cJSON_AddNumberToObject(document, "signal", result->signal);
    tt_json_add_number(document, "seconds", result->seconds);
    cJSON_AddStringToObject(document, "directory", getenv("TENSORTAP_OUT"));
    cJSON *captures = cJSON_AddArrayToObject(document, "captures");
    for (size_t i = 0; i < made->count; i++) {
        struct tt_error error;
        struct tt_capture *capture = tt_capture_open(made->paths[i], &error);
        struct tt_summary summary = capture ? tt_summary_of(capture) : (struct tt_summary){0};
        cJSON *entry = capture ? tt_summary_json(capture, &summary) : cJSON_CreateObject();
        if (!capture) {
            cJSON_AddStringToObject(entry, "capture", made->paths[i]);
            cJSON_AddStringToObject(entry, "error", error.message);
        }
        cJSON_AddItemToArray(captures, entry);
        tt_summary_free(&summary);
        tt_capture_close(capture);
    }
    if (!made->count) {
        char *reason = reason_for_nothing(context);
        cJSON_AddStringToObject(document, "nothing_captured", reason);
        free(reason);
    }
    return document;
}

void tt_run_say(struct tt_context *context, const char *directory, const struct tt_paths *made,
                const struct tt_run_result *result)
{
    if (!context->quiet)
        say(context, directory, made, result);
}

void tt_run_emit(struct tt_context *context, const struct tt_paths *made, const struct tt_run_result *result,
                 struct tt_run_verdict *verdict)
{
    cJSON *document = document_of(context, made, result);
    cJSON *entry = cJSON_GetObjectItemCaseSensitive(document, "captures")->child;
    if (verdict)
        cJSON_AddStringToObject(document, "verdict", verdict->overall);
    for (size_t i = 0; verdict && verdict->documents && i < made->count && entry; i++, entry = entry->next) {
        if (verdict->documents[i])
            cJSON_AddItemToObject(entry, "verdict", verdict->documents[i]);
        verdict->documents[i] = NULL;
    }
    tt_json_print(context->out, document, 0, NULL);
    cJSON_Delete(document);
}
