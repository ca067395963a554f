/* SPDX-License-Identifier: Apache-2.0
 *
 * Members of a zip archive, stored or deflated, with the 64-bit extensions. Format: PKWARE APPNOTE 6.3.
 */
#ifndef TT_MODEL_ZIP_H
#define TT_MODEL_ZIP_H

#include "model/file.h"

struct tt_zip_member {
    const char *name; /* [name_length] in the file, not terminated */
    uint16_t name_length;
    uint16_t method; /* 0 stored, 8 deflated */
    uint32_t crc;
    uint64_t packed; /* bytes in the file */
    uint64_t size;   /* bytes unpacked */
    uint64_t offset; /* of its first packed byte */
};

/* *members is owned by the caller, in the order of the archive's directory. */
int tt_zip_list(const struct tt_file *file, struct tt_zip_member **members, size_t *count,
                struct tt_error *error);

/* The `size` bytes of a member: in the mapped file, or in memory that *owned then holds for free().
 * The checksum is verified. NULL with one line. */
const uint8_t *tt_zip_unpack(const struct tt_file *file, const struct tt_zip_member *member, void **owned,
                             struct tt_error *error);

/* The bytes of a member that is stored as it is, unverified, for those of gigabytes; NULL without a line: packed. */
const uint8_t *tt_zip_stored(const struct tt_file *file, const struct tt_zip_member *member);

#endif
