/* SPDX-License-Identifier: Apache-2.0
 *
 * The event log: building records and appending them to blocks of a shared file.
 *
 * Invariants: a record never crosses a block; a block belongs to one stream at a time, so appending
 * takes no lock; a record's length is stored last, so a reader sees all of it or none. The file is
 * grown by posix_fallocate before it is mapped: a full disk is an error here, never a SIGBUS.
 * No descriptor stays open, since the engine may close or reuse any number.
 */
#ifndef TT_RECORD_LOG_H
#define TT_RECORD_LOG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "tensortap/format.h"

#define TT_RECORD_BYTES 49152u /* longest record */
#define TT_TEXT_BYTES   4096u  /* longest text in a field, longer ones are cut */

struct tt_record { /* being built */
    uint32_t length;
    uint16_t type;
    bool overflow; /* a field found no room and was left out */
    uint8_t bytes[TT_RECORD_BYTES] __attribute__((aligned(8)));
};

void tt_record_start(struct tt_record *record, enum tt_record_type type);
void tt_record_bytes(struct tt_record *record, enum tt_tag tag, const void *value, uint32_t nbytes);
void tt_record_u64(struct tt_record *record, enum tt_tag tag, uint64_t value);
void tt_record_f64(struct tt_record *record, enum tt_tag tag, double value);
void tt_record_text(struct tt_record *record, enum tt_tag tag, const char *text); /* NULL: left out */
void *tt_record_room(struct tt_record *record, enum tt_tag tag, uint32_t nbytes); /* zeroed, or NULL */

struct tt_file_identity {
    uint64_t device, inode, size, mtime; /* mtime in ns */
};

struct tt_log {
    char *path;
    struct tt_file_identity identity;
    pthread_mutex_t lock;    /* of what follows */
    uint64_t next_block;     /* first never claimed */
    uint64_t allocated;      /* bytes of the file backed by disk */
    uint64_t limit;          /* bytes the file may reach */
    int failed;              /* atomic; -errno once it cannot grow any more, so nobody tries again */
};

struct tt_stream { /* where one thread appends */
    uint8_t *block; /* NULL: none claimed yet */
    uint32_t used;
    uint32_t thread;
};

/* Creates the file in an existing directory. 0 or -errno. */
int tt_log_create(struct tt_log *log, const char *directory, uint64_t limit);
/* Cuts the file to the blocks in use. Streams must have been left. */
void tt_log_close(struct tt_log *log);

/* 0, or -errno: the record is lost and the caller counts it. */
int tt_log_append(struct tt_log *log, struct tt_stream *stream, struct tt_record *record, uint64_t sequence);
bool tt_log_room(const struct tt_stream *stream, uint32_t nbytes);
int tt_log_claim(struct tt_log *log, struct tt_stream *stream);
void tt_log_leave(struct tt_stream *stream);

#endif
