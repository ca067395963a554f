/* SPDX-License-Identifier: Apache-2.0
 *
 * Options from tables: the command line first, then the job file for what it left open.
 *
 * Every value goes through set_value, so a job file is checked exactly as the command line is.
 */
#include "base/options.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/json.h"
#include "base/text.h"

struct value {
    const struct tt_option *option;
    const char *text; /* NULL for flags */
    int64_t integer;
    double number;
    bool from_file;
};

struct tt_options {
    const struct tt_option *tables[2]; /* the command's own, the common ones */
    struct value *values;
    size_t nvalues;
    const char **args; /* nargs entries and NULL */
    size_t nargs;
    char **owned; /* texts made for a job file */
    size_t nowned;
};

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
    free(options);
}

/* A name of `length` bytes, or (name NULL) a letter. */
static const struct tt_option *find(const struct tt_options *options, const char *name, size_t length,
                                    char letter)
{
    for (int t = 0; t < 2; t++)
        for (const struct tt_option *option = options->tables[t]; option && option->name; option++)
            if (name ? strlen(option->name) == length && strncmp(option->name, name, length) == 0
                     : option->letter == letter)
                return option;
    return NULL;
}

static int unknown_option(const struct tt_options *options, const char *name, const char *where,
                          struct tt_error *error)
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

static int convert(struct value *value, struct tt_error *error)
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

static int set_value(struct tt_options *options, const struct tt_option *option, const char *text,
                     bool from_file, struct tt_error *error)
{
    struct value value = {.option = option, .text = text, .from_file = from_file};
    if (text && convert(&value, error) != 0)
        return -1;
    options->values = tt_grow(options->values, options->nvalues + 1, sizeof value);
    options->values[options->nvalues++] = value;
    return 0;
}

static void add_arg(struct tt_options *options, const char *text)
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
    const struct tt_option *option = find(options, name, length, 0);
    if (!option) {
        char *word = tt_format("%.*s", (int)length, name);
        unknown_option(options, word, "", error);
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
    return set_value(options, option, text, false, error);
}

