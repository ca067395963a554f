/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: decide which file a model's name means. Nothing is ever downloaded.
 */
#include "model/locate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

char *tt_path_beside(const char *path, const char *file)
{
    const char *slash = strrchr(path, '/');
    return slash ? tt_format("%.*s/%s", (int)(slash - path), path, file) : tt_strdup(file);
}

/* Files of the cache's blob store have no suffix: then the content decides. */
static enum tt_model_kind kind_of(const char *path)
{
    char start[4] = "";
    int fd;

    if (ends_with(path, ".json"))
        return TT_MODEL_INDEX;
    if (ends_with(path, ".safetensors"))
        return TT_MODEL_SAFETENSORS;
    if (ends_with(path, ".gguf"))
        return TT_MODEL_GGUF;
    if (ends_with(path, ".bin") || ends_with(path, ".pt") || ends_with(path, ".pth"))
        return TT_MODEL_TORCH;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool known = fd >= 0 && read(fd, start, 4) == 4;
    if (fd >= 0)
        close(fd);
    if (known && memcmp(start, "GGUF", 4) == 0)
        return TT_MODEL_GGUF;
    return known && memcmp(start, "PK\3\4", 4) == 0 ? TT_MODEL_TORCH : TT_MODEL_SAFETENSORS;
}

/* The only file with that ending, or of several splits the first; NULL when none or several. */
static char *only_file(const char *folder, const char *end, int *found)
{
    char *only = NULL;
    const struct dirent *entry;
    DIR *directory = opendir(folder);

    *found = 0;
    while (directory && (entry = readdir(directory))) {
        bool later_split = strstr(entry->d_name, "-of-") && !strstr(entry->d_name, "-00001-of-");
        if (!ends_with(entry->d_name, end) || later_split)
            continue;
        if ((*found)++ == 0)
            only = tt_format("%s/%s", folder, entry->d_name);
    }
    if (directory)
        closedir(directory);
    if (*found != 1) {
        free(only);
        only = NULL;
    }
    return only;
}

/* model_000650.pt: what a training run saved after 650 steps; -1: no such name. */
static long step_of(const char *name)
{
    static const char start[] = "model_";
    char *end;

    if (strncmp(name, start, sizeof start - 1) != 0)
        return -1;
    long step = strtol(name + sizeof start - 1, &end, 10);
    return end > name + sizeof start - 1 && strcmp(end, ".pt") == 0 ? step : -1;
}

/* The checkpoint of the most steps; NULL: none. */
static char *last_checkpoint(const char *folder)
{
    char *last = NULL;
    long steps = -1;
    const struct dirent *entry;
    DIR *directory = opendir(folder);

    while (directory && (entry = readdir(directory))) {
        if (step_of(entry->d_name) <= steps)
            continue;
        steps = step_of(entry->d_name);
        free(last);
        last = tt_format("%s/%s", folder, entry->d_name);
    }
    if (directory)
        closedir(directory);
    return last;
}

char *tt_config_beside(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char *usual = tt_path_beside(path, "config.json");
    if (exists(usual) || step_of(name) < 0)
        return usual;
    char *meta = tt_format("meta_%.*s.json", (int)(strlen(name) - strlen("model_") - strlen(".pt")), name + strlen("model_"));
    free(usual);
    usual = tt_path_beside(path, meta);
    free(meta);
    return usual;
}

static char *file_in_folder(const char *folder, struct tt_error *error)
{
    static const char *const usual[] = {
        "model.safetensors.index.json",  "model.safetensors",         "pytorch_model.bin.index.json",
        "pytorch_model.bin",             "adapter_model.safetensors", "adapter_model.bin",
    };
    static const char *const endings[] = {".safetensors.index.json", ".safetensors", ".gguf", ".pt", ".pth"};
    int found;

    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        char *path = tt_format("%s/%s", folder, usual[i]);
        if (exists(path))
            return path;
        free(path);
    }
    char *checkpoint = last_checkpoint(folder);
    if (checkpoint)
        return checkpoint;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        char *path = only_file(folder, endings[i], &found);
        if (path)
            return path;
        if (found > 1) {
            tt_fail(error, TT_EINPUT, "%s holds %d files *%s; name the one to use", folder, found,
                    endings[i]);
            return NULL;
        }
    }
    tt_fail(error, TT_EINPUT,
            "%s holds no *.safetensors, *.gguf, pytorch_model.bin or *.pt; name a model file or a folder with one",
            folder);
    return NULL;
}

static char *cache_root(void)
{
    const char *hub = getenv("HF_HUB_CACHE"), *home = getenv("HF_HOME"), *user = getenv("HOME");

    if (hub && *hub)
        return tt_strdup(hub);
    if (home && *home)
        return tt_format("%s/hub", home);
    return tt_format("%s/.cache/huggingface/hub", user ? user : "");
}

/* "org/name" -> models--org--name */
static char *cache_folder(const char *id)
{
    char *root = cache_root();
    const char *slash = strchr(id, '/');
    char *folder = slash ? tt_format("%s/models--%.*s--%s", root, (int)(slash - id), id, slash + 1)
                         : tt_format("%s/models--%s", root, id);
    free(root);
    return folder;
}

/* The snapshot that refs/main names; NULL when the id is not in the cache. */
static char *cache_snapshot(const char *id)
{
    char commit[128] = "", *snapshot = NULL;
    char *folder = cache_folder(id);
    char *reference = tt_format("%s/refs/main", folder);
    FILE *file = fopen(reference, "re");

    if (file && fgets(commit, sizeof commit, file)) {
        commit[strcspn(commit, "\r\n")] = '\0';
        snapshot = tt_format("%s/snapshots/%s", folder, commit);
    }
    if (file)
        fclose(file);
    free(reference);
    free(folder);
    return snapshot;
}

/* The folder or file on disk that `name` means. */
static char *path_of(const char *name, struct tt_error *error)
{
    if (exists(name))
        return tt_strdup(name);
    int reason = errno;
    char *snapshot = name[0] == '/' || name[0] == '.' ? NULL : cache_snapshot(name);
    if (snapshot && is_folder(snapshot))
        return snapshot;
    free(snapshot);
    tt_fail(error, TT_EINPUT, "%s: %s, and no model of that id is in the local Hugging Face cache", name,
            strerror(reason));
    return NULL;
}

int tt_model_locate(const char *name, struct tt_model_place *place, struct tt_error *error)
{
    char *path = path_of(name, error);

    if (path && is_folder(path)) {
        char *file = file_in_folder(path, error);
        free(path);
        path = file;
    }
    if (!path)
        return -1;
    *place = (struct tt_model_place){path, kind_of(path)};
    return 0;
}
