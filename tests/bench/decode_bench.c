/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast stored weights become f64: GB of output per second and core for every type that has a decoder, and
 * the ratio to a memcpy that writes as many bytes, measured in the same run. Twice: into 64 MiB, which no cache
 * holds, and again and again into 256 KiB, as a product that takes its weights in panels does.
 *
 *   decode_bench [LEAST]     LEAST: GB/s; with it the exit status is 1 when a type stays below
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/model.h"

#define ELEMENTS (8u << 20)  /* of the large output: 64 MiB of f64 */
#define PANEL    (32u << 10) /* elements of the small one: 256 KiB */
#define ROUNDS   5           /* the best counts */

struct speed {
    double large, panel; /* GB/s of output */
};

/* Of this thread: others on the machine then only share its caches. */
static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Any codes, but no NaN, infinity or many subnormals in scales: bit 6 is clear in every byte. */
static void fill(unsigned char *bytes, size_t count)
{
    unsigned state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(state >> 24) & 0xbf;
    }
}

/* All elements once, into an output of `room` elements. TT_NONE: a copy of f64. */
static double pass(enum tt_dtype dtype, const unsigned char *in, double *out, size_t room)
{
    const struct tt_dtype_info *info = tt_dtype_info(dtype == TT_NONE ? TT_F64 : dtype);
    size_t nbytes = room / info->block * info->bytes; /* of input for one output */
    double start = seconds();

    for (size_t done = 0; done < ELEMENTS; done += room, in += nbytes) {
        if (dtype == TT_NONE)
            memcpy(out, in, room * sizeof *out);
        else
            tt_decode_f64(dtype, in, room, out);
        __asm__ volatile("" : : "r"(out) : "memory"); /* the output counts as used */
    }
    return ELEMENTS * sizeof *out / (seconds() - start) * 1e-9;
}

static struct speed measure(enum tt_dtype dtype, const unsigned char *in, double *out)
{
    struct speed best = {0, 0};
    for (int i = 0; i < ROUNDS; i++) {
        double large = pass(dtype, in, out, ELEMENTS), panel = pass(dtype, in, out, PANEL);
        best.large = large > best.large ? large : best.large;
        best.panel = panel > best.panel ? panel : best.panel;
    }
    return best;
}

static void print_row(const char *name, struct speed speed, struct speed copy)
{
    printf("%-10s %10.2f %8.2f %12.2f %8.2f\n", name, speed.large, speed.large / copy.large, speed.panel,
           speed.panel / copy.panel);
}

int main(int argc, char **argv)
{
    double least = argc > 1 ? atof(argv[1]) : 0, *out = malloc(ELEMENTS * sizeof *out);
    unsigned char *in = malloc(ELEMENTS * sizeof(double));
    int slow = 0;

    if (!in || !out)
        return 2;
    fill(in, ELEMENTS * sizeof(double));
    struct speed copy = measure(TT_NONE, in, out);
    printf("%-10s %10s %8s %12s %8s\n", "type", "GB/s", "/memcpy", "panels GB/s", "/memcpy");
    print_row("memcpy", copy, copy);
    for (unsigned dtype = 1; dtype < TT_DTYPE_COUNT; dtype++) {
        if (tt_decode_f64((enum tt_dtype)dtype, in, 0, out) != 0)
            continue;
        struct speed speed = measure((enum tt_dtype)dtype, in, out);
        print_row(tt_dtype_info(dtype)->name, speed, copy);
        slow += speed.large < least;
    }
    if (slow)
        fprintf(stderr, "decode_bench: %d types below %g GB/s\n", slow, least);
    free(in);
    free(out);
    return slow ? 1 : 0;
}