/* argv[*index] is `-abc`: flags, the last one may take the rest of the word or the next word as its value. */
static int parse_letters(struct tt_options *options, int argc, char *const *argv, int *index,
                         struct tt_error *error)
{
    for (const char *letter = argv[*index] + 1; *letter; letter++) {
        const struct tt_option *option = find(options, NULL, 0, *letter);
        if (!option)
            return tt_fail(error, TT_EINPUT, "unknown option -%c; see --help", *letter);
        if (option->type == TT_OPTION_FLAG || option->implied) {
            if (set_value(options, option, option->implied, false, error) != 0)
                return -1;
            continue;
        }
        if (!letter[1] && *index + 1 >= argc)
            return tt_fail(error, TT_EINPUT, "-%c needs a value: -%c %s", *letter, *letter, option->argument);
        return set_value(options, option, letter[1] ? letter + 1 : argv[++*index], false, error);
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
            add_arg(options, word);
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

static bool given_on_command_line(const struct tt_options *options, const struct tt_option *option)
{
    for (size_t i = 0; i < options->nvalues; i++)
        if (options->values[i].option == option && !options->values[i].from_file)
            return true;
    return false;
}

static const char *own_text(struct tt_options *options, char *text)
{
    options->owned = tt_grow(options->owned, options->nowned + 1, sizeof *options->owned);
    options->owned[options->nowned++] = text;
    return text;
}

/* Text of a JSON scalar, NULL for anything else. */
static const char *scalar_text(struct tt_options *options, const cJSON *item)
{
    if (cJSON_IsString(item))
        return own_text(options, tt_strdup(item->valuestring));
    if (cJSON_IsNumber(item))
        return own_text(options, tt_format("%.17g", item->valuedouble));
    return NULL;
}

static int load_values(struct tt_options *options, const struct tt_option *option, const cJSON *item,
                       const char *path, struct tt_error *error)
{
    if (option->type == TT_OPTION_FLAG && cJSON_IsBool(item))
        return cJSON_IsTrue(item) ? set_value(options, option, NULL, true, error) : 0;
    const cJSON *one = cJSON_IsArray(item) && option->type == TT_OPTION_LIST ? item->child : item;
    for (; one; one = one == item ? NULL : one->next) {
        const char *text = option->type == TT_OPTION_FLAG ? NULL : scalar_text(options, one);
        if (!text)
            return tt_fail(error, TT_EINPUT, "%s: \"%s\" has to be %s", path, option->name,
                           option->type == TT_OPTION_FLAG ? "true or false" : "a string or number");
        if (set_value(options, option, text, true, error) != 0)
            return -1;
    }
    return 0;
}

static int load_args(struct tt_options *options, const cJSON *item, const char *path, struct tt_error *error)
{
    if (options->nargs) /* the command line wins */
        return 0;
    if (!cJSON_IsArray(item))
        return tt_fail(error, TT_EINPUT, "%s: \"args\" has to be an array of strings", path);
    for (const cJSON *one = item->child; one; one = one->next) {
        const char *text = scalar_text(options, one);
        if (!text)
            return tt_fail(error, TT_EINPUT, "%s: \"args\" has to be an array of strings", path);
        add_arg(options, text);
    }
    return 0;
}

static int load_member(struct tt_options *options, const cJSON *item, const char *path, const char *command,
                       struct tt_error *error)
{
    if (strcmp(item->string, "args") == 0)
        return load_args(options, item, path, error);
    if (strcmp(item->string, "command") == 0) {
        if (cJSON_IsString(item) && strcmp(item->valuestring, command) == 0)
            return 0;
        return tt_fail(error, TT_EINPUT, "%s: this job is for another command than %s", path, command);
    }
    const struct tt_option *option = find(options, item->string, strlen(item->string), 0);
    if (!option) {
        char *where = tt_format(" in %s", path);
        unknown_option(options, item->string, where, error);
        free(where);
        return -1;
    }
    if (given_on_command_line(options, option))
        return 0;
    return load_values(options, option, item, path, error);
}

int tt_options_load(struct tt_options *options, const char *path, const char *command, struct tt_error *error)
{
    cJSON *job = tt_json_read(path, error);
    if (!job)
        return -1;
    int result = 0;
    if (!cJSON_IsObject(job))
        result =
            tt_fail(error, TT_EINPUT, "%s: a job file is one JSON object of option names and values", path);
    for (const cJSON *item = result == 0 ? job->child : NULL; item && result == 0; item = item->next)
        result = load_member(options, item, path, command, error);
    cJSON_Delete(job);
    return result;
}

static const struct value *last_value(const struct tt_options *options, const char *name)
{
    const struct tt_option *option = find(options, name, strlen(name), 0);
    assert(option);
    for (size_t i = options->nvalues; i > 0; i--)
        if (options->values[i - 1].option == option)
            return &options->values[i - 1];
    return NULL;
}

bool tt_option_flag(const struct tt_options *options, const char *name)
{
    return last_value(options, name) != NULL;
}

const char *tt_option_text(const struct tt_options *options, const char *name)
{
    const struct value *value = last_value(options, name);
    return value ? value->text : NULL;
}

int64_t tt_option_integer(const struct tt_options *options, const char *name, int64_t fallback)
{
    const struct value *value = last_value(options, name);
    return value ? value->integer : fallback;
}

double tt_option_number(const struct tt_options *options, const char *name, double fallback)
{
    const struct value *value = last_value(options, name);
    return value ? value->number : fallback;
}

size_t tt_option_count(const struct tt_options *options, const char *name)
{
    const struct tt_option *option = find(options, name, strlen(name), 0);
    size_t count = 0;
    for (size_t i = 0; i < options->nvalues; i++)
        count += options->values[i].option == option;
    return count;
}

const char *tt_option_text_at(const struct tt_options *options, const char *name, size_t index)
{
    const struct tt_option *option = find(options, name, strlen(name), 0);
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
