/* SPDX-License-Identifier: Apache-2.0
 *
 * Job files: a JSON object whose keys are option names, or the names of positional arguments as the usage line has
 * them, in lower case. The command line wins over the file.
 */
#include "base/options_private.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/json.h"

#define MOST_POSITIONALS 8

struct positional {
    char name[32];
    const cJSON *value; /* NULL: not in the file */
};

struct loading {
    struct tt_options *options;
    const char *path;
    const struct tt_job *job;
    struct positional positionals[MOST_POSITIONALS];
    size_t npositionals;
    bool args; /* the file has "args" */
    struct tt_error *error;
};

/* ---- names of positional arguments ---- */

/* "CAPTURE", "CAPTURE…", "[MODEL]" -> lower case; false: no positional argument. */
static bool positional_name(const char *word, size_t length, char *name, size_t room)
{
    size_t n = 0;
    if (length > 2 && word[0] == '[' && word[length - 1] == ']')
        word++, length -= 2;
    while (n < length && n + 1 < room && (isupper((unsigned char)word[n]) || (n && isdigit((unsigned char)word[n])))) {
        name[n] = (char)tolower((unsigned char)word[n]);
        n++;
    }
    name[n] = 0;
    size_t rest = length - n;
    return n && (!rest || (rest == 3 && (strncmp(word + n, "...", 3) == 0 || strncmp(word + n, "…", 3) == 0)));
}

/* The leading words of the usage line's first alternative that are no options. */
static void name_positionals(struct loading *l)
{
    const char *at = l->job->usage ? l->job->usage : "";
    size_t length;
    for (; *at && *at != '\n' && l->npositionals < MOST_POSITIONALS; at += length + (at[length] == ' ')) {
        length = strcspn(at, " \n");
        if ((length == 9 && strncmp(at, "[options]", 9) == 0) || (length == 2 && strncmp(at, "--", 2) == 0))
            continue;
        struct positional *p = &l->positionals[l->npositionals];
        if (!positional_name(at, length, p->name, sizeof p->name))
            return;
        l->npositionals++;
    }
}

static struct positional *find_positional(struct loading *l, const char *name)
{
    for (size_t i = 0; i < l->npositionals; i++)
        if (strcmp(l->positionals[i].name, name) == 0)
            return &l->positionals[i];
    return NULL;
}

/* ---- values ---- */

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

/* [0, 12, 25] -> "0,12,25", as such lists are written on the command line; NULL for anything else. */
static const char *list_text(struct tt_options *options, const cJSON *item)
{
    struct tt_string text = {0};
    for (const cJSON *one = item->child; one; one = one->next) {
        const char *part = scalar_text(options, one);
        if (!part || strchr(part, ',')) {
            tt_string_free(&text);
            return NULL;
        }
        tt_string_add(&text, "%s%s", text.length ? "," : "", part);
    }
    return text.text ? own_text(options, text.text) : NULL;
}

static const char *value_text(struct tt_options *options, const struct tt_option *option, const cJSON *item)
{
    if (option->type == TT_OPTION_FLAG)
        return NULL;
    if (cJSON_IsArray(item) && (option->type == TT_OPTION_TEXT || option->type == TT_OPTION_LIST))
        return list_text(options, item);
    return scalar_text(options, item);
}

