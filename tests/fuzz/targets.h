/* SPDX-License-Identifier: Apache-2.0
 *
 * What is done with a damaged file: it must be refused with one line, or be readable to its last element.
 */
#ifndef TT_FUZZ_TARGETS_H
#define TT_FUZZ_TARGETS_H

#include "seeds.h"

struct target {
    const char *name;
    const char *file;            /* that the case is written to */
    const char *opens;           /* that is opened: "" the folder, NULL the file */
    seed_maker *seed;            /* NULL: from a folder of seeds alone */
    void (*repair)(struct bytes *file); /* NULL: nothing to make right after damage */
    int (*use[3])(const char *path);    /* 1: opened, 0: refused */
};

extern const struct target targets[];
extern const size_t ntargets;

/* Ends the program. */
void require(int condition, const char *what);

#endif
