/* SPDX-License-Identifier: Apache-2.0
 *
 * Which capture a path means: a capture directory, or a parent with exactly one inside.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "capture/capture.h"

static bool is_capture(const char *directory)
{
    struct stat status;
    char *log = tt_format("%s/%s", directory, TT_LOG_FILE);
    bool found = stat(log, &status) == 0 && S_ISREG(status.st_mode);
    free(log);
    return found;
}

/* Counts captures inside; *first is one of them, owned by the caller. */
static int count_inside(const char *parent, char **first)
{
    int count = 0;
    const struct dirent *entry;
    DIR *directory = opendir(parent);
    while (directory && (entry = readdir(directory))) {
        if (entry->d_name[0] == '.')
            continue;
        char *inside = tt_format("%s/%s", parent, entry->d_name);
        if (is_capture(inside) && count++ == 0)
            *first = inside;
        else
            free(inside);
    }
    if (directory)
        closedir(directory);
    return count;
}

char *capture_resolve(const char *path, struct tt_error *error)
{
    struct stat status;
    char *only = NULL;
    if (stat(path, &status) != 0) {
        tt_fail(error, TT_EINPUT, "%s: %s", path, strerror(errno));
        return NULL;
    }
    if (!S_ISDIR(status.st_mode)) {
        tt_fail(error, TT_EINPUT, "%s: a file, not a capture directory; name the folder made by `tensortap run`", path);
        return NULL;
    }
    if (is_capture(path))
        return tt_strdup(path);
    int count = count_inside(path, &only);
    if (count == 1)
        return only;
    free(only);
    if (count == 0)
        tt_fail(error, TT_EINPUT, "%s: no capture here (no %s, and no folder with one inside)", path, TT_LOG_FILE);
    else
        tt_fail(error, TT_EINPUT, "%s: %d captures inside; name one of them", path, count);
    return NULL;
}
