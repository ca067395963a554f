/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap: finds the command, fills its context, turns its answer into an exit status.
 *
 * Every failure leaves by report_error: one line on standard error, or one JSON document on standard
 * output under --json.
 */
#include "commands/command.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/progress.h"
#include "base/text.h"

#define X(name) &tt_command_##name,
const struct tt_command *const tt_commands[] = {TT_COMMANDS(X) NULL};
#undef X

const struct tt_option tt_common_options[] = {
    {"json", 0, TT_OPTION_FLAG, NULL, "one JSON document on standard output", NULL, NULL},
    {"md", 0, TT_OPTION_FLAG, NULL, "Markdown instead of plain text", NULL, NULL},
    {"model", 'm', TT_OPTION_TEXT, "MODEL",
     "model file, Hugging Face folder or cached id; default: the one the program opened", NULL, NULL},
    {"lora", 0, TT_OPTION_LIST, "ADAPTER[=SCALE]",
     "LoRA adapter on top of the model: PEFT folder or GGUF; SCALE on top of its own, default 1", NULL, NULL},
    {"select", 's', TT_OPTION_TEXT, "WHAT",
     "restrict to 'layer=0-1,pass<5,component=attn.*,op=matmul,token=-1'", NULL, NULL},
    {"out", 'o', TT_OPTION_TEXT, "FILE", "write the result to FILE", NULL, NULL},
    {"config", 0, TT_OPTION_TEXT, "JOB.json",
     "read options and arguments from a JSON object {\"name\": value, …}", NULL, NULL},
    {"focus", 0, TT_OPTION_TEXT, "VERDICT.json", "restrict to what an earlier verdict found", NULL, NULL},
    {"strict", 0, TT_OPTION_FLAG, NULL, "treat warnings and unexplained rows as failures", NULL, NULL},
    {"allow-partial", 0, TT_OPTION_FLAG, NULL, "exit 0 instead of 3 when something could not be measured",
     NULL, NULL},
    {"stop-at-first", 0, TT_OPTION_FLAG, NULL, "stop at the first divergence", NULL, NULL},
    {"color", 0, TT_OPTION_TEXT, "WHEN", "auto, always or never; auto respects NO_COLOR", "auto|always|never",
     "always"},
    {"quiet", 'q', TT_OPTION_FLAG, NULL, "no remarks on standard error", NULL, NULL},
    {"help", 'h', TT_OPTION_FLAG, NULL, "this text", NULL, NULL},
    {"version", 'V', TT_OPTION_FLAG, NULL, "print the version", NULL, NULL},
    {0},
};

const struct tt_command *tt_command_find(const char *name)
{
    for (const struct tt_command *const *command = tt_commands; *command; command++)
        if (strcmp((*command)->name, name) == 0)
            return *command;
    return NULL;
}

static int error_status(const struct tt_context *context)
{
    if (context->error_status)
        return context->error_status;
    return context->command->usage_status ? context->command->usage_status : TT_STATUS_ERROR;
}

/* Prints what is in *error and gives the exit status. `command` is NULL before one is known. */
static int report_error(const struct tt_command *command, int status, bool json, const struct tt_error *error)
{
    const char *name = command ? command->name : NULL;
    fflush(stdout);
    fprintf(stderr, "tensortap%s%s: %s\n", name ? " " : "", name ? name : "", error->message);
    if (json) {
        cJSON *document = tt_json_document("error");
        if (name)
            cJSON_AddStringToObject(document, "command", name);
        cJSON_AddStringToObject(document, "error", error->message);
        cJSON_AddNumberToObject(document, "status", status);
        tt_json_print(stdout, document, 0, NULL);
        cJSON_Delete(document);
    }
    return status;
}

/* Whether --json stands on a command line that could not be parsed. */
static bool asks_for_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

static int unknown_command(int argc, char **argv, const char *name)
{
    const char *names[64];
    struct tt_error error;
    size_t count = 0;
    for (; tt_commands[count] && count < 64; count++)
        names[count] = tt_commands[count]->name;
    const char *near = tt_nearest(name, names, count);
    if (name[0] == '-')
        tt_fail(&error, TT_EINPUT,
                "unknown option %s; options follow the command: tensortap COMMAND [options]", name);
    else if (near)
        tt_fail(&error, TT_EINPUT, "no command '%s'; did you mean %s?", name, near);
    else
        tt_fail(&error, TT_EINPUT, "no command '%s'; 'tensortap help' lists them", name);
    return report_error(NULL, TT_STATUS_ERROR, asks_for_json(argc, argv), &error);
}

