/* SPDX-License-Identifier: Apache-2.0
 *
 * Options from tables: the command line, and what was given. The job file is read by options_job.c.
 */
#include "base/options_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

struct tt_options *tt_options_new(const struct tt_option *own, const struct tt_option *common)
{
    struct tt_options *options = tt_alloc(sizeof *options);
    options->tables[0] = own;
    options->tables[1] = common;
    options->args = tt_alloc_array(1, sizeof *options->args);
    return options;
}

void tt_options_free(struct tt_options *options)
{
    if (!options)
        return;
    for (size_t i = 0; i < options->nowned; i++)
        free(options->owned[i]);
    free(options->owned);
    free(options->values);
    free(options->args);
    tt_string_free(&options->skipped);
    free(options);
}

const struct tt_option *tt_options_find(const struct tt_options *options, const char *name, size_t length, char letter)
{
    for (int t = 0; t < 2; t++)
        for (const struct tt_option *option = options->tables[t]; option && option->name; option++)
            if (name ? strlen(option->name) == length && strncmp(option->name, name, length) == 0
                     : option->letter == letter)
                return option;
    return NULL;
}

int tt_options_unknown(const struct tt_options *options, const char *name, const char *where, struct tt_error *error)
{
    const char *names[256];
    size_t count = 0;
    for (int t = 0; t < 2; t++)
        for (const struct tt_option *option = options->tables[t]; option && option->name; option++)
            if (count < 256)
                names[count++] = option->name;
    const char *near = tt_nearest(name, names, count);
    if (near)
        return tt_fail(error, TT_EINPUT, "unknown option --%s%s; did you mean --%s?", name, where, near);
    return tt_fail(error, TT_EINPUT, "unknown option --%s%s; see --help", name, where);
}

/* `choices` is "a|b|c". */
static bool is_choice(const char *choices, const char *text)
{
    size_t length = strlen(text);
    for (const char *at = choices; at; at = strchr(at, '|')) {
        at += *at == '|';
        if (strncmp(at, text, length) == 0 && (at[length] == '|' || at[length] == 0))
            return true;
    }
    return false;
}

static int convert(struct tt_option_value *value, struct tt_error *error)
{
    const struct tt_option *option = value->option;
    const char *wanted = NULL;
    uint64_t bytes = 0;
    if (option->type == TT_OPTION_INTEGER && !tt_parse_integer(value->text, &value->integer))
        wanted = "an integer";
    if (option->type == TT_OPTION_NUMBER && !tt_parse_number(value->text, &value->number))
        wanted = "a number";
    if (option->type == TT_OPTION_SIZE && !tt_parse_size(value->text, &bytes))
        wanted = "a size like 512M or 2G";
    if (option->choices && !is_choice(option->choices, value->text))
        wanted = option->choices;
    if (wanted)
        return tt_fail(error, TT_EINPUT, "--%s: '%s' is not %s%s", option->name, value->text,
                       wanted == option->choices ? "one of " : "", wanted);
    if (option->type == TT_OPTION_SIZE)
        value->integer = (int64_t)bytes;
    return 0;
}

int tt_options_set(struct tt_options *options, const struct tt_option *option, const char *text, bool from_file,
                   struct tt_error *error)
{
    struct tt_option_value value = {.option = option, .text = text, .from_file = from_file};
    if (text && convert(&value, error) != 0)
        return -1;
    options->values = tt_grow(options->values, options->nvalues + 1, sizeof value);
    options->values[options->nvalues++] = value;
    return 0;
}

void tt_options_add_arg(struct tt_options *options, const char *text)
{
    options->args = tt_grow(options->args, options->nargs + 2, sizeof *options->args);
    options->args[options->nargs++] = text;
    options->args[options->nargs] = NULL;
}

