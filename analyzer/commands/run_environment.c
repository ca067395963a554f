/* SPDX-License-Identifier: Apache-2.0
 *
 * Arming the tap: options become TENSORTAP_* variables, the library goes first into LD_PRELOAD.
 *
 * Everything that can be wrong is found here, before the program starts, because inside it the tap
 * may not complain.
 */
#include "commands/run.h"

#include <ctype.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define LIBRARY_NAME "libtensortap.so"

/* Tried in order, relative to the folder of this executable: build tree, installed, moved as a whole. */
static const char *const library_places[] = {
    "../lib/" LIBRARY_NAME,
    "../lib64/" LIBRARY_NAME,
    "../lib/x86_64-linux-gnu/" LIBRARY_NAME,
    "../lib/aarch64-linux-gnu/" LIBRARY_NAME,
};

static char *library_beside_executable(void)
{
    char executable[PATH_MAX], *found = NULL;
    ssize_t length = readlink("/proc/self/exe", executable, sizeof executable - 1);
    if (length < 0)
        return NULL;
    executable[length] = 0;
    const char *folder = dirname(executable);
    for (size_t i = 0; !found && i < sizeof library_places / sizeof *library_places; i++) {
        char *path = tt_format("%s/%s", folder, library_places[i]);
        found = realpath(path, NULL);
        free(path);
    }
    return found;
}

/* Absolute path of the library to preload, owned by the caller; NULL with *error. */
static char *find_library(struct tt_error *error)
{
    const char *chosen = getenv("TENSORTAP_LIBRARY");
    char *path = chosen && *chosen ? realpath(chosen, NULL) : library_beside_executable();
    if (!path && !(chosen && *chosen))
        path = realpath(TENSORTAP_LIBDIR "/" LIBRARY_NAME, NULL);
    if (!path && chosen && *chosen)
        tt_fail(error, TT_EINPUT, "TENSORTAP_LIBRARY=%s: %s", chosen, strerror(errno));
    else if (!path)
        tt_fail(error, TT_ESYSTEM,
                "%s is neither beside this program nor in %s; set TENSORTAP_LIBRARY to its path",
                LIBRARY_NAME, TENSORTAP_LIBDIR);
    else if (access(path, R_OK) != 0)
        tt_fail(error, TT_ESYSTEM, "%s: %s", path, strerror(errno));
    else if (strpbrk(path, ": "))
        tt_fail(error, TT_EINPUT,
                "%s: LD_PRELOAD cannot hold a path with a blank or colon; set TENSORTAP_LIBRARY "
                "to one without",
                path);
    else
        return path;
    free(path);
    return NULL;
}

static bool list_has(const char *list, const char *entry)
{
    size_t length = strlen(entry);
    for (const char *at = list; *at; at += strspn(at, ": ")) {
        size_t word = strcspn(at, ": ");
        if (word == length && strncmp(at, entry, length) == 0)
            return true;
        at += word;
    }
    return false;
}

static int preload(struct tt_error *error)
{
    const char *present = getenv("LD_PRELOAD");
    char *library = find_library(error);
    if (!library)
        return -1;
    if (!present || !*present) {
        setenv("LD_PRELOAD", library, 1);
    } else if (!list_has(present, library)) {
        char *list = tt_format("%s:%s", library, present);
        setenv("LD_PRELOAD", list, 1);
        free(list);
    }
    free(library);
    return 0;
}

int tt_make_folders(const char *path, mode_t mode)
{
    char *partial = tt_strdup(path);
    int result = 0;
    for (char *slash = strchr(partial + 1, '/'); slash && result == 0; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        result = mkdir(partial, mode) == 0 || errno == EEXIST ? 0 : -1;
        *slash = '/';
    }
    if (result == 0)
        result = mkdir(partial, mode) == 0 || errno == EEXIST ? 0 : -1;
    free(partial);
    return result;
}

/* The capture parent as an absolute path: the program may change its directory. */
static char *prepare_directory(const char *chosen, struct tt_error *error)
{
    struct stat info;
    char *path = tt_make_folders(chosen, 0777) == 0 ? realpath(chosen, NULL) : NULL;
    if (!path) {
        tt_fail(error, TT_ESYSTEM, "cannot make the capture directory %s: %s", chosen, strerror(errno));
        return NULL;
    }
    if (stat(path, &info) == 0 && !S_ISDIR(info.st_mode))
        tt_fail(error, TT_EINPUT, "%s is not a directory; choose another with -o DIR", chosen);
    else if (access(path, W_OK | X_OK) != 0)
        tt_fail(error, TT_ESYSTEM, "cannot write into %s: %s; choose another with -o DIR", chosen,
                strerror(errno));
    else
        return path;
    free(path);
    return NULL;
}

/* "0-3,7,9-" */
static int check_passes(const char *text, struct tt_error *error)
{
    const char *at = text;
    for (;;) {
        size_t first = strspn(at, "0123456789");
        size_t rest = at[first] == '-' ? 1 + strspn(at + first + 1, "0123456789") : 0;
        char after = at[first + rest];
        if (!first || (after && after != ','))
            return tt_fail(error, TT_EINPUT, "--passes: '%s' is not a list of numbers and ranges like 0-3,7",
                           text);
        if (!after)
            return 0;
        at += first + rest + 1;
    }
}

/* Options that are handed on as they were written. */
static const struct {
    const char *option, *variable;
} variables[] = {
    {"mode", "TENSORTAP_MODE"}, {"passes", "TENSORTAP_PASSES"}, {"programs", "TENSORTAP_PROGRAMS"},
    {"live", "TENSORTAP_LIVE"}, {"stack", "TENSORTAP_STACK"},
};

static void set_variables(const struct tt_context *context)
{
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *text = tt_option_text(context->options, variables[i].option);
        if (text)
            setenv(variables[i].variable, text, 1);
    }
    if (context->select) {
        char *plain = tt_select_plain(context->select);
        setenv("TENSORTAP_SELECT", plain, 1);
        free(plain);
    }
    if (tt_option_flag(context->options, "limit")) {
        char bytes[24];
        snprintf(bytes, sizeof bytes, "%lld", (long long)tt_option_integer(context->options, "limit", 0));
        setenv("TENSORTAP_LIMIT", bytes, 1);
    }
}

/* What the tap cannot know: how many passes there will be. */
static int check_select(const struct tt_select *select, struct tt_error *error)
{
    static const enum tt_select_key counted[] = {TT_SELECT_PASS, TT_SELECT_EPOCH};
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++)
        if (tt_select_from_end(select, counted[i]))
            return tt_fail(
                error, TT_EINPUT,
                "--select: %s counts from the end, which is not known while the program runs; capture more "
                "and select afterwards",
                tt_select_key_name(counted[i]));
    return 0;
}

int tt_run_arm(struct tt_context *context, char **directory)
{
    const char *chosen = context->output ? context->output : getenv("TENSORTAP_OUT");
    const char *passes = tt_option_text(context->options, "passes");
    if (!chosen || !*chosen)
        chosen = ".";
    if (passes && check_passes(passes, &context->error) != 0)
        return -1;
    if (check_select(context->select, &context->error) != 0)
        return -1;
    char *absolute = prepare_directory(chosen, &context->error);
    if (!absolute || preload(&context->error) != 0) {
        free(absolute);
        return -1;
    }
    *directory = tt_strdup(chosen);
    setenv("TENSORTAP_OUT", absolute, 1);
    set_variables(context);
    free(absolute);
    return 0;
}
