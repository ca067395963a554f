/* SPDX-License-Identifier: Apache-2.0
 *
 * Statistics of a view (stats.h): choosing kernels, visiting chunks, guarding the engine's FP state.
 */
#include "record/stats.h"

#include <fenv.h>
#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

/* Not every compiler's __builtin_cpu_supports knows f16c. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

const struct tt_kernels *tt_kernels(void)
{
#if defined(__x86_64__)
    static const struct tt_kernels *chosen;
    const struct tt_kernels *kernels = __atomic_load_n(&chosen, __ATOMIC_RELAXED);
    if (!kernels) {
        __builtin_cpu_init();
        bool wide = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi2") && has_f16c();
        kernels = wide ? &tt_kernels_avx2 : &tt_kernels_plain;
        __atomic_store_n(&chosen, kernels, __ATOMIC_RELAXED);
    }
    return kernels;
#else
    return &tt_kernels_plain;
#endif
}

/* Engines may have unmasked exceptions or flush denormals; both would change or end our sums, and our
 * sums would leave flags behind. */
#if defined(__x86_64__)
typedef unsigned fp_state;
static void fp_enter(fp_state *state)
{
    *state = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(0x1F80);
}
static void fp_leave(const fp_state *state)
{
    __builtin_ia32_ldmxcsr(*state);
}
#else
typedef fenv_t fp_state;
static void fp_enter(fp_state *state)
{
    feholdexcept(state);
}
static void fp_leave(const fp_state *state)
{
    fesetenv(state);
}
#endif

struct visit {
    struct tt_sums sums;
    tt_sums_add *add;
    uint32_t unit_bytes;
    size_t staged;
    uint8_t stage[4096]; /* short lines are gathered: kernels want long runs */
};

static void flush(struct visit *visit)
{
    visit->add(&visit->sums, visit->stage, visit->staged / visit->unit_bytes);
    visit->staged = 0;
}

static void stats_chunk(void *context, const uint8_t *bytes, size_t nbytes)
{
    struct visit *visit = context;
    if (nbytes >= sizeof visit->stage / 2) { /* sums do not depend on order */
        visit->add(&visit->sums, bytes, nbytes / visit->unit_bytes);
        return;
    }
    if (visit->staged + nbytes > sizeof visit->stage)
        flush(visit);
    memcpy(visit->stage + visit->staged, bytes, nbytes);
    visit->staged += nbytes;
}

void tt_stats_of(const struct tt_layout *layout, enum tt_dtype dtype, const uint8_t *low,
                 struct tt_stats *stats)
{
    *stats = (struct tt_stats){0};
    struct visit visit; /* the stage stays as it is */
    visit.sums = (struct tt_sums){.min = INFINITY, .max = -INFINITY};
    visit.add = dtype < TT_DTYPE_COUNT ? tt_kernels()->add[dtype] : NULL;
    visit.unit_bytes = layout->unit_bytes;
    visit.staged = 0;
    if (!visit.add)
        return;
    fp_state state;
    fp_enter(&state);
    tt_layout_visit(layout, low, 0, layout->lines, stats_chunk, &visit);
    flush(&visit);
    const struct tt_sums *sums = &visit.sums;
    uint64_t finite = sums->count - sums->nan - sums->inf;
    *stats = (struct tt_stats){
        .min = finite ? sums->min : NAN,
        .max = finite ? sums->max : NAN,
        .mean = finite ? sums->sum / (double)finite : NAN,
        .rms = finite ? sqrt(sums->squares / (double)finite) : NAN,
        .count = sums->count,
        .nan = sums->nan,
        .inf = sums->inf,
        .zero = sums->zero,
        .valid = true,
    };
    fp_leave(&state);
}
