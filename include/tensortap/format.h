/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of a capture's event log, shared by writer and reader. Prose: docs/capture-format.md.
 *
 * Rules that keep old captures readable:
 *  - enums here are append-only: a number is never reused, never given another meaning;
 *  - a reader skips record types and field tags that it does not know;
 *  - a field may grow at its end, so a reader checks `length >= what it needs`, never equality.
 * All integers are little-endian, all records and fields start at multiples of 8.
 */
#ifndef TENSORTAP_FORMAT_H
#define TENSORTAP_FORMAT_H

#include <stdint.h>

#define TT_LOG_FILE       "events.ttlog"
#define TT_MANIFEST_FILE  "manifest.json"
#define TT_SHARD_PATTERN  "data-%04u.safetensors"
#define TT_CAPTURE_SCHEMA "tensortap.capture/1"

#define TT_LOG_MAGIC   "TTAPLOG1" /* first 8 bytes of the file, which are those of block 0 */
#define TT_BLOCK_MAGIC "TTAPBLK1" /* first 8 bytes of every further claimed block */
#define TT_LOG_VERSION 1
#define TT_LOG_BLOCK   65536u /* bytes of one block as written today; a reader takes it from the header */

/* The first 64 bytes of every block; records follow until a length of 0 or the end of the block. */
struct tt_block_header {
    char magic[8];
    uint32_t version;
    uint32_t block_bytes;
    uint64_t index;   /* of this block in the file */
    uint64_t created; /* ns since 1970 */
    uint64_t pid;
    uint64_t reserved[3];
};

struct tt_record_header {
    uint32_t length; /* of header and fields, a multiple of 8; stored last, so 0 until complete */
    uint16_t type;   /* enum tt_record_type */
    uint16_t flags;  /* 0 */
    uint32_t check;  /* XXH32 of the bytes from `thread` to the end, seed length ^ type << 16 */
    uint32_t thread; /* index of the writing thread, named by its thread record */
    uint64_t sequence; /* total order over all threads of the process */
};

struct tt_field_header {
    uint16_t tag; /* enum tt_tag */
    uint16_t reserved;
    uint32_t length; /* of the value without its padding to 8 */
};

enum tt_record_type { /* append-only */
    TT_RECORD_PROCESS = 1,
    TT_RECORD_THREAD = 2,
    TT_RECORD_MODULE = 3,  /* a loaded library */
    TT_RECORD_MAPPING = 4, /* a file whose mapping holds operands */
    TT_RECORD_STRING = 5,  /* reserved */
    TT_RECORD_CALL = 6,
    TT_RECORD_OPERAND = 7,
    TT_RECORD_CALL_END = 8,
    TT_RECORD_MARK = 9,
    TT_RECORD_STACK = 10,
    TT_RECORD_LOSS = 11, /* cumulative: of one (what, detail) the last record counts */
    TT_RECORD_END = 12,
    TT_RECORD_BLOB = 13, /* a tensor stored in a shard; written after its bytes */
    TT_RECORD_CONTENT = 14, /* operands of this digest, recorded before without their bytes, have them after all */
    TT_RECORD_EPOCH = 15, /* an epoch begins, or its form changed: of one epoch the last record counts */
};

