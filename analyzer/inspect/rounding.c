/* SPDX-License-Identifier: Apache-2.0
 *
 * A number rounded to steps of size d has a mean squared error of d²/12; which steps a block has follows from its
 * largest number or its range. Types with blocks in blocks also round the inner scales, to steps of the largest one.
 * The layouts are those of ggml's block types; floats have steps that follow each number.
 */
#include "inspect/rounding.h"

#include <math.h>

#define STEP (1.0 / 12) /* variance of an error that is uniform within one step */

/* How the step of an inner block follows from its numbers. */
enum scale {
    NONE,    /* no steps: the number is rounded alone */
    LARGEST, /* largest magnitude / steps */
    RANGE,   /* (largest - smallest, zero included) / steps */
    POWER,   /* a power of two from the largest, steps that grow with the number: E2M1 */
};

static const struct rounding {
    enum scale scale;
    int block, inner;    /* elements */
    double steps;        /* of the largest magnitude, or of the range */
    double scale_steps;  /* the inner scale is itself rounded to this many steps of the largest one; 0: to f16 */
    double unit;         /* floats: half a step relative to the number */
    double tiny;         /* floats: half of the smallest step */
    double nominal;
} roundings[TT_DTYPE_COUNT] = {
    [TT_F32] = {.unit = 0x1p-24, .tiny = 0x1p-150, .nominal = 1e-15},
    [TT_F16] = {.unit = 0x1p-11, .tiny = 0x1p-25, .nominal = 4.3e-8},
    [TT_BF16] = {.unit = 0x1p-8, .tiny = 0x1p-134, .nominal = 2.8e-6},
    [TT_F8_E4M3] = {.unit = 0x1p-4, .tiny = 0x1p-10, .nominal = 7e-4},
    [TT_F8_E5M2] = {.unit = 0x1p-3, .tiny = 0x1p-17, .nominal = 2.8e-3},
    [TT_Q8_K] = {LARGEST, 256, 256, 127, 0, 0, 0, 3.5e-5},
    [TT_Q8_0] = {LARGEST, 32, 32, 127, 0, 0, 0, 2.8e-5},
    [TT_Q8_1] = {LARGEST, 32, 32, 127, 0, 0, 0, 2.8e-5},
    [TT_Q6_K] = {LARGEST, 256, 16, 32, 127, 0, 0, 3.1e-4},
    [TT_Q5_1] = {RANGE, 32, 32, 31, 0, 0, 0, 1.2e-3},
    [TT_Q5_K] = {RANGE, 256, 32, 31, 63, 0, 0, 1.3e-3},
    [TT_Q5_0] = {LARGEST, 32, 32, 16, 0, 0, 0, 1.8e-3},
    [TT_Q4_1] = {RANGE, 32, 32, 15, 0, 0, 0, 5.2e-3},
    [TT_Q4_K] = {RANGE, 256, 32, 15, 63, 0, 0, 5e-3},
    [TT_IQ4_NL] = {LARGEST, 32, 32, 7, 0, 0, 0, 5.5e-3},
    [TT_IQ4_XS] = {LARGEST, 256, 32, 7, 31, 0, 0, 5.6e-3},
    [TT_Q4_0] = {LARGEST, 32, 32, 8, 0, 0, 0, 7e-3},
    [TT_MXFP4] = {POWER, 32, 32, 4, 0, 0, 0, 1.3e-2},
    [TT_NVFP4] = {POWER, 16, 16, 4, 0, 0, 0, 1.2e-2},
    [TT_Q3_K] = {LARGEST, 256, 16, 4, 31, 0, 0, 2.2e-2},
    [TT_Q2_K] = {RANGE, 256, 16, 3, 15, 0, 0, 8.5e-2},
    [TT_TQ1_0] = {LARGEST, 256, 256, 1, 0, 0, 0, 0.2},
    [TT_TQ2_0] = {LARGEST, 256, 256, 1, 0, 0, 0, 0.2},
};

static const struct rounding *rounding_of(enum tt_dtype dtype)
{
    return &roundings[(unsigned)dtype < TT_DTYPE_COUNT ? dtype : TT_NONE];
}

int64_t tt_rounding_block(enum tt_dtype dtype)
{
    int block = rounding_of(dtype)->block;
    return block ? block : 1;
}

double tt_rounding_nominal(enum tt_dtype dtype)
{
    double nominal = rounding_of(dtype)->nominal;
    return nominal || dtype == TT_F64 ? nominal : 0.1;
}

static double alone(const struct rounding *r, const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    /* the step is a unit to half a unit of the number: 0.18 over all numbers */
    return 0.18 * r->unit * r->unit * sum + (double)n * r->tiny * r->tiny / 3;
}

static double step_of(const struct rounding *r, const double *x, int64_t n)
{
    double low = 0, high = 0;
    for (int64_t i = 0; i < n; i++) { /* comparisons, which the compiler turns into vector code; fmin it does not */
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    return (r->scale == RANGE ? high - low : fmax(high, -low)) / r->steps;
}

/* E2M1: 0, ½, 1, 1½, 2, 3, 4, 6 times a power of two that takes the largest number to [4, 8). */
static double by_power(const double *x, int64_t n)
{
    double largest = 0, sum = 0;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(x[i]));
    double unit = largest > 0 ? exp2(floor(log2(largest)) - 2) : 0;
    for (int64_t i = 0; i < n; i++) {
        double size = fabs(x[i]), step = size < 2 * unit ? unit / 2 : size < 4 * unit ? unit : 2 * unit;
        double beyond = fmax(0, size - 6 * unit);
        sum += step * step * STEP + beyond * beyond;
    }
    return sum;
}

static double in_blocks(const struct rounding *r, const double *x, int64_t n)
{
    double largest = 0, sum = 0;
    for (int64_t at = 0; at < n; at += r->inner) {
        int64_t count = n - at < r->inner ? n - at : r->inner;
        double step = step_of(r, x + at, count);
        largest = fmax(largest, step);
        sum += (double)count * step * step * STEP;
    }
    if (r->scale_steps > 0) /* a wrong scale is multiplied by numbers of up to `steps` */
        sum += (double)n * largest * largest / (r->scale_steps * r->scale_steps) * STEP * r->steps * r->steps / 3;
    return sum;
}

double tt_rounding_error(enum tt_dtype dtype, const double *exact, int64_t n)
{
    const struct rounding *r = rounding_of(dtype);
    if (r->scale == NONE)
        return alone(r, exact, n);
    return r->scale == POWER ? by_power(exact, n) : in_blocks(r, exact, n);
}