static int load_values(struct loading *l, const struct tt_option *option, const cJSON *item)
{
    if (option->type == TT_OPTION_FLAG && cJSON_IsBool(item))
        return cJSON_IsTrue(item) ? tt_options_set(l->options, option, NULL, true, l->error) : 0;
    /* Several values of an option that may be given several times; numbers are one list, as of token ids. */
    bool several = cJSON_IsArray(item) && option->type == TT_OPTION_LIST && !cJSON_IsNumber(item->child);
    const cJSON *one = several ? item->child : item;
    for (; one; one = one == item ? NULL : one->next) {
        const char *text = value_text(l->options, option, one);
        if (!text)
            return tt_fail(l->error, TT_EINPUT, "%s: \"%s\" has to be %s", l->path, option->name,
                           option->type == TT_OPTION_FLAG ? "true or false" : "a string or number");
        if (tt_options_set(l->options, option, text, true, l->error) != 0)
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

/* ---- positional arguments ---- */

/* One string or number, or an array of them. */
static int add_args(struct loading *l, const cJSON *item)
{
    const cJSON *one = cJSON_IsArray(item) ? item->child : item;
    for (; one; one = one == item ? NULL : one->next) {
        const char *text = scalar_text(l->options, one);
        if (!text)
            return tt_fail(l->error, TT_EINPUT, "%s: \"%s\" has to be a string, a number or an array of these", l->path,
                           item->string);
        tt_options_add_arg(l->options, text);
    }
    return 0;
}

static int load_args(struct loading *l, const cJSON *item)
{
    l->args = true;
    if (l->options->nargs) /* the command line wins */
        return 0;
    if (!cJSON_IsArray(item))
        return tt_fail(l->error, TT_EINPUT, "%s: \"args\" has to be an array of strings", l->path);
    return add_args(l, item);
}

/* Those that the command line left open, in their order. */
static int load_positionals(struct loading *l)
{
    const char *missing = NULL;
    for (size_t i = l->options->nargs; i < l->npositionals; i++) {
        const struct positional *p = &l->positionals[i];
        if (!p->value)
            missing = missing ? missing : p->name;
        else if (l->args)
            return tt_fail(l->error, TT_EINPUT, "%s: \"%s\" and \"args\" both say the arguments; keep one", l->path,
                           p->name);
        else if (missing)
            return tt_fail(l->error, TT_EINPUT, "%s: \"%s\" needs \"%s\" before it", l->path, p->name, missing);
        else if (add_args(l, p->value))
            return -1;
    }
    return 0;
}

/* ---- the file ---- */

static bool is_related(const struct tt_job *job, const char *key)
{
    size_t length = strlen(key);
    for (const char *at = job->related; at && *at; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, " ") == length && strncmp(at, key, length) == 0)
            return true;
    return false;
}

static int load_option(struct loading *l, const cJSON *item)
{
    const struct tt_option *option = tt_options_find(l->options, item->string, strlen(item->string), 0);
    if (option)
        return given_on_command_line(l->options, option) ? 0 : load_values(l, option, item);
    if (is_related(l->job, item->string)) {
        tt_string_add(&l->options->skipped, "%s%s", l->options->skipped.length ? ", " : "", item->string);
        return 0;
    }
    char *where = tt_format(" in %s", l->path);
    tt_options_unknown(l->options, item->string, where, l->error);
    free(where);
    return -1;
}

static int load_member(struct loading *l, const cJSON *item)
{
    struct positional *positional = find_positional(l, item->string);
    if (strcmp(item->string, "args") == 0)
        return load_args(l, item);
    if (strcmp(item->string, "command") == 0 && !(positional && cJSON_IsArray(item))) {
        if (cJSON_IsString(item) && strcmp(item->valuestring, l->job->command) == 0)
            return 0;
        return tt_fail(l->error, TT_EINPUT, "%s: this job is for another command than %s", l->path, l->job->command);
    }
    if (!positional)
        return load_option(l, item);
    positional->value = item;
    return 0;
}

int tt_options_load(struct tt_options *options, const char *path, const struct tt_job *job, struct tt_error *error)
{
    struct loading l = {.options = options, .path = path, .job = job, .error = error};
    cJSON *file = tt_json_read(path, error);
    if (!file)
        return -1;
    int result = 0;
    name_positionals(&l);
    if (!cJSON_IsObject(file))
        result =
            tt_fail(error, TT_EINPUT, "%s: a job file is one JSON object of option names and values", path);
    for (const cJSON *item = result == 0 ? file->child : NULL; item && result == 0; item = item->next)
        result = load_member(&l, item);
    if (!result)
        result = load_positionals(&l);
    cJSON_Delete(file);
    return result;
}

const char *tt_options_skipped(const struct tt_options *options)
{
    return options->skipped.text;
}
