/* SPDX-License-Identifier: Apache-2.0
 *
 * The heart of libtensortap.so: is the tap on, which capture is open, and how a tap enters it.
 *
 * Invariants
 * - Nothing here writes to stdout or stderr, ends the process, or leaves errno or the floating-point
 *   control word changed.
 * - No directory, thread or file exists before the first tapped call: the capture opens in tt_section_enter.
 * - A section is a short stretch of our own code; the program's real function never runs inside one. Closing
 *   waits for the sections in progress, so a thread that is still inside a long gemm at exit cannot meet a
 *   freed recorder.
 */
#ifndef TT_PRELOAD_CORE_H
#define TT_PRELOAD_CORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tensortap/writer.h"

#define TT_EXPORT __attribute__((visibility("default")))
#define TT_LIKELY(x) __builtin_expect(!!(x), 1)

enum tt_state {
    TT_STATE_UNKNOWN, /* configuration not read yet: a wrapper ran before our constructor */
    TT_STATE_ON,
    TT_STATE_OFF, /* MODE=off, set-uid, program not selected, recorder failed, or closed */
};

extern atomic_int tt_state;
extern atomic_bool tt_paused; /* tensortap_stop() was called */

/* Reads the configuration once; true when the tap is on. Callable before our constructor has run. */
bool tt_core_decide(void);

/* The check at the head of every wrapper: two loads when the tap is off or paused. */
static inline bool tt_core_on(void)
{
    int state = atomic_load_explicit(&tt_state, memory_order_relaxed);
    if (state == TT_STATE_OFF || atomic_load_explicit(&tt_paused, memory_order_relaxed))
        return false;
    return TT_LIKELY(state == TT_STATE_ON) || tt_core_decide();
}

/* What a section must give back to the program. */
struct tt_section {
    int saved_errno;
    uint64_t saved_float_control; /* rounding mode, exception masks and flags */
};

/* Enters our own code; opens the capture when this is the first tapped call of the process. NULL: nothing is
 * being recorded, and the section is not entered. */
struct tt_recorder *tt_section_enter(struct tt_section *section);
/* The same for a call that began recording earlier; false when its capture has closed meanwhile. */
bool tt_section_resume(struct tt_section *section, const struct tt_recorder *recorder);
void tt_section_leave(const struct tt_section *section);

/* Ends the capture of this process: idempotent, a no-op in a child that never recorded. `waiting` gives the
 * sections of other threads up to two seconds. */
void tt_core_close(void);

/* Adds one line to the manifest's "problems". Safe at any time; the text is copied. */
void tt_core_problem(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