enum tt_tag { /* append-only; in brackets the value */
    TT_TAG_ID = 1,          /* [u64] of the record's subject: call, mapping, thread */
    TT_TAG_PARENT = 2,      /* [u64] call id */
    TT_TAG_TAP = 3,         /* [text, no terminating 0] */
    TT_TAG_OP = 4,          /* [text] */
    TT_TAG_ROUTINE = 5,     /* [text] */
    TT_TAG_DEVICE = 6,      /* [u64 device, u64 stream] */
    TT_TAG_EPOCH = 7,       /* [u64] */
    TT_TAG_TIME = 8,        /* [u64] ns, CLOCK_MONOTONIC */
    TT_TAG_ATTRIBUTE = 9,   /* [u32 type, u32 name length, name padded to 8, i64 | f64 | text] */
    TT_TAG_CALL = 10,       /* [u64] call id that an operand, call_end or stack belongs to */
    TT_TAG_ROLE = 11,       /* [text] */
    TT_TAG_KIND = 12,       /* [u16 when, u16 dtype, u16 kept, u16 flags TT_OPERAND_*] */
    TT_TAG_SHAPE = 13,      /* [i64 × rank] logical */
    TT_TAG_STRIDES = 14,    /* [i64 × rank] elements */
    TT_TAG_ADDRESS = 15,    /* [u64] of element [0,…,0] */
    TT_TAG_BUFFER = 16,     /* [u64 buffer, u64 generation] */
    TT_TAG_DIGEST = 17,     /* [16 bytes] XXH3-128, canonical */
    TT_TAG_STATS = 18,      /* [f64 min max mean rms, u64 count nan inf zero] */
    TT_TAG_SEGMENTS = 19,   /* [struct tt_segment_bytes × n] */
    TT_TAG_FILE = 20,       /* [u64 mapping id, u64 offset of the lowest address] */
    TT_TAG_CONFIDENCE = 21, /* [f64] absent: 1 */
    TT_TAG_NAME = 22,       /* [text] of thread, module, blob */
    TT_TAG_PATH = 23,       /* [text] */
    TT_TAG_IDENTITY = 24,   /* [u64 device, inode, size, mtime in ns] */
    TT_TAG_TEXT = 25,       /* [text] of a mark */
    TT_TAG_COUNT = 26,      /* [u64] */
    TT_TAG_BYTES = 27,      /* [u64] */
    TT_TAG_WHAT = 28,       /* [text] kind of loss, TT_LOSS_* */
    TT_TAG_DETAIL = 29,     /* [text] */
    TT_TAG_PLACE = 30,      /* [u64 shard, u64 offset from the start of the file, u64 bytes] */
    TT_TAG_PID = 31,        /* [u64 pid, u64 parent pid] */
    TT_TAG_BUILD_ID = 32,   /* [bytes] */
    TT_TAG_FRAMES = 33,     /* [u64 × n] return addresses, innermost first */
    TT_TAG_FRAME_NAME = 34, /* [text] one per frame, same order */
    TT_TAG_SHARDS = 35,     /* [u64] number of shards, in the end record */
};

enum tt_operand_flags { /* append-only */
    TT_OPERAND_DIGEST = 1 << 0,
    TT_OPERAND_STATS = 1 << 1,
    TT_OPERAND_SAMPLED = 1 << 2, /* recognised as a repeat by sample, not by full digest */
};

struct tt_segment_bytes { /* struct tt_segment of reader.h as it lies in the file */
    uint64_t first_row, rows;
    uint64_t source; /* shard number */
    uint64_t offset; /* from the start of the shard file */
    uint64_t row_stride;
};

#define TT_MAX_SEGMENTS 1024u /* of one operand */

/* Kinds of loss. */
#define TT_LOSS_BUDGET     "budget"     /* the limit on tensor data is reached */
#define TT_LOSS_THINNED    "thinned"    /* later epochs keep digests only */
#define TT_LOSS_TRUNCATED  "truncated"  /* some rows kept */
#define TT_LOSS_FILTERED   "filtered"   /* deselected by the user */
#define TT_LOSS_UNREADABLE "unreadable" /* memory not readable, or an extent that makes no sense */
#define TT_LOSS_DISK       "disk"       /* a file could not be made or grown */
#define TT_LOSS_LOG        "log"        /* records that found no room */
#define TT_LOSS_SELECTION  "selection"  /* a selection key that cannot be applied here */
#define TT_LOSS_TORN       "torn"       /* found by the reader: a block that ends in a broken record */

/* Shards. While a shard is open its header is one page that names `_open`; the rest of the reserved
 * area, which the closed header will fill, counts as tensor data until then. */
#define TT_SHARD_PAGE  4096u
#define TT_SHARD_ALIGN 64u

#endif
