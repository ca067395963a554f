/* SPDX-License-Identifier: Apache-2.0
 *
 * Files mapped read-only, and what every parser of foreign bytes needs: bounded little-endian loads
 * and names that are safe to print.
 */
#ifndef TT_MODEL_FILE_H
#define TT_MODEL_FILE_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"

struct tt_file {
    char *path;          /* as asked for: what messages name */
    char *real;          /* absolute, links resolved: what /proc/PID/maps shows */
    const uint8_t *data; /* [size], NULL when the file is empty */
    uint64_t size;       /* bytes */
};

/* NULL with one line when `path` is missing, unreadable or no regular file. */
struct tt_file *tt_file_map(const char *path, struct tt_error *error);
void tt_file_unmap(struct tt_file *file); /* NULL is allowed */

bool tt_utf8_valid(const void *bytes, size_t length);

/* A name out of a file, for messages: control and non-ASCII bytes as '?', cut to fit. */
struct tt_printable {
    char text[96];
};
struct tt_printable tt_printable(const void *bytes, size_t length);

static inline uint16_t tt_load_u16(const void *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return le16toh(value);
}

static inline uint32_t tt_load_u32(const void *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static inline uint64_t tt_load_u64(const void *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

#endif
