/* SPDX-License-Identifier: Apache-2.0
 *
 * Progress: drawn at most ten times a second, and only after two seconds.
 */
#include "base/progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE  2.0 /* seconds before the first drawing */
#define INTERVAL  0.1
#define BAR_WIDTH 30

static bool silenced;

void tt_progress_silence(void)
{
    silenced = true;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

struct tt_progress tt_progress_begin(const char *what, uint64_t total)
{
    struct tt_progress progress = {.what = what, .total = total, .started = now()};
    progress.terminal = !silenced && isatty(STDERR_FILENO);
    return progress;
}

static void draw(const struct tt_progress *progress, uint64_t done, double elapsed)
{
    double share = progress->total ? (double)done / (double)progress->total : 0;
    int filled = (int)(share * BAR_WIDTH);
    fprintf(stderr, "\r%s [", progress->what);
    for (int i = 0; i < BAR_WIDTH; i++)
        fputc(i < filled ? '#' : '.', stderr);
    fprintf(stderr, "] %3.0f %%", share * 100);
    if (share > 0.02)
        fprintf(stderr, "  %.0f s left", elapsed / share - elapsed);
    fputs("\033[K", stderr);
    fflush(stderr);
}

void tt_progress_step(struct tt_progress *progress, uint64_t done)
{
    if (!progress->terminal)
        return;
    double time = now();
    double last = progress->drawn > 0 ? progress->drawn + INTERVAL : progress->started + PATIENCE;
    if (time < last)
        return;
    progress->drawn = time;
    draw(progress, done, time - progress->started);
}

void tt_progress_end(struct tt_progress *progress)
{
    if (progress->drawn > 0)
        fputs("\r\033[K", stderr);
    progress->drawn = 0;
}