/* argv[*index] is `--name` or `--name=value`; moves *index past a value taken from the next word. */
static int parse_long(struct tt_options *options, int argc, char *const *argv, int *index,
                      struct tt_error *error)
{
    const char *name = argv[*index] + 2;
    const char *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const struct tt_option *option = tt_options_find(options, name, length, 0);
    if (!option) {
        char *word = tt_format("%.*s", (int)length, name);
        tt_options_unknown(options, word, "", error);
        free(word);
        return -1;
    }
    const char *text = equals ? equals + 1 : option->implied;
    if (option->type == TT_OPTION_FLAG && equals)
        return tt_fail(error, TT_EINPUT, "--%s takes no value", option->name);
    if (option->type != TT_OPTION_FLAG && !text) {
        if (*index + 1 >= argc)
            return tt_fail(error, TT_EINPUT, "--%s needs a value: --%s %s", option->name, option->name,
                           option->argument);
        text = argv[++*index];
    }
    return tt_options_set(options, option, text, false, error);
}

/* argv[*index] is `-abc`: flags, the last one may take the rest of the word or the next word as its value. */
static int parse_letters(struct tt_options *options, int argc, char *const *argv, int *index,
                         struct tt_error *error)
{
    for (const char *letter = argv[*index] + 1; *letter; letter++) {
        const struct tt_option *option = tt_options_find(options, NULL, 0, *letter);
        if (!option)
            return tt_fail(error, TT_EINPUT, "unknown option -%c; see --help", *letter);
        if (option->type == TT_OPTION_FLAG || option->implied) {
            if (tt_options_set(options, option, option->implied, false, error) != 0)
                return -1;
            continue;
        }
        if (!letter[1] && *index + 1 >= argc)
            return tt_fail(error, TT_EINPUT, "-%c needs a value: -%c %s", *letter, *letter, option->argument);
        return tt_options_set(options, option, letter[1] ? letter + 1 : argv[++*index], false, error);
    }
    return 0;
}

int tt_options_parse(struct tt_options *options, int argc, char *const *argv, bool options_first,
                     struct tt_error *error)
{
    bool ended = false;
    for (int i = 0; i < argc; i++) {
        int result = 0;
        const char *word = argv[i];
        if (ended || word[0] != '-' || !word[1]) {
            tt_options_add_arg(options, word);
            ended = ended || options_first;
        } else if (strcmp(word, "--") == 0) {
            ended = true;
        } else if (word[1] == '-') {
            result = parse_long(options, argc, argv, &i, error);
        } else {
            result = parse_letters(options, argc, argv, &i, error);
        }
        if (result != 0)
            return -1;
    }
    return 0;
}

static const struct tt_option_value *last_value(const struct tt_options *options, const char *name)
{
    const struct tt_option *option = tt_options_find(options, name, strlen(name), 0);
    assert(option);
    for (size_t i = options->nvalues; i > 0; i--)
        if (options->values[i - 1].option == option)
            return &options->values[i - 1];
    return NULL;
}

bool tt_options_have(const struct tt_options *options, const char *name)
{
    return tt_options_find(options, name, strlen(name), 0) != NULL;
}

bool tt_option_flag(const struct tt_options *options, const char *name)
{
    return last_value(options, name) != NULL;
}

const char *tt_option_text(const struct tt_options *options, const char *name)
{
    const struct tt_option_value *value = last_value(options, name);
    return value ? value->text : NULL;
}

int64_t tt_option_integer(const struct tt_options *options, const char *name, int64_t fallback)
{
    const struct tt_option_value *value = last_value(options, name);
    return value ? value->integer : fallback;
}

double tt_option_number(const struct tt_options *options, const char *name, double fallback)
{
    const struct tt_option_value *value = last_value(options, name);
    return value ? value->number : fallback;
}

size_t tt_option_count(const struct tt_options *options, const char *name)
{
    const struct tt_option *option = tt_options_find(options, name, strlen(name), 0);
    size_t count = 0;
    for (size_t i = 0; i < options->nvalues; i++)
        count += options->values[i].option == option;
    return count;
}

const char *tt_option_text_at(const struct tt_options *options, const char *name, size_t index)
{
    const struct tt_option *option = tt_options_find(options, name, strlen(name), 0);
    for (size_t i = 0; i < options->nvalues; i++)
        if (options->values[i].option == option && index-- == 0)
            return options->values[i].text;
    return NULL;
}

size_t tt_options_nargs(const struct tt_options *options)
{
    return options->nargs;
}

const char *const *tt_options_args(const struct tt_options *options)
{
    return options->args;
}
