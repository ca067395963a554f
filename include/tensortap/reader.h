/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a capture, finished or not. Memory-mapped, nothing is copied until a tensor's values are
 * asked for. A reader never writes to the capture.
 */
#ifndef TENSORTAP_READER_H
#define TENSORTAP_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensortap/dtype.h"
#include "tensortap/writer.h" /* TT_MAX_RANK, enum tt_when, enum tt_level */

struct tt_capture;
struct tt_error; /* analyzer/base/error.h: code and one-line message */
struct cJSON;

enum tt_kept { /* what is left of an operand's bytes; append-only, in the file */
    TT_KEPT_DATA = 1,   /* in a shard of this capture */
    TT_KEPT_HASH = 2,   /* digest only */
    TT_KEPT_STATS = 3,  /* statistics only */
    TT_KEPT_FILE = 4,   /* in a model file, at path and offset */
    TT_KEPT_FILTERED = 5,
    TT_KEPT_TRUNCATED = 6,
    TT_KEPT_UNREADABLE = 7,
    TT_KEPT_BUDGET = 8,
};

struct tt_stats { /* over finite elements unless said otherwise */
    double min, max, mean, rms;
    uint64_t count;     /* all elements */
    uint64_t nan, inf, zero;
    bool valid;
};

struct tt_digest {
    uint8_t bytes[16]; /* XXH3-128, canonical (big-endian) form, over the logical elements in memory order */
};

struct tt_segment { /* `rows` lines of the operand in memory order */
    uint64_t first_row, rows;
    uint32_t source;   /* index of the shard, or of the mapped file when kept is FILE */
    uint64_t offset;   /* bytes from the start of that file */
    uint64_t row_stride; /* bytes between lines in the source */
};

struct tt_operand {
    uint64_t call;      /* id of its call */
    const char *role;
    enum tt_when when;
    enum tt_dtype dtype;
    int rank;
    int64_t shape[TT_MAX_RANK];
    int64_t strides[TT_MAX_RANK]; /* elements, as in the process */
    uint64_t address;   /* of element [0,…,0] in the process */
    uint64_t buffer, generation; /* buffer id and its generation, 0: unknown */
    enum tt_kept kept;
    bool has_digest, repeat_sampled; /* repeat recognised by sample, not by full digest */
    struct tt_digest digest;
    struct tt_stats stats;
    uint32_t nsegments;
    const struct tt_segment *segments;
    const char *file;   /* FILE: path of the mapped file, else NULL */
    uint64_t file_offset; /* FILE: byte offset of the operand's lowest address in it */
    double confidence;  /* 1 for declared extents */
    uint64_t sequence;  /* when it was recorded, in the order of all records */
    uint64_t file_size, file_mtime; /* FILE: of the file when it was mapped, mtime in ns */
    const struct tt_capture *capture; /* that its bytes belong to */
};

struct tt_attribute {
    const char *name;
    int type;           /* TT_ATTR_* */
    int64_t i;
    double f;
    const char *s;
};

struct tt_recorded_call {
    uint64_t id, parent; /* parent 0: none */
    const char *tap, *op, *routine;
    uint64_t thread, device, stream, epoch;
    uint64_t seq_begin, seq_end;   /* order over all threads; seq_end 0: never ended */
    uint64_t time_begin, time_end; /* ns, CLOCK_MONOTONIC */
    uint32_t nattributes;
    const struct tt_attribute *attributes;
    uint32_t noperands;
    const struct tt_operand *const *operands; /* in the order recorded */
    uint32_t nframes;
    const char *const *frames; /* native backtrace, innermost first; may be empty */
};

struct tt_epoch {
    uint64_t number;
    const char *form;   /* "data" or "statistics" */
    const char *reason; /* docs/capture-format.md */
    const char *op;     /* of the call it began with */
};

struct tt_mark {
    uint64_t seq, time, epoch;
    const char *text;
};

struct tt_loss {
    const char *what;   /* "budget", "unreadable", "disk", "torn", … */
    const char *detail;
    uint64_t count, bytes;
};

/* Opens one capture directory, or a parent that holds exactly one. NULL and *error on failure. */
struct tt_capture *tt_capture_open(const char *path, struct tt_error *error);
void tt_capture_close(struct tt_capture *capture);

const char *tt_capture_path(const struct tt_capture *capture);
const struct cJSON *tt_capture_manifest(const struct tt_capture *capture);
bool tt_capture_finished(const struct tt_capture *capture); /* an end record was found */

size_t tt_capture_ncalls(const struct tt_capture *capture);
/* In order of seq_begin. */
const struct tt_recorded_call *tt_capture_call(const struct tt_capture *capture, size_t index);
size_t tt_capture_nmarks(const struct tt_capture *capture);
const struct tt_mark *tt_capture_mark(const struct tt_capture *capture, size_t index);
size_t tt_capture_nlosses(const struct tt_capture *capture);
const struct tt_loss *tt_capture_loss(const struct tt_capture *capture, size_t index);

/* Epochs and the form in which each was kept, by number. Captures made before these were recorded have none. */
size_t tt_capture_nepochs(const struct tt_capture *capture);
const struct tt_epoch *tt_capture_epoch(const struct tt_capture *capture, size_t index);

/* NULL when the call has none of that role and time. */
const struct tt_operand *tt_call_find(const struct tt_recorded_call *call, const char *role,
                                      enum tt_when when);
/* 0/NULL defaults when absent; *found may be NULL. */
int64_t tt_call_attr_i64(const struct tt_recorded_call *call, const char *name, int64_t fallback);
double tt_call_attr_f64(const struct tt_recorded_call *call, const char *name, double fallback);
const char *tt_call_attr_str(const struct tt_recorded_call *call, const char *name);

static inline uint64_t tt_operand_count(const struct tt_operand *operand)
{
    uint64_t n = 1;
    for (int i = 0; i < operand->rank; i++)
        n *= (uint64_t)operand->shape[i];
    return n;
}

/* Values are readable: DATA, or FILE with the file unchanged. */
bool tt_operand_readable(const struct tt_operand *operand);

/* All elements, row-major in logical order, converted to f64. `out` has tt_operand_count elements.
 * 0 or -1 with *error. Integers and booleans convert exactly where a double can hold them. */
int tt_operand_read(const struct tt_capture *capture, const struct tt_operand *operand, double *out,
                    struct tt_error *error);
/* Also for TRUNCATED operands: elements that were not kept are NaN and have 0 in `present` (may be NULL). */
int tt_operand_read_some(const struct tt_capture *capture, const struct tt_operand *operand, double *out,
                         unsigned char *present, struct tt_error *error);
/* Same elements unconverted, in logical row-major order; for plain dtypes. */
int tt_operand_read_raw(const struct tt_capture *capture, const struct tt_operand *operand, void *out,
                        struct tt_error *error);

#endif
