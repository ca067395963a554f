/* SPDX-License-Identifier: Apache-2.0
 *
 * Making files inside somebody else's process: exclusive, private, links not followed, and without a
 * SIGXFSZ when the engine lives under a file size limit. Functions return 0, a descriptor, or -errno.
 */
#ifndef TT_RECORD_FILES_H
#define TT_RECORD_FILES_H

#include <stdint.h>

struct tt_file_identity; /* log.h */

char *tt_path_join(const char *directory, const char *name); /* NULL: no memory */
int tt_file_create(const char *path, struct tt_file_identity *identity);
/* The file that was created, or an error when another one has taken its name. */
int tt_file_reopen(const char *path, const struct tt_file_identity *identity);
int tt_file_allocate(int fd, uint64_t offset, uint64_t nbytes);
/* Replaces `name` in `directory` by a complete new file. */
int tt_file_replace(const char *directory, const char *name, const void *bytes, uint64_t nbytes);

/* Makes tensortap.<program>.<pid>[.n] in `parent` (made when missing), or exactly `exact` when that
 * is not NULL. *out: absolute path, owned by the caller. */
int tt_directory_create(char **out, const char *parent, const char *exact, const char *program);

#endif
