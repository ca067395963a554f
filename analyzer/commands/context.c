/* SPDX-License-Identifier: Apache-2.0
 *
 * What commands share: remarks, JSON documents, the captures that arguments mean.
 */
#include "commands/command.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/text.h"

void tt_note(const struct tt_context *context, const char *format, ...)
{
    va_list arguments;
    if (context->quiet)
        return;
    fprintf(stderr, "tensortap %s: ", context->command->name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

int tt_emit_json(struct tt_context *context, cJSON *document, int status)
{
    int result = tt_json_print(context->out, document, 0, &context->error);
    cJSON_Delete(document);
    return result == 0 ? status : -1;
}

int tt_status_of_partial(const struct tt_context *context)
{
    return context->allow_partial ? 0 : TT_STATUS_PARTIAL;
}

static void add_path(struct tt_paths *found, char *path)
{
    found->paths = tt_grow(found->paths, found->count + 1, sizeof *found->paths);
    found->paths[found->count++] = path;
}

static bool is_capture(const char *directory)
{
    struct stat info;
    char *manifest = tt_format("%s/manifest.json", directory);
    bool present = stat(manifest, &info) == 0 && S_ISREG(info.st_mode);
    free(manifest);
    return present;
}

static int by_name(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

/* Captures directly inside a parent, in the order of their names. */
static int find_inside(struct tt_context *context, const char *parent, struct tt_paths *found)
{
    size_t before = found->count;
    int length = (int)strlen(parent);
    while (length > 1 && parent[length - 1] == '/')
        length--;
    DIR *directory = opendir(parent);
    if (!directory)
        return tt_fail(&context->error, TT_EINPUT, "%s: %s", parent, strerror(errno));
    for (struct dirent *entry; (entry = readdir(directory));) {
        char *path = strcmp(parent, ".") == 0 ? tt_strdup(entry->d_name)
                                              : tt_format("%.*s/%s", length, parent, entry->d_name);
        if (entry->d_name[0] != '.' && is_capture(path))
            add_path(found, path);
        else
            free(path);
    }
    closedir(directory);
    if (found->count == before)
        return tt_fail(&context->error, TT_EINPUT,
                       "%s: no capture here; make one with: tensortap run -o %s -- COMMAND", parent, parent);
    qsort(found->paths + before, found->count - before, sizeof *found->paths, by_name);
    return 0;
}

int tt_find_captures(struct tt_context *context, size_t first, struct tt_paths *found)
{
    for (size_t i = first; i < context->nargs; i++) {
        if (is_capture(context->args[i]))
            add_path(found, tt_strdup(context->args[i]));
        else if (find_inside(context, context->args[i], found) != 0)
            return -1;
    }
    return 0;
}

void tt_paths_free(struct tt_paths *found)
{
    for (size_t i = 0; i < found->count; i++)
        free(found->paths[i]);
    free(found->paths);
    *found = (struct tt_paths){0};
}
