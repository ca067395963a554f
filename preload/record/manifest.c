/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest.json: what ran, with what, and what was not captured. Written when the capture is created,
 * again when a model file turns up, and on close; always a complete file under a new name, renamed.
 */
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "record/files.h"
#include "record/recorder.h"

/* Environment that explains numbers. Anything else may be secret and stays out. */
static const char *const allowed[] = {
    "OMP_*",  "OPENBLAS_*", "GOTO_*",   "MKL_*",     "BLIS_*",   "GGML_*",      "LLAMA_*",  "CUDA_*",
    "CUBLAS_*", "NVIDIA_TF32_OVERRIDE", "TORCH_*", "PYTORCH_*", "ATEN_*", "DNNL_*", "ONEDNN_*", "KMP_*",
    "GOMP_*", "TENSORTAP_*", "TOKENIZERS_PARALLELISM", "LANG", "LC_*", "LD_PRELOAD", "PYTHONHASHSEED",
};
static const char *const secret[] = {"TOKEN", "KEY", "SECRET", "PASSWORD", "CREDENTIAL", "AUTH"};

static bool is_allowed(const char *variable, size_t length)
{
    char name[128];
    if (length >= sizeof name)
        return false;
    memcpy(name, variable, length);
    name[length] = 0;
    for (size_t i = 0; i < sizeof secret / sizeof secret[0]; i++)
        if (strstr(name, secret[i]) && strcmp(name, "TOKENIZERS_PARALLELISM") != 0)
            return false;
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        size_t most = strlen(allowed[i]);
        if (allowed[i][most - 1] == '*' ? strncmp(name, allowed[i], most - 1) == 0 : strcmp(name, allowed[i]) == 0)
            return true;
    }
    return false;
}

static void put_environment(struct tt_text *out)
{
    const char *separator = "";
    tt_text_put(out, "  \"environment\": {");
    for (char **at = environ; at && *at; at++) {
        const char *equals = strchr(*at, '=');
        if (!equals || !is_allowed(*at, (size_t)(equals - *at)))
            continue;
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)(equals - *at), *at);
        tt_text_put(out, separator);
        tt_text_json(out, name);
        tt_text_put(out, ": ");
        tt_text_json(out, equals + 1);
        separator = ", ";
    }
    tt_text_put(out, "},\n");
}

static void put_command(struct tt_text *out)
{
    char line[65536];
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    if (fd >= 0)
        close(fd);
    tt_text_put(out, "  \"command\": [");
    for (ssize_t at = 0; at < length;) {
        line[length] = 0;
        tt_text_put(out, at ? ", " : "");
        tt_text_json(out, line + at);
        at += (ssize_t)strlen(line + at) + 1;
    }
    tt_text_put(out, "],\n");
}

struct libraries {
    struct tt_text *out;
    const char *separator;
};

static void put_build_id(struct tt_text *out, const struct dl_phdr_info *info)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_NOTE)
            continue;
        const uint8_t *at = (const uint8_t *)(info->dlpi_addr + header->p_vaddr), *end = at + header->p_memsz;
        while ((size_t)(end - at) >= sizeof(ElfW(Nhdr))) {
            const ElfW(Nhdr) *note = (const void *)at;
            size_t name = (note->n_namesz + 3u) & ~3u, description = (note->n_descsz + 3u) & ~3u;
            if (name + description > (size_t)(end - at) - sizeof *note)
                break;
            if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp(note + 1, "GNU", 4) == 0) {
                for (uint32_t byte = 0; byte < note->n_descsz; byte++)
                    tt_text_format(out, "%02x", ((const uint8_t *)(note + 1))[name + byte]);
                return;
            }
            at += sizeof *note + name + description;
        }
    }
}

