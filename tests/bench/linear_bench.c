/* SPDX-License-Identifier: Apache-2.0
 *
 * The reference's matrix product against OpenBLAS dgemm on the same shapes, one thread each, in one run: with
 * weights that are held as f64, and with weights that are decoded on the way, whose dgemm has them decoded already
 * and so does less.
 *
 *   linear_bench [LEAST]     LEAST: ratio; with it the exit status is 1 when a shape with held weights stays below
 */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/tensors.h"
#include "ops/op.h"

#define ROUNDS 3 /* the best counts */

struct shape {
    const char *name;
    int64_t rows, inputs, outputs;
    enum tt_dtype dtype; /* of streamed weights; TT_NONE: held as f64 */
};

static const struct shape shapes[] = {
    {"prefill", 512, 4096, 4096, TT_NONE},        {"decode", 1, 4096, 11008, TT_NONE},
    {"chunk", 32, 4096, 11008, TT_NONE},          {"prefill, streamed", 512, 4096, 4096, TT_BF16},
    {"prefill, streamed", 512, 4096, 4096, TT_Q4_K}, {"lm_head, streamed", 1, 4096, 32000, TT_BF16},
    {"lm_head, streamed", 1, 4096, 32000, TT_Q6_K},  {"lm_head, streamed", 32, 4096, 32000, TT_BF16},
};

struct memory {
    double *x, *weight, *y; /* [rows, inputs], [outputs, inputs], [rows, outputs] */
    unsigned char *stored;  /* the weights as `dtype` */
};

struct source {
    enum tt_dtype dtype;
    const unsigned char *stored;
};

/* Of this thread: others on the machine then only share its caches. */
static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int read_stream(const void *user, uint64_t first, uint64_t count, double *out, struct tt_error *error)
{
    const struct source *source = user;
    return tt_decode_range(source->dtype, source->stored, first, count, out);
}

static double time_dgemm(const struct shape *shape, const struct memory *memory)
{
    double start = seconds();
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)shape->rows, (int)shape->outputs,
                (int)shape->inputs, 1, memory->x, (int)shape->inputs, memory->weight, (int)shape->inputs, 0,
                memory->y, (int)shape->outputs);
    return seconds() - start;
}

/* Also checks that both give the same, but for rounding. */
static double time_forward(const struct shape *shape, const struct memory *memory)
{
    struct tt_value x = {.rank = 2, .shape = {shape->rows, shape->inputs}, .v = memory->x}, y = {0};
    struct tt_value weight = {.rank = 2, .shape = {shape->outputs, shape->inputs}};
    struct source source = {shape->dtype, memory->stored};
    struct tt_weight_stream stream = {read_stream, &source};
    struct tt_attributes attributes = {0};
    struct tt_op_call call = {.nin = 1, .in = {&x}, .weight = {&weight}, .attributes = &attributes, .value_only = true};
    struct tt_error error = {0};

    weight.v = shape->dtype == TT_NONE ? memory->weight : NULL;
    call.stream[0] = shape->dtype == TT_NONE ? NULL : &stream;
    double start = seconds();
    if (tt_op_find("linear")->forward(&call, &y, &error) != 0) {
        fprintf(stderr, "linear_bench: %s\n", error.message);
        exit(1);
    }
    double taken = seconds() - start;
    for (int64_t i = 0; i < shape->rows * shape->outputs; i += 97) {
        double scale = y.v[i] > 0 ? y.v[i] : -y.v[i], off = y.v[i] - memory->y[i];
        if (off > 1e-9 * (scale + 1) || off < -1e-9 * (scale + 1)) {
            fprintf(stderr, "linear_bench: %s: element %lld differs\n", shape->name, (long long)i);
            exit(1);
        }
    }
    tt_value_free(&y);
    return taken;
}

static struct memory allocate(const struct shape *shape)
{
    const struct tt_dtype_info *info = tt_dtype_info(shape->dtype);
    size_t rows = (size_t)shape->rows, inputs = (size_t)shape->inputs, outputs = (size_t)shape->outputs;
    size_t nbytes = inputs * outputs / info->block * info->bytes;
    struct memory memory = {malloc(rows * inputs * 8), malloc(inputs * outputs * 8), malloc(rows * outputs * 8),
                            malloc(nbytes + 1)};

    if (!memory.x || !memory.weight || !memory.y || !memory.stored)
        exit(2);
    for (size_t i = 0; i < rows * inputs; i++)
        memory.x[i] = (double)(i * 2654435761u % 2001) / 1000 - 1;
    for (size_t i = 0; i < nbytes; i++) /* bit 6 clear: no NaN or infinity */
        memory.stored[i] = (unsigned char)(i * 2654435761u >> 16) & 0xbf;
    if (shape->dtype != TT_NONE)
        tt_decode_f64(shape->dtype, memory.stored, inputs * outputs, memory.weight);
    for (size_t i = 0; shape->dtype == TT_NONE && i < inputs * outputs; i++)
        memory.weight[i] = (double)(i * 2246822519u % 2001) / 1000 - 1;
    return memory;
}

static void release(struct memory *memory)
{
    free(memory->x);
    free(memory->weight);
    free(memory->y);
    free(memory->stored);
}

/* The ratio of the best times. */
static double measure(const struct shape *shape)
{
    struct memory memory = allocate(shape);
    double dgemm = 1e9, forward = 1e9;

    for (int i = 0; i < ROUNDS; i++) {
        double a = time_dgemm(shape, &memory), b = time_forward(shape, &memory);
        dgemm = a < dgemm ? a : dgemm;
        forward = b < forward ? b : forward;
    }
    release(&memory);
    double work = 2e-9 * (double)shape->rows * (double)shape->inputs * (double)shape->outputs;
    printf("%-18s %5lld x %5lld x %5lld  %-5s %9.2f %9.2f %7.2f\n", shape->name, (long long)shape->rows,
           (long long)shape->inputs, (long long)shape->outputs,
           shape->dtype == TT_NONE ? "f64" : tt_dtype_info(shape->dtype)->name, work / dgemm, work / forward,
           dgemm / forward);
    fflush(stdout);
    return dgemm / forward;
}

int main(int argc, char **argv)
{
    double least = argc > 1 ? atof(argv[1]) : 0;
    int slow = 0;

    openblas_set_num_threads(1);
    printf("%-18s %-23s  %-5s %9s %9s %7s\n", "GFLOP/s", "rows x inputs x outputs", "type", "dgemm", "linear", "ratio");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        slow += measure(&shapes[i]) < least && shapes[i].dtype == TT_NONE;
    if (slow)
        fprintf(stderr, "linear_bench: %d shapes below %g of dgemm\n", slow, least);
    return slow != 0;
}
