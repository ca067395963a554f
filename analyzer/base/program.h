/* SPDX-License-Identifier: Apache-2.0
 *
 * What a program file tells about how it can be tapped: dynamic or static, privileged, which BLAS
 * routines it and its libraries import. Looks at files only; nothing of the program runs.
 */
#ifndef TT_BASE_PROGRAM_H
#define TT_BASE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

enum tt_program_kind {
    TT_PROGRAM_MISSING, /* not found, or not readable */
    TT_PROGRAM_DYNAMIC, /* ELF that the dynamic loader starts */
    TT_PROGRAM_STATIC,  /* ELF without an interpreter: LD_PRELOAD does not reach it */
    TT_PROGRAM_FOREIGN, /* ELF of another architecture than this tool's */
    TT_PROGRAM_OTHER,   /* no ELF file and no script */
};

struct tt_program {
    char *path;   /* resolved by PATH, and by #! when it is a script */
    char *script; /* the script, NULL: not one */
    enum tt_program_kind kind;
    bool privileged;   /* set-uid, set-gid or file capabilities: the loader drops LD_PRELOAD */
    size_t nlibraries; /* that could be found without running anything */
    size_t nimports;   /* BLAS routines imported by it or these libraries */
    char *importer;    /* first file that imports one, and */
    char *import;      /* that routine's name; NULL: none */
};

struct tt_program tt_program_examine(const char *name);
void tt_program_free(struct tt_program *program);

/* Path of an executable as execvp finds it, NULL: none. Owned by the caller. */
char *tt_program_find(const char *name);

#endif
