/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the configuration comes from and what its words mean. Runs once per process, before the first
 * recorded call; uses static memory only.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core.h"
#include "json_text.h"

static const struct {
    const char *key, *variable;
    size_t offset, bytes; /* of the text in struct tt_config */
} keys[] = {
#define X(key, variable, bytes) {#key, variable, offsetof(struct tt_config, key), bytes},
    TT_CONFIG_KEYS(X)
#undef X
};
enum { KEYS = sizeof(keys) / sizeof(keys[0]) };

static const struct {
    const char *word;
    enum tt_level level;
} levels[] = {
    {"off", TT_LEVEL_OFF}, {"stats", TT_LEVEL_STATS}, {"hash", TT_LEVEL_HASH}, {"data", TT_LEVEL_DATA}};

static void set_text(struct tt_config *config, size_t key, const char *value, const char *origin)
{
    char *text = (char *)config + keys[key].offset;
    if (strlen(value) >= keys[key].bytes) {
        tt_core_problem("%s: value of %s is longer than %zu bytes, ignored", origin, keys[key].key,
                        keys[key].bytes - 1);
        return;
    }
    strcpy(text, value);
}

static void set_from_file(void *context, const char *key, const char *value)
{
    for (size_t i = 0; i < KEYS; i++) {
        if (strcmp(keys[i].key, key) == 0) {
            set_text(context, i, value, "TENSORTAP_CONFIG");
            return;
        }
    }
    tt_core_problem("TENSORTAP_CONFIG: unknown key \"%s\", ignored", key);
}

/* Whole file into `text`, zero-terminated. Bytes read or -errno. */
static long read_file(const char *path, char *text, size_t size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    size_t have = 0;
    ssize_t got = 0;
    while (have < size - 1 && (got = read(file, text + have, size - 1 - have)) > 0)
        have += (size_t)got;
    long result = got < 0 ? -errno : have == size - 1 ? -EFBIG : (long)have;
    close(file);
    text[have] = '\0';
    return result;
}

static void load_file(struct tt_config *config, const char *path)
{
    static char text[16384];
    unsigned long where = 0;
    long got = read_file(path, text, sizeof(text));
    if (got < 0)
        tt_core_problem("TENSORTAP_CONFIG: %s: %s, not applied", path, strerror((int)-got));
    else if (tt_config_parse(text, set_from_file, config, &where) < 0)
        tt_core_problem("TENSORTAP_CONFIG: %s: no flat JSON object at byte %lu, the rest is not applied", path,
                        where);
}

static void load_environment(struct tt_config *config)
{
    for (size_t i = 0; i < KEYS; i++) {
        const char *value = getenv(keys[i].variable);
        if (value && *value)
            set_text(config, i, value, keys[i].variable);
    }
}

int tt_config_bytes(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    char *end;
    double value = strtod(text, &end);
    if (end == text || !(value >= 0))
        return -EINVAL;
    for (int i = 0; *end && units[i]; i++) {
        value *= 1024;
        if ((*end & ~0x20) == units[i]) {
            end++;
            if ((*end == 'i' || *end == 'I') && (end[1] & ~0x20) == 'B')
                end += 2;
            else if ((*end & ~0x20) == 'B')
                end++;
            break;
        }
    }
    if (*end || value > 9e18)
        return -EINVAL;
    *bytes = (uint64_t)value;
    return 0;
}

static void apply_mode(struct tt_config *config)
{
    config->level = TT_LEVEL_DATA;
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (strcmp(config->mode, levels[i].word) == 0) {
            config->level = levels[i].level;
            return;
        }
    }
    if (config->mode[0])
        tt_core_problem("TENSORTAP_MODE=%s is none of off, stats, hash, data: data is used", config->mode);
    strcpy(config->mode, "data");
}

static void apply_limit(struct tt_config *config)
{
    if (config->limit[0] && tt_config_bytes(config->limit, &config->limit_bytes) < 0)
        tt_core_problem("TENSORTAP_LIMIT=%s is no size like 500M or 2G: the default budget is used",
                        config->limit);
}

/* Is this program's name matched by one of the globs? Both names count: a script's and its interpreter's. */
static bool program_selected(const struct tt_config *config)
{
    char executable[4096], globs[sizeof(config->programs)], *next = globs, *glob;
    if (!config->programs[0])
        return true;
    ssize_t length = readlink("/proc/self/exe", executable, sizeof(executable) - 1);
    executable[length > 0 ? length : 0] = '\0';
    const char *slash = strrchr(executable, '/'), *base = slash ? slash + 1 : executable;
    strcpy(globs, config->programs);
    while ((glob = strsep(&next, ",:")))
        if (*glob && (fnmatch(glob, program_invocation_short_name, 0) == 0 || fnmatch(glob, base, 0) == 0))
            return true;
    return false;
}

void tt_config_load(struct tt_config *config)
{
    const char *file = getenv("TENSORTAP_CONFIG");
    memset(config, 0, sizeof(*config));
    if (file && *file)
        load_file(config, file);
    load_environment(config);
    if (!config->out[0])
        strcpy(config->out, ".");
    apply_mode(config);
    apply_limit(config);
    config->wanted = config->level != TT_LEVEL_OFF && program_selected(config);
}

void tt_config_json(const struct tt_config *config, char *json, unsigned long size)
{
    struct tt_json_text out = {json, size, 0};
    tt_json_raw(&out, "{");
    bool first = true;
    for (size_t i = 0; i < KEYS; i++) {
        const char *text = (const char *)config + keys[i].offset;
        if (!*text)
            continue;
        tt_json_raw(&out, first ? "" : ",");
        tt_json_string(&out, keys[i].key);
        tt_json_raw(&out, ":");
        tt_json_string(&out, text);
        first = false;
    }
    tt_json_raw(&out, "}");
}
