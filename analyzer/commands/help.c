/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap help [COMMAND]: the table of commands, or the page of one.
 */
#include "commands/command.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"

static int help_width(FILE *out)
{
    struct winsize size;
    if (isatty(fileno(out)) && ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col >= 60)
        return size.ws_col < 100 ? size.ws_col : 100;
    return 80;
}

void tt_print_overview(FILE *out)
{
    fputs("tensortap finds the layer component of an LLM engine that first computes wrong numbers.\n\n"
          "usage: tensortap COMMAND [options] [arguments]\n\n",
          out);
    for (const struct tt_command *const *command = tt_commands; *command; command++)
        fprintf(out, "  %-10s %s\n", (*command)->name, (*command)->summary);
    fputs("\n'tensortap COMMAND --help' tells the rest. Start with: tensortap run -o captures -- PROGRAM\n",
          out);
}

/* Each line of the usage text after its own "tensortap NAME". */
static void print_usage(FILE *out, const struct tt_command *command)
{
    const char *lead = "usage:";
    for (const char *line = command->usage; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        fprintf(out, "%s tensortap %s %.*s\n", lead, command->name, (int)strcspn(line, "\n"), line);
        lead = "      ";
    }
}

/* Paragraphs are divided by line ends, one or more. */
static void print_description(FILE *out, const char *description, int width)
{
    for (const char *at = description; at; at = strchr(at, '\n')) {
        at += strspn(at, "\n");
        char *paragraph = tt_format("%.*s", (int)strcspn(at, "\n"), at);
        fputc('\n', out);
        tt_print_wrapped(out, paragraph, 0, width);
        free(paragraph);
    }
}

void tt_print_help(FILE *out, const struct tt_command *command)
{
    int width = help_width(out);
    fprintf(out, "tensortap %s - %s\n\n", command->name, command->summary);
    print_usage(out, command);
    print_description(out, command->description, width);
    if (command->options && command->options->name) {
        fputs("\nOptions:\n", out);
        tt_options_print(out, command->options, NULL, width);
    }
    fputs("\nCommon options:\n", out);
    tt_options_print(out, tt_common_options, command->options, width);
}

/* Enough for shell completion and for front ends. */
static cJSON *options_json(const struct tt_option *table)
{
    cJSON *list = cJSON_CreateArray();
    for (; table && table->name; table++) {
        const char letter[] = {table->letter, 0};
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "name", table->name);
        if (table->letter)
            cJSON_AddStringToObject(entry, "letter", letter);
        if (table->argument)
            cJSON_AddStringToObject(entry, "argument", table->argument);
        if (table->choices)
            cJSON_AddStringToObject(entry, "choices", table->choices);
        cJSON_AddStringToObject(entry, "help", table->help);
        cJSON_AddItemToArray(list, entry);
    }
    return list;
}

static cJSON *overview_document(void)
{
    cJSON *document = tt_json_document("help");
    cJSON *list = cJSON_AddArrayToObject(document, "commands");
    for (const struct tt_command *const *command = tt_commands; *command; command++) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "name", (*command)->name);
        cJSON_AddStringToObject(entry, "summary", (*command)->summary);
        cJSON_AddStringToObject(entry, "usage", (*command)->usage);
        cJSON_AddItemToObject(entry, "options", options_json((*command)->options));
        cJSON_AddItemToArray(list, entry);
    }
    cJSON_AddItemToObject(document, "common_options", options_json(tt_common_options));
    return document;
}

static int run_help(struct tt_context *context)
{
    const struct tt_command *command = context->nargs ? tt_command_find(context->args[0]) : NULL;
    if (context->nargs && !command)
        return tt_fail(&context->error, TT_EINPUT, "no command '%s'; 'tensortap help' lists them",
                       context->args[0]);
    if (context->json)
        return tt_emit_json(context, overview_document(), 0);
    if (command)
        tt_print_help(context->out, command);
    else
        tt_print_overview(context->out);
    return 0;
}

const struct tt_command tt_command_help = {
    .name = "help",
    .summary = "this table, or the page of one command",
    .usage = "[COMMAND]",
    .min_args = 0,
    .max_args = 1,
    .run = run_help,
};
