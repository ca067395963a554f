/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: a model of which there is only the configuration: a config.json alone, no tensors.
 */
#include "model/parts.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "model/config.h"
#include "model/locate.h"

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static bool holds_weights(const char *name)
{
    static const char *const ends[] = {".safetensors", ".gguf", ".bin", ".pt", ".pth", ".index.json"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(name, ends[i]))
            return true;
    return false;
}

static bool has_weights(const char *folder)
{
    DIR *directory = opendir(folder);
    bool found = false;
    for (struct dirent *entry; directory && !found && (entry = readdir(directory));)
        found = holds_weights(entry->d_name);
    if (directory)
        closedir(directory);
    return found;
}

/* The config.json that is meant; NULL: a model with weights. Owned by the caller. */
static char *config_of(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return NULL;
    if (S_ISREG(status.st_mode))
        return ends_with(path, ".json") && !ends_with(path, ".index.json") ? tt_strdup(path) : NULL;
    return S_ISDIR(status.st_mode) && !has_weights(path) ? tt_format("%s/config.json", path) : NULL;
}

struct tt_model *tt_model_open_bare(const char *path, struct tt_error *error)
{
    char *config = config_of(path);
    if (!config)
        return tt_model_open(path, error);
    struct tt_model *model = tt_alloc(sizeof *model);
    model->path = config;
    model->names = tt_names_new();
    model->scheme = "hf";
    model->config = tt_json_read(config, error);
    if (model->config)
        return model;
    tt_model_close(model);
    return NULL;
}
