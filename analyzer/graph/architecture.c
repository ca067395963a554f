/* SPDX-License-Identifier: Apache-2.0
 *
 * Architecture files are read once per command; the folder is the list, there is no register of families.
 */
#include "graph/architecture.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "graph/graph.h"
#include "model/file.h"

#define MAX_FILE     (4u << 20)
#define MAX_EXTENDS  8

const char *tt_json_string_at(const cJSON *item, int index)
{
    if (cJSON_IsString(item))
        return index == 0 ? item->valuestring : NULL;
    const cJSON *entry = cJSON_IsArray(item) ? cJSON_GetArrayItem(item, index) : NULL;
    return cJSON_IsString(entry) ? entry->valuestring : NULL;
}

/* In order: $TENSORTAP_DATA, beside the executable (installed), the build's source tree. */
const char *tt_data_directory(void)
{
    static char found[4096];
    if (found[0])
        return found;
    const char *wish = getenv("TENSORTAP_DATA");
    char beside[4096] = "";
    ssize_t n = readlink("/proc/self/exe", beside, sizeof beside - 64);
    if (n > 0) {
        beside[n] = 0;
        char *slash = strrchr(beside, '/');
        strcpy(slash ? slash : beside, "/../share/tensortap");
    }
    const char *places[] = {wish, beside, TENSORTAP_SOURCE_DATADIR, TENSORTAP_DATADIR};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char probe[4200];
        if (!places[i] || !*places[i])
            continue;
        snprintf(probe, sizeof probe, "%s/architectures", places[i]);
        if (access(probe, R_OK) == 0) {
            snprintf(found, sizeof found, "%s", places[i]);
            return found;
        }
    }
    snprintf(found, sizeof found, "%s", TENSORTAP_DATADIR);
    return found;
}

static cJSON *read_file(const char *name, struct tt_error *error)
{
    char path[4400];
    snprintf(path, sizeof path, "%s/architectures/%s", tt_data_directory(), name);
    FILE *file = fopen(path, "rb");
    if (!file) {
        tt_fail(error, TT_EINPUT, "cannot read architecture file %s: %m", path);
        return NULL;
    }
    struct stat facts = {0};
    size_t size = fstat(fileno(file), &facts) == 0 && facts.st_size < MAX_FILE ? (size_t)facts.st_size : MAX_FILE;
    char *text = tt_alloc(size + 1);
    size_t length = fread(text, 1, size, file);
    fclose(file);
    text[length] = 0;
    const char *at = NULL;
    cJSON *json = cJSON_ParseWithOpts(text, &at, false);
    if (!json)
        tt_fail(error, TT_EINPUT, "%s is not valid JSON near '%.30s'", path, at ? at : "");
    free(text);
    return json;
}

/* Members of `over` replace or extend those of `base`, objects recursively; null removes. */
static void merge(cJSON *base, const cJSON *over)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, over)
    {
        cJSON *old = cJSON_GetObjectItemCaseSensitive(base, item->string);
        if (cJSON_IsNull(item))
            cJSON_DeleteItemFromObjectCaseSensitive(base, item->string);
        else if (cJSON_IsObject(old) && cJSON_IsObject(item))
            merge(old, item);
        else if (old)
            cJSON_ReplaceItemInObjectCaseSensitive(base, item->string, cJSON_Duplicate(item, true));
        else
            cJSON_AddItemToObject(base, item->string, cJSON_Duplicate(item, true));
    }
}

static cJSON *with_bases(cJSON *json, struct tt_error *error)
{
    for (int depth = 0; json; depth++) {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "extends"));
        if (!name)
            return json;
        char file[256];
        snprintf(file, sizeof file, "%s.json", name);
        cJSON *base = depth < MAX_EXTENDS ? read_file(file, error) : NULL;
        if (depth >= MAX_EXTENDS)
            tt_fail(error, TT_EINPUT, "architecture file %s: 'extends' goes in a circle", file);
        if (base) {
            char *next = NULL;
            const char *further = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(base, "extends"));
            if (further)
                next = tt_strdup(further);
            merge(base, json);
            cJSON_DeleteItemFromObjectCaseSensitive(base, "extends");
            if (next)
                cJSON_AddStringToObject(base, "extends", next);
            free(next);
        }
        cJSON_Delete(json);
        json = base;
    }
    return NULL;
}

static bool has_key(const struct tt_model *model, const char *key)
{
    const char *text;
    double number;
    return key && (tt_model_string(model, key, &text) || tt_model_number(model, key, &number));
}

/* One entry of "select": {"scheme", "key", "values", "unless"}; without values the key's presence counts, and where the
 * key `unless` is there the model is another family's. */
static bool selects(const cJSON *entry, const struct tt_model *model)
{
    const char *scheme = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "scheme"));
    const char *key = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "key"));
    const cJSON *values = cJSON_GetObjectItemCaseSensitive(entry, "values");
    const char *have, *value;
    const char *unless = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "unless"));
    if (!scheme || !key || strcmp(scheme, tt_model_scheme(model)) != 0 || has_key(model, unless))
        return false;
    if (!values || !tt_model_string(model, key, &have))
        return !values && has_key(model, key);
    for (int i = 0; (value = tt_json_string_at(values, i)); i++)
        if (strcmp(value, have) == 0)
            return true;
    return false;
}

static bool file_selects(const cJSON *json, const struct tt_model *model)
{
    const cJSON *entry;
    cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(json, "select"))
        if (selects(entry, model))
            return true;
    return false;
}

static int is_json(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && strcmp(dot, ".json") == 0;
}

static void not_known(const struct tt_model *model, struct tt_error *error)
{
    const char *name = "unknown";
    if (!tt_model_string(model, "general.architecture", &name) &&
        !tt_model_string(model, "architectures.0", &name))
        tt_model_string(model, "model_type", &name);
    struct tt_printable printable = tt_printable(name, strlen(name));
    tt_fail(error, TT_EINPUT,
            "%s: no architecture file describes '%s'; add one to %s/architectures (docs/architectures.md)",
            tt_model_path(model), printable.text, tt_data_directory());
}

cJSON *tt_architecture_for(const struct tt_model *model, struct tt_error *error)
{
    char folder[4200];
    struct dirent **names = NULL;
    cJSON *found = NULL;
    struct tt_error problem = {0};
    snprintf(folder, sizeof folder, "%s/architectures", tt_data_directory());
    int n = scandir(folder, &names, is_json, alphasort);
    for (int i = 0; i < n; i++) {
        cJSON *json = !found && !problem.code ? read_file(names[i]->d_name, &problem) : NULL;
        if (json && file_selects(json, model))
            found = json;
        else
            cJSON_Delete(json);
        free(names[i]);
    }
    free(names);
    if (problem.code) {
        cJSON_Delete(found);
        if (error)
            *error = problem;
        return NULL;
    }
    if (!found && n <= 0) {
        tt_fail(error, TT_ESYSTEM, "no architecture files in %s; set TENSORTAP_DATA to the folder that holds architectures/", folder);
        return NULL;
    }
    if (!found) {
        not_known(model, error);
        return NULL;
    }
    return with_bases(found, error);
}