static bool wants_color(const struct tt_context *context)
{
    const char *when = tt_option_text(context->options, "color");
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
    if (when && strcmp(when, "auto") != 0)
        return strcmp(when, "always") == 0;
    if (no_color && no_color[0])
        return false;
    return isatty(fileno(context->out)) && terminal && strcmp(terminal, "dumb") != 0;
}

static int check_args(struct tt_context *context)
{
    const struct tt_command *command = context->command;
    int count = (int)context->nargs;
    if (count < command->min_args)
        return tt_fail(&context->error, TT_EINPUT, "usage: tensortap %s %.*s", command->name,
                       (int)strcspn(command->usage, "\n"), command->usage);
    if (command->max_args >= 0 && count > command->max_args)
        return tt_fail(&context->error, TT_EINPUT, "unexpected argument '%s'; usage: tensortap %s %.*s",
                       context->args[command->max_args], command->name, (int)strcspn(command->usage, "\n"),
                       command->usage);
    return 0;
}

static int open_output(struct tt_context *context)
{
    context->out = stdout;
    if (!context->output || (context->command->flags & TT_COMMAND_OWN_OUTPUT))
        return 0;
    context->out = fopen(context->output, "w");
    if (context->out)
        return 0;
    context->out = stdout;
    return tt_fail(&context->error, TT_ESYSTEM, "cannot write %s: %s", context->output, strerror(errno));
}

/* Options, job file and arguments into the context. */
static int fill_context(struct tt_context *context)
{
    const struct tt_options *options = context->options;
    const struct tt_command *command = context->command;
    const char *job = tt_option_text(options, "config");
    struct tt_job what = {.command = command->name, .usage = command->usage, .related = command->related_keys};
    if (job && tt_options_load(context->options, job, &what, &context->error) != 0)
        return -1;
    context->nargs = tt_options_nargs(options);
    context->args = tt_options_args(options);
    context->json = tt_option_flag(options, "json");
    context->md = tt_option_flag(options, "md");
    context->strict = tt_option_flag(options, "strict");
    context->allow_partial = tt_option_flag(options, "allow-partial");
    context->stop_at_first = tt_option_flag(options, "stop-at-first");
    context->quiet = tt_option_flag(options, "quiet");
    if (context->quiet)
        tt_progress_silence();
    context->model = tt_option_text(options, "model");
    context->output = tt_option_text(options, "out");
    context->focus = tt_option_text(options, "focus");
    if (context->focus)
        return tt_fail(&context->error, TT_EINPUT, "--focus is not available in this version; use --select");
    context->select_text = tt_option_text(options, "select");
    if (context->select_text) {
        context->select = tt_select_parse(context->select_text, &context->error);
        if (!context->select)
            return -1;
    }
    if (tt_options_skipped(options))
        tt_note(context, "%s: %s not used by this command", job, tt_options_skipped(options));
    if (check_args(context) != 0 || open_output(context) != 0)
        return -1;
    context->color = !context->json && !context->md && wants_color(context);
    return 0;
}

/* A full disk or a closed pipe must not look like success. */
static int close_output(struct tt_context *context)
{
    int failed = !context->out ? 0 : context->out == stdout ? fflush(stdout) : fclose(context->out);
    context->out = NULL;
    if (!failed || errno == EPIPE)
        return 0;
    return tt_fail(&context->error, TT_ESYSTEM, "cannot write the output: %s", strerror(errno));
}

static int run_command(const struct tt_command *command, int argc, char **argv)
{
    struct tt_context context = {.command = command, .program = argv[0]};
    bool json = asks_for_json(argc, argv);
    int status = -1;
    context.options = tt_options_new(command->options, tt_common_options);
    if (tt_options_parse(context.options, argc - 2, argv + 2, command->flags & TT_COMMAND_OPTIONS_FIRST,
                         &context.error) != 0)
        goto done;
    json = tt_option_flag(context.options, "json");
    status = 0;
    if (tt_option_flag(context.options, "help"))
        tt_print_help(stdout, command);
    else if (tt_option_flag(context.options, "version"))
        puts("tensortap " TENSORTAP_VERSION);
    else
        status = fill_context(&context) == 0 ? command->run(&context) : -1;
    json = json || context.json;
    if (close_output(&context) != 0)
        status = -1;
done:
    if (status < 0)
        status = report_error(command, error_status(&context), json, &context.error);
    tt_select_free(context.select);
    tt_options_free(context.options);
    return status;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    /* Values of some megabytes come and go by the thousand: kept in the heap they cost no page faults. */
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    if (!name) {
        tt_print_overview(stderr);
        return TT_STATUS_ERROR;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        tt_print_overview(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts("tensortap " TENSORTAP_VERSION);
        return 0;
    }
    const struct tt_command *command = tt_command_find(name);
    return command ? run_command(command, argc, argv) : unknown_command(argc, argv, name);
}
