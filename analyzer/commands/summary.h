/* SPDX-License-Identifier: Apache-2.0
 *
 * A capture in numbers: calls by routine, operands by what was kept of them, losses.
 */
#ifndef TT_COMMANDS_SUMMARY_H
#define TT_COMMANDS_SUMMARY_H

#include <stdint.h>

#include <cjson/cJSON.h>

#include "report/term.h"
#include "tensortap/reader.h"

#define TT_KEPT_COUNT 9 /* enum tt_kept, [0] unused */

struct tt_routine_summary {
    const char *tap, *op, *routine;  /* of the capture */
    uint64_t calls, operands, bytes; /* bytes: of its operands as the program held them */
    uint64_t first_epoch, last_epoch;
    uint64_t unfinished; /* calls that never ended */
};

struct tt_summary {
    uint64_t calls, operands, epochs, threads;
    uint64_t kept[TT_KEPT_COUNT];        /* operands */
    uint64_t kept_bytes[TT_KEPT_COUNT];  /* as the program held them */
    uint64_t repeats, repeat_bytes;      /* DATA operands whose content was stored before */
    uint64_t sampled;                    /* repeats recognised by sample only */
    uint64_t nonfinite;                  /* operands with NaN or Inf */
    uint64_t disk_bytes;                 /* files of the capture */
    double seconds;                      /* from the first call to the last */
    struct tt_routine_summary *routines; /* by first call */
    size_t nroutines;
};

struct tt_summary tt_summary_of(const struct tt_capture *capture);
void tt_summary_free(struct tt_summary *summary);

/* Bytes of an operand as the program held it. */
uint64_t tt_operand_bytes(const struct tt_operand *operand);
/* "data", "hash", … */
const char *tt_kept_name(enum tt_kept kept);

/* What was not captured and why, one text a row: losses of the log, operands not kept. The rows are
 * owned by the caller. */
struct tt_gaps {
    char **lines;
    size_t count;
};
struct tt_gaps tt_summary_gaps(const struct tt_capture *capture, const struct tt_summary *summary);
void tt_gaps_free(struct tt_gaps *gaps);

cJSON *tt_summary_json(const struct tt_capture *capture, const struct tt_summary *summary);

/* Member of the manifest as text, `fallback` when it is absent; numbers give `fallback` too. */
const char *tt_manifest_text(const struct tt_capture *capture, const char *key, const char *fallback);
/* The command line as one shell-like line; owned by the caller. */
char *tt_manifest_command(const struct tt_capture *capture);

#endif
