/* SPDX-License-Identifier: Apache-2.0
 *
 * Program files: search, scripts, privileges, and the closure of needed libraries.
 *
 * Libraries are looked for where the loader would look: RPATH and RUNPATH, LD_LIBRARY_PATH, the usual
 * folders. A library that is not found there is left out; the answer is a hint, not a proof.
 */
#include "base/program.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/elf_file.h"
#include "base/error.h"
#include "base/text.h"

#define MOST_LIBRARIES 256

static const char *const usual_folders[] = {
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/lib",
};

/* BLAS names: [prefix][cblas_]<routine>[suffix]; the stem decides. */
static const char *const stems[] = {
    "gemm", "gemv", "gemmt", "symm", "symv", "trsm",       "trmm",
    "trsv", "syrk", "dot",   "axpy", "scal", "gemm_batch", "gemm_batch_strided"};

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* First "<folder>/<name>" of a colon-separated list that `accept` takes. */
static char *search(const char *list, const char *name, bool executable)
{
    while (list) {
        size_t length = strcspn(list, ":");
        char *path = length ? tt_format("%.*s/%s", (int)length, list, name) : tt_format("./%s", name);
        if (is_file(path) && (!executable || access(path, X_OK) == 0))
            return path;
        free(path);
        list = list[length] ? list + length + 1 : NULL;
    }
    return NULL;
}

char *tt_program_find(const char *name)
{
    const char *list = getenv("PATH");
    if (strchr(name, '/'))
        return is_file(name) ? tt_strdup(name) : NULL;
    return search(list ? list : "/bin:/usr/bin", name, true);
}

/* The BLAS stem behind a name like scipy_cblas_sgemm64_ or DGEMV; element letters s d c z or sb, sh, bf16
 * forms. */
static bool is_blas(const char *symbol)
{
    char name[64];
    size_t length = 0;
    for (; symbol[length] && length < sizeof name - 1; length++)
        name[length] =
            (char)(symbol[length] >= 'A' && symbol[length] <= 'Z' ? symbol[length] | 0x20 : symbol[length]);
    name[length] = 0;
    const char *start = strstr(name, "cblas_");
    bool c_interface = start != NULL;
    start = start ? start + 6 : strncmp(name, "scipy_", 6) == 0 ? name + 6 : name;
    while (length && (name[length - 1] == '_' || name[length - 1] == '6' || name[length - 1] == '4'))
        name[--length] = 0;
    for (size_t i = 0; i < sizeof stems / sizeof *stems; i++) {
        size_t letters = strspn(start, "sdczbh");
        for (size_t skip = 1; skip <= letters && skip <= 2; skip++) /* "sdot": the d is part of the stem */
            if (strcmp(start + skip, stems[i]) == 0)
                return true;
        if (c_interface && strncmp(start, stems[i], strlen(stems[i])) == 0)
            return true;
    }
    return false;
}

/* `folders` with $ORIGIN replaced by the folder of `file`; NULL for NULL. */
static char *expand_origin(const char *folders, const char *file)
{
    struct tt_string text = {0};
    const char *slash = strrchr(file, '/');
    if (!folders)
        return NULL;
    for (const char *at = folders; *at;) {
        size_t token = strncmp(at, "$ORIGIN", 7) == 0 ? 7 : strncmp(at, "${ORIGIN}", 9) == 0 ? 9 : 0;
        if (token)
            tt_string_add(&text, "%.*s", slash ? (int)(slash - file) : 1, slash ? file : ".");
        else
            tt_string_add_bytes(&text, at, 1);
        at += token ? token : 1;
    }
    return text.text;
}

static char *find_library(const char *name, const char *wanted_by, const char *run_path)
{
    char *folders = expand_origin(run_path, wanted_by);
    char *path = folders ? search(folders, name, false) : NULL;
    free(folders);
    if (strchr(name, '/'))
        return tt_strdup(name);
    if (!path && getenv("LD_LIBRARY_PATH"))
        path = search(getenv("LD_LIBRARY_PATH"), name, false);
    for (size_t i = 0; !path && i < sizeof usual_folders / sizeof *usual_folders; i++)
        path = search(usual_folders[i], name, false);
    return path;
}

