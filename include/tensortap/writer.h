/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing a capture. Used by the taps inside a traced process, by `tensortap ref`, and by any
 * program that wants to leave a capture of its own. Linked as the static library tensortap-record.
 *
 * All functions are thread-safe, preserve errno, print nothing and never call exit or abort. When
 * something cannot be written the loss is counted and recorded (see TT_LOSS_* in format.h); the
 * caller does not have to look at it.
 */
#ifndef TENSORTAP_WRITER_H
#define TENSORTAP_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensortap/dtype.h"

#define TT_MAX_RANK 8
#define TT_CALL_MAX_ATTRS 32

enum tt_level { TT_LEVEL_OFF, TT_LEVEL_STATS, TT_LEVEL_HASH, TT_LEVEL_DATA };

enum tt_when { TT_BEFORE = 0, TT_AFTER = 1 };

/* A strided view into the caller's memory. `data` points at element [0,…,0]; strides may be
 * negative or zero and are counted in elements. Block dtypes: the last axis is contiguous and
 * strides are counted in elements of the logical tensor. */
struct tt_tensor_view {
    enum tt_dtype dtype;
    int rank;                     /* 0…TT_MAX_RANK */
    int64_t shape[TT_MAX_RANK];   /* logical: op(A) of a gemm is [M, K] whatever its storage */
    int64_t strides[TT_MAX_RANK]; /* elements */
    const void *data;             /* may be NULL when an extent is 0 */
};

struct tt_recorder; /* one open capture */

struct tt_recorder_options {
    const char *parent;    /* directory in which tensortap.<program>.<pid>[.n] is made */
    const char *directory; /* or: the exact directory to create; wins over parent */
    const char *program;   /* name for the directory; NULL: the running program's */
    enum tt_level level;
    uint64_t limit;        /* bytes of tensor data; 0: min(2 GiB, 5 % of free space) */
    bool keep_everything;  /* no thinning over epochs, as a reference run wants it */
    const char *select;    /* --select expression, NULL: all */
    const char *passes;    /* epochs kept in full, like "0-3,7"; NULL: the default policy */
    const char *config_json; /* stored in the manifest as "configuration"; may be NULL */
};

/* Creates the directory lazily, on the first call recorded. 0 or -errno; *out owned by the caller. */
int tt_recorder_open(struct tt_recorder **out, const struct tt_recorder_options *options);

/* Writes end records, final shard headers and the manifest; frees. NULL is allowed. */
void tt_recorder_close(struct tt_recorder *recorder);

/* Path of the capture directory, or NULL when nothing has been recorded yet. Owned by the recorder. */
const char *tt_recorder_directory(const struct tt_recorder *recorder);

/* -errno of what kept the capture from being made, 0 when nothing did (yet). */
int tt_recorder_failure(const struct tt_recorder *recorder);

/* How many losses have been counted so far: a recording that has to be whole can stop at the first one. */
uint64_t tt_recorder_nlosses(struct tt_recorder *recorder);

/* Adds a string, number or JSON text to the manifest (key, value as JSON). */
void tt_recorder_manifest(struct tt_recorder *recorder, const char *key, const char *json);

/* A call being recorded; lives on the stack of the wrapper, written when it begins and ends.
 * The fields are the recorder's; set attributes and operands through the functions below. */
struct tt_call_scope {
    struct tt_recorder *recorder; /* NULL: not recorded, all functions below return at once */
    uint64_t id;
    uint64_t parent;
    uint32_t tap, level;
    bool begun, data, hash;
    uint32_t nattrs;
    struct tt_attr {
        const char *name; /* static string */
        enum { TT_ATTR_I64 = 1, TT_ATTR_F64 = 2, TT_ATTR_STR = 3 } type;
        union {
            int64_t i;
            double f;
            const char *s; /* must live until tt_call_begin returns */
        };
    } attrs[TT_CALL_MAX_ATTRS];
    void *private_[8];
};

/* Starts a call. `op` is the mathematical operation ("matmul", "matvec", "dot", "axpy", "scal", …), `routine` the
 * function as called ("cblas_sgemm"); both static strings. A call that begins while another of the same
 * tap runs on this thread is not recorded (nested implementation), of another tap is its child. */
bool tt_call_enter(struct tt_call_scope *call, struct tt_recorder *recorder, const char *tap,
                   const char *op, const char *routine);
/* A call made of several (gemm_batch): `child` is recorded as part of `parent`, of the same tap, on this thread.
 * Children of one parent may be open at the same time; each is ended with tt_call_end before the parent. Calls
 * that the thread makes meanwhile see the parent only. */
bool tt_call_enter_child(struct tt_call_scope *child, const struct tt_call_scope *parent, const char *op,
                         const char *routine);
void tt_call_i64(struct tt_call_scope *call, const char *name, int64_t value);
void tt_call_f64(struct tt_call_scope *call, const char *name, double value);
void tt_call_str(struct tt_call_scope *call, const char *name, const char *value);

/* An input that will be recorded, told before tt_call_begin: a call whose weight recurs begins a new epoch, and
 * belongs to it as a whole. Without it the next call is the first of the epoch. */
void tt_call_announce(struct tt_call_scope *call, const struct tt_tensor_view *view);

/* Writes the call record with its attributes; operands may follow. */
void tt_call_begin(struct tt_call_scope *call);

/* Reads the view now, keeps what level, selection and budget allow, writes the operand record. `role` is a
 * static string ("a", "b", "c", "x", "y", "out", …). */
void tt_call_operand(struct tt_call_scope *call, const char *role, enum tt_when when,
                     const struct tt_tensor_view *view);
void tt_call_end(struct tt_call_scope *call);

/* A named point in time: advances the epoch when `epoch` is set. `text` is copied. */
void tt_recorder_mark(struct tt_recorder *recorder, const char *text, bool epoch);

#endif
