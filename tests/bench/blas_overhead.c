/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tap costs a BLAS call: nanoseconds per call without it, with TENSORTAP_MODE=off, and with stats and
 * data, for sizes from a single element to a small layer. Prints ratios; asserts nothing, for time on a shared
 * machine proves little.
 *
 *   blas_overhead LIBTENSORTAP.SO
 *
 * The program starts itself once per mode with --measure.
 */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SIZES = 5, REPEATS = 5 };

static const struct {
    const char *name;
    int m, n, k, calls; /* k 0: a dot product of n */
} sizes[SIZES] = {
    {"dot 1", 0, 1, 0, 200000},
    {"sgemm 1x1x1", 1, 1, 1, 100000},
    {"sgemm 8x8x8", 8, 8, 8, 50000},
    {"sgemm 64x64x64", 64, 64, 64, 2000},
    {"sgemm 8x512x512", 8, 512, 512, 100},
};

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ns per call of one size, the best of several rounds. */
static double measure(int size, float *a, float *b, float *c)
{
    int m = sizes[size].m, n = sizes[size].n, k = sizes[size].k;
    double best = 1e9;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = seconds();
        for (int i = 0; i < sizes[size].calls; i++) {
            if (k)
                cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, a, k, b, n, 0, c, n);
            else
                c[0] = cblas_sdot(n, a, 1, b, 1);
        }
        double each = (seconds() - start) / sizes[size].calls * 1e9;
        best = each < best ? each : best;
    }
    return best;
}

static int measure_all(void)
{
    float *a = calloc(3 << 20, sizeof(float)), *b = a + (1 << 20), *c = b + (1 << 20);
    for (int i = 0; i < 2 << 20; i++)
        a[i] = (float)(i % 17) / 16;
    for (int size = 0; size < SIZES; size++)
        printf("%.1f\n", measure(size, a, b, c));
    free(a);
    return 0;
}

/* Runs this program under `library` with `mode`; library NULL: without the tap. */
static int run(const char *library, const char *mode, double *nanoseconds)
{
    char command[8192], directory[] = "/tmp/blas-overhead-XXXXXX";
    if (!mkdtemp(directory))
        return -1;
    snprintf(command, sizeof(command),
             "OPENBLAS_NUM_THREADS=1 TENSORTAP_OUT=%s TENSORTAP_MODE=%s LD_PRELOAD=%s /proc/%d/exe --measure",
             directory, mode, library ? library : "", (int)getpid());
    FILE *pipe = popen(command, "r");
    for (int size = 0; pipe && size < SIZES; size++)
        if (fscanf(pipe, "%lf", &nanoseconds[size]) != 1)
            nanoseconds[size] = 0;
    int status = pipe ? pclose(pipe) : -1;
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    return system(command) == 0 ? status : -1;
}

int main(int argc, char **argv)
{
    static const char *modes[] = {"none", "off", "stats", "hash", "data"};
    double ns[5][SIZES];
    if (argc == 2 && strcmp(argv[1], "--measure") == 0)
        return measure_all();
    if (argc != 2)
        return 2;
    for (int mode = 0; mode < 5; mode++)
        if (run(mode ? argv[1] : NULL, modes[mode], ns[mode]) != 0)
            return 1;
    printf("%-18s %12s %10s %10s %10s %10s\n", "ns per call", "without", "off", "stats", "hash", "data");
    for (int size = 0; size < SIZES; size++) {
        printf("%-18s %12.1f", sizes[size].name, ns[0][size]);
        for (int mode = 1; mode < 5; mode++)
            printf(" %9.2fx", ns[mode][size] / ns[0][size]);
        printf("\n");
    }
    return 0;
}
