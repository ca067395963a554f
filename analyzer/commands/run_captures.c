/* SPDX-License-Identifier: Apache-2.0
 *
 * Which captures a run has made: new directories whose manifest carries the run's identity. The
 * identity keeps two runs apart that write into one directory at the same time.
 */
#include "commands/run.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"

char *tt_run_identity(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return tt_format("%ld.%09ld.%d", (long)time.tv_sec, time.tv_nsec, (int)getpid());
}

static int by_name(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

struct tt_paths tt_run_list(const char *directory)
{
    struct tt_paths found = {0};
    DIR *folder = opendir(directory);
    if (!folder)
        return found;
    for (struct dirent *entry; (entry = readdir(folder));) {
        struct stat info;
        if (strncmp(entry->d_name, "tensortap.", 10) != 0)
            continue;
        char *path = strcmp(directory, ".") == 0 ? tt_strdup(entry->d_name)
                                                 : tt_format("%s/%s", directory, entry->d_name);
        if (lstat(path, &info) != 0 || !S_ISDIR(info.st_mode)) {
            free(path);
            continue;
        }
        found.paths = tt_grow(found.paths, found.count + 1, sizeof *found.paths);
        found.paths[found.count++] = path;
    }
    closedir(folder);
    if (found.count)
        qsort(found.paths, found.count, sizeof *found.paths, by_name);
    return found;
}

static bool belongs(const char *path, const char *identity)
{
    char *file = tt_format("%s/manifest.json", path);
    cJSON *manifest = tt_json_read(file, NULL);
    const cJSON *environment = cJSON_GetObjectItemCaseSensitive(manifest, "environment");
    const char *run = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(environment, "TENSORTAP_RUN"));
    bool belongs_here = manifest && (!run || strcmp(run, identity) == 0);
    cJSON_Delete(manifest);
    free(file);
    return belongs_here;
}

struct tt_paths tt_run_made(const char *directory, const struct tt_paths *before, const char *identity)
{
    struct tt_paths now = tt_run_list(directory), made = {0};
    for (size_t i = 0; i < now.count; i++) {
        char *path = now.paths[i];
        if ((before->count && bsearch(&path, before->paths, before->count, sizeof path, by_name)) ||
            !belongs(path, identity)) {
            free(path);
            continue;
        }
        made.paths = tt_grow(made.paths, made.count + 1, sizeof *made.paths);
        made.paths[made.count++] = path;
    }
    free(now.paths);
    return made;
}
