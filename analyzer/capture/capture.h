/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the capture reader.
 *
 * Everything in the files is hostile until checked: lengths before use, shapes when decoded (so that
 * tt_operand_count cannot overflow), places when read. Damage loses the record it is in, no more.
 */
#ifndef TT_CAPTURE_CAPTURE_H
#define TT_CAPTURE_CAPTURE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tensortap/format.h"
#include "tensortap/reader.h"

struct record { /* one that passed its check */
    uint64_t sequence;
    const uint8_t *fields; /* after the header */
    uint32_t nbytes;       /* of all fields */
    uint32_t thread;
    uint16_t type;
};

struct field {
    uint16_t tag;
    uint32_t length;
    const uint8_t *value;
};

struct source { /* a file that holds bytes of operands, mapped on first use */
    char *path;
    const uint8_t *bytes;
    uint64_t size;
    bool tried;
};

struct mapping {
    uint64_t id;
    char *path;
    uint64_t size, mtime;
};

struct strings { /* interned */
    char **slots;
    size_t capacity, count;
};

struct tt_capture {
    char *path;
    struct cJSON *manifest;
    const uint8_t *log;
    size_t log_bytes;
    bool finished;
    uint64_t torn; /* blocks that end in a broken record */

    struct record *records; /* by sequence */
    size_t nrecords;
    struct strings strings;
    struct tt_recorded_call *calls;
    size_t ncalls;
    struct tt_operand *operands;
    size_t noperands;
    struct tt_mark *marks;
    size_t nmarks;
    struct tt_epoch *epochs; /* by number */
    size_t nepochs;
    struct tt_loss *losses;
    size_t nlosses;
    struct mapping *mappings;
    size_t nmappings;
    void **blocks; /* allocations that live as long as the capture */
    size_t nblocks;

    pthread_mutex_t lock; /* of the sources */
    struct source **sources; /* pointers, so that growing moves none */
    size_t nsources;
};

/* log.c: fills records; -1 when the file is no event log. */
int capture_scan(struct tt_capture *capture, struct tt_error *error);
bool next_field(const struct record *record, uint32_t *at, struct field *field);
/* 0 when the field is too short. */
uint64_t field_u64(const struct field *field, unsigned index);
double field_f64(const struct field *field, unsigned index);

/* index.c: records become calls, operands, marks and losses. */
void capture_index(struct tt_capture *capture);
const char *capture_string(struct tt_capture *capture, const void *bytes, size_t length);
void *capture_keep(struct tt_capture *capture, void *allocation);

/* late.c: what later records say about epochs, and about operands recorded before. */
void capture_late(struct tt_capture *capture);

/* resolve.c: directory that `path` means; owned by the caller. NULL with *error. */
char *capture_resolve(const char *path, struct tt_error *error);

/* source.c: maps a file; NULL when it cannot be read. Thread-safe. */
const struct source *capture_source(const struct tt_capture *capture, const char *path);
void capture_sources_free(struct tt_capture *capture);

#endif
