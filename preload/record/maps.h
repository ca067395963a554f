/* SPDX-License-Identifier: Apache-2.0
 *
 * What lies where in this process: a cached /proc/self/maps, read again only when an address is
 * unknown. Tells whether a range may be read, and whether it is part of a mapped file.
 *
 * A cached answer may be out of date (memory is unmapped and reused), so a file is believed only after
 * its bytes were compared with those in memory (tt_maps_compare).
 */
#ifndef TT_RECORD_MAPS_H
#define TT_RECORD_MAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "record/log.h"
#include "tensortap/layout.h"

struct tt_mapped_file {
    char *path;
    struct tt_file_identity identity;
    bool usable;       /* a regular file that is still what the mapping shows */
    bool program;      /* an ELF file: what it maps writable are variables, not a model */
    uint64_t recorded; /* mapping id in the log, 0: not yet written */
};

struct tt_range {
    uint64_t start, end, offset; /* offset of start in the file */
    int file;                    /* index, -1: none */
    bool readable, writable, shared;
};

struct tt_maps {
    struct tt_range *ranges;
    uint32_t nranges;
    struct tt_mapped_file *files;
    uint32_t nfiles;
    uint32_t unknown; /* ranges not found since the last reading */
};

struct tt_found { /* answer for one range of addresses */
    bool readable;
    int file;        /* index, -1: not a file, or one that cannot be referred to, or a program's variables */
    uint64_t offset; /* of the range's start in that file */
    bool writable, shared;
};

int tt_maps_read(struct tt_maps *maps); /* 0 or -errno; old answers stay on failure */
void tt_maps_free(struct tt_maps *maps);

/* False when the cache does not know all of the range. */
bool tt_maps_find(const struct tt_maps *maps, uint64_t start, uint64_t nbytes, struct tt_found *found);
/* Asks the kernel page by page, without faulting. 0, -EFAULT, or another -errno when it cannot tell. */
int tt_maps_probe(uint64_t start, uint64_t nbytes);

/* Does the file hold the same bytes as memory? `full`: all of them by digest, else a sample. */
bool tt_maps_compare(const struct tt_mapped_file *file, uint64_t offset, const struct tt_layout *layout,
                     const uint8_t *low, bool full);

/* File names that look like models, wherever the process holds them: mapped or open. */
bool tt_is_model_name(const char *path);

#endif