static int put_library(struct dl_phdr_info *info, size_t size, void *context)
{
    struct libraries *libraries = context;
    (void)size;
    char path[PATH_MAX];
    const char *name = info->dlpi_name;
    if (!name || !*name) {
        if (*libraries->separator) /* only the first one without a name is the program */
            return 0;
        ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
        path[length < 0 ? 0 : length] = 0;
        name = path;
    }
    tt_text_format(libraries->out, "%s\n    {\"path\": ", libraries->separator);
    tt_text_json(libraries->out, name);
    tt_text_put(libraries->out, ", \"build_id\": \"");
    put_build_id(libraries->out, info);
    tt_text_put(libraries->out, "\"}");
    libraries->separator = ",";
    return 0;
}

/* A shard of ours, or of another capture, whatever its folder is called: data-0000.safetensors beside an event log. */
static bool is_shard(const char *path)
{
    const char *name = strrchr(path, '/');
    char log[PATH_MAX];
    if (!name || strncmp(name, "/data-", 6) != 0)
        return false;
    int length = snprintf(log, sizeof log, "%.*s/" TT_LOG_FILE, (int)(name - path), path);
    return length < (int)sizeof log && access(log, F_OK) == 0;
}

static void put_file(struct tt_text *out, const char **separator, const char *path, const char *how)
{
    if (is_shard(path))
        return;
    tt_text_format(out, "%s\n    {\"path\": ", *separator);
    tt_text_json(out, path);
    tt_text_format(out, ", \"how\": \"%s\"}", how);
    *separator = ",";
}

static bool is_mapped(const struct tt_maps *maps, const char *path)
{
    for (uint32_t i = 0; i < maps->nfiles; i++)
        if (strcmp(maps->files[i].path, path) == 0)
            return true;
    return false;
}

/* Files that are open but not mapped: engines that read their model instead of mapping it. */
static void put_open_files(struct tt_text *out, const struct tt_maps *maps, const char **separator)
{
    DIR *directory = opendir("/proc/self/fd");
    const struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        char link[300], path[PATH_MAX];
        snprintf(link, sizeof link, "/proc/self/fd/%s", entry->d_name);
        ssize_t length = readlink(link, path, sizeof path - 1);
        path[length < 0 ? 0 : length] = 0;
        if (path[0] == '/' && tt_is_model_name(path) && !is_mapped(maps, path))
            put_file(out, separator, path, "open");
    }
    if (directory)
        closedir(directory);
}

static void put_model_files(struct tt_text *out, const struct tt_maps *maps)
{
    const char *separator = "";
    tt_text_put(out, "  \"model_files\": [");
    for (uint32_t i = 0; i < maps->nfiles; i++)
        if (maps->files[i].recorded || tt_is_model_name(maps->files[i].path))
            put_file(out, &separator, maps->files[i].path, maps->files[i].recorded ? "operands" : "mapped");
    put_open_files(out, maps, &separator);
    tt_text_put(out, "],\n");
}

static void put_losses(struct tt_text *out, const struct tt_losses *losses)
{
    tt_text_put(out, "  \"losses\": [");
    for (uint32_t i = 0; i < losses->count; i++) {
        const struct tt_loss_count *loss = &losses->entries[i];
        tt_text_format(out, "%s\n    {\"what\": \"%s\", \"detail\": ", i ? "," : "", loss->what);
        tt_text_json(out, loss->detail);
        tt_text_format(out, ", \"count\": %llu, \"bytes\": %llu}", (unsigned long long)loss->count,
                       (unsigned long long)loss->bytes);
    }
    tt_text_put(out, "],\n");
}

static void put_epochs(struct tt_text *out, const struct tt_policy *policy)
{
    tt_text_put(out, "  \"epochs\": [");
    for (uint32_t i = 0; i < policy->nruns; i++) {
        const struct tt_run *run = &policy->runs[i];
        tt_text_format(out, "%s\n    {\"first\": %llu, \"last\": %llu, \"kept\": \"%s\", \"reason\": \"%s\"}",
                       i ? "," : "", (unsigned long long)run->first, (unsigned long long)run->last,
                       tt_form_name(run->form), tt_reason_name(run->reason));
    }
    tt_text_put(out, "],\n");
}

static bool has_entry(const struct tt_recorder *recorder, const char *key)
{
    for (const struct tt_manifest_entry *entry = recorder->manifest; entry; entry = entry->next)
        if (strcmp(entry->key, key) == 0)
            return true;
    return false;
}

