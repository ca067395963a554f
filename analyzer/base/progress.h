/* SPDX-License-Identifier: Apache-2.0
 *
 * A progress line on standard error for work that turns out to take longer than two seconds. Silent
 * when standard error is no terminal, and gone again when the work is done.
 *
 *     struct tt_progress progress = tt_progress_begin("verifying", ncalls);
 *     for (…) tt_progress_step(&progress, i);
 *     tt_progress_end(&progress);
 */
#ifndef TT_BASE_PROGRESS_H
#define TT_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct tt_progress {
    const char *what;
    uint64_t total;
    double started, drawn; /* seconds, monotonic; drawn 0: nothing on the screen yet */
    bool terminal;
};

struct tt_progress tt_progress_begin(const char *what, uint64_t total);
void tt_progress_step(struct tt_progress *progress, uint64_t done); /* cheap: may be called per item */
void tt_progress_end(struct tt_progress *progress);
/* For --quiet: no bar in this process. */
void tt_progress_silence(void);

#endif