struct closure {
    char *files[MOST_LIBRARIES]; /* the program first */
    size_t count;
};

static void add_needed(struct closure *closure, const struct tt_elf *elf, const char *file)
{
    for (size_t i = 0; i < tt_elf_nneeded(elf); i++) {
        const char *name = tt_elf_needed(elf, i);
        bool known = false;
        for (size_t k = 1; k < closure->count && !known; k++)
            known = strcmp(strrchr(closure->files[k], '/') + 1, name) == 0;
        char *path =
            known || closure->count == MOST_LIBRARIES ? NULL : find_library(name, file, tt_elf_run_path(elf));
        if (path && strchr(path, '/'))
            closure->files[closure->count++] = path;
        else
            free(path);
    }
}

static void count_imports(struct tt_program *program, const struct tt_elf *elf, const char *file)
{
    for (size_t i = 0; i < tt_elf_nsymbols(elf); i++) {
        const char *name = tt_elf_import(elf, i);
        if (!name || !is_blas(name))
            continue;
        if (!program->nimports++) {
            program->importer = tt_strdup(file);
            program->import = tt_strdup(name);
        }
    }
}

static void examine_closure(struct tt_program *program)
{
    struct closure closure = {.files = {tt_strdup(program->path)}, .count = 1};
    for (size_t i = 0; i < closure.count; i++) {
        struct tt_elf *elf = tt_elf_open(closure.files[i]);
        if (elf && tt_elf_is_native(elf)) { /* the loader skips a library of another architecture */
            count_imports(program, elf, closure.files[i]);
            add_needed(&closure, elf, closure.files[i]);
        }
        tt_elf_close(elf);
    }
    program->nlibraries = closure.count - 1;
    for (size_t i = 0; i < closure.count; i++)
        free(closure.files[i]);
}

/* The program that "#!/usr/bin/env NAME" or "#!/path" names, NULL: no script. */
static char *interpreter_of(const char *path)
{
    char line[256] = "";
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    size_t length = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[length] = 0;
    if (strncmp(line, "#!", 2) != 0)
        return NULL;
    line[strcspn(line, "\n")] = 0;
    char *word = strtok(line + 2, " \t");
    const char *base = word && strrchr(word, '/') ? strrchr(word, '/') + 1 : word;
    while (word && (strcmp(base, "env") == 0 || *word == '-' || strchr(word, '='))) {
        word = strtok(NULL, " \t");
        base = word ? word : "";
    }
    return word ? tt_program_find(word) : NULL;
}

static bool is_privileged(const char *path)
{
    struct stat info;
    if (stat(path, &info) == 0 && (info.st_mode & (S_ISUID | S_ISGID)))
        return true;
    return getxattr(path, "security.capability", NULL, 0) > 0;
}

struct tt_program tt_program_examine(const char *name)
{
    struct tt_program program = {.path = tt_program_find(name)};
    char *interpreter = program.path ? interpreter_of(program.path) : NULL;
    if (interpreter) {
        program.script = program.path;
        program.path = interpreter;
    }
    if (!program.path || access(program.path, R_OK) != 0)
        return program;
    program.privileged = is_privileged(program.path);
    struct tt_elf *elf = tt_elf_open(program.path);
    if (!elf)
        program.kind = TT_PROGRAM_OTHER;
    else if (!tt_elf_is_native(elf))
        program.kind = TT_PROGRAM_FOREIGN;
    else
        program.kind = tt_elf_is_dynamic(elf) ? TT_PROGRAM_DYNAMIC : TT_PROGRAM_STATIC;
    tt_elf_close(elf);
    if (program.kind == TT_PROGRAM_DYNAMIC)
        examine_closure(&program);
    return program;
}

void tt_program_free(struct tt_program *program)
{
    free(program->path);
    free(program->script);
    free(program->importer);
    free(program->import);
    *program = (struct tt_program){0};
}