static void put_recorder(struct tt_text *out, const struct tt_recorder *recorder, bool finished)
{
    static const char *const levels[] = {"off", "stats", "hash", "data"};
    char working[PATH_MAX];
    tt_text_format(out, "{\n  \"schema\": \"%s\",\n  \"program\": ", TT_CAPTURE_SCHEMA);
    tt_text_json(out, recorder->options.program);
    tt_text_format(out, ",\n  \"pid\": %ld,\n  \"parent_pid\": %ld,\n  \"started\": %llu,\n  \"finished\": %s,\n",
                   (long)getpid(), (long)getppid(), (unsigned long long)recorder->started,
                   finished ? "true" : "false");
    if (finished)
        tt_text_format(out, "  \"ended\": %llu,\n  \"calls\": %llu,\n", (unsigned long long)time(NULL),
                       (unsigned long long)recorder->next_call);
    tt_text_put(out, "  \"working_directory\": ");
    tt_text_json(out, getcwd(working, sizeof working));
    tt_text_format(out, ",\n  \"level\": \"%s\",\n  \"limit\": %llu,\n  \"everything\": %s,\n  \"select\": ",
                   levels[recorder->options.level & 3], (unsigned long long)recorder->shards.limit,
                   recorder->options.keep_everything ? "true" : "false");
    tt_text_json(out, recorder->options.select);
    tt_text_put(out, ",\n  \"passes\": ");
    tt_text_json(out, recorder->options.passes);
    tt_text_put(out, ",\n");
}

int tt_manifest_write(struct tt_recorder *recorder, bool finished)
{
    struct tt_text out = {0};
    put_recorder(&out, recorder, finished);
    put_command(&out);
    put_environment(&out);
    if (!has_entry(recorder, "path"))
        tt_text_put(&out, "  \"path\": \"unaltered\",\n");
    if (recorder->options.config_json && !has_entry(recorder, "configuration"))
        tt_text_format(&out, "  \"configuration\": %s,\n", recorder->options.config_json);
    for (const struct tt_manifest_entry *entry = recorder->manifest; entry; entry = entry->next) {
        tt_text_put(&out, "  ");
        tt_text_json(&out, entry->key);
        tt_text_format(&out, ": %s,\n", entry->json);
    }
    put_model_files(&out, &recorder->maps);
    put_epochs(&out, &recorder->policy);
    put_losses(&out, &recorder->losses);
    struct libraries libraries = {&out, ""};
    tt_text_put(&out, "  \"libraries\": [");
    dl_iterate_phdr(put_library, &libraries);
    tt_text_put(&out, "]\n}\n");
    int status = out.failed ? -1 : tt_file_replace(recorder->directory, TT_MANIFEST_FILE, out.bytes, out.length);
    tt_text_free(&out);
    return status;
}

static struct tt_manifest_entry *find_entry(struct tt_recorder *recorder, const char *key)
{
    struct tt_manifest_entry *entry = recorder->manifest;
    while (entry && strcmp(entry->key, key) != 0)
        entry = entry->next;
    if (entry)
        return entry;
    entry = calloc(1, sizeof *entry);
    if (entry && !(entry->key = strdup(key))) {
        free(entry);
        return NULL;
    }
    if (entry) {
        entry->next = recorder->manifest;
        recorder->manifest = entry;
    }
    return entry;
}

void tt_recorder_manifest(struct tt_recorder *recorder, const char *key, const char *json)
{
    int saved;
    char *copy = strdup(json);
    if (!copy || !tt_enter(recorder, &saved)) {
        free(copy);
        return;
    }
    pthread_mutex_lock(&recorder->lock);
    struct tt_manifest_entry *entry = find_entry(recorder, key);
    if (entry) {
        free(entry->json);
        entry->json = copy;
        copy = NULL;
        if (recorder->created)
            tt_manifest_write(recorder, false);
    }
    pthread_mutex_unlock(&recorder->lock);
    free(copy);
    tt_leave(recorder, saved);
}
