/* SPDX-License-Identifier: Apache-2.0
 *
 * State of the tap in this process, see core.h.
 *
 * Life: UNKNOWN -> tt_core_decide -> ON or OFF; ON opens its recorder in the first section; tt_core_close
 * makes it OFF for good. A forked child goes on with the same recorder, which makes a capture of its own.
 */
#include "core.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "config.h"
#include "json_text.h"

atomic_int tt_state = TT_STATE_UNKNOWN;
atomic_bool tt_paused = false;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of everything below but the atomics */
static _Atomic(struct tt_recorder *) recorder;
static atomic_int sections; /* threads in our own code now */
static pid_t owner;         /* process that opened the recorder: a vfork child shares our memory */
static struct tt_config config;

static pthread_mutex_t problem_lock = PTHREAD_MUTEX_INITIALIZER;
static char problems[8192] = "["; /* JSON array, without its closing bracket */
static struct tt_json_text problem_text = {problems, sizeof(problems) - 2, 1};

/* The engine may run with traps unmasked, another rounding mode or denormals flushed; statistics must not
 * trap, nor be changed by that, nor leave flags behind. */
static uint64_t take_float_control(void)
{
#if defined(__x86_64__)
    unsigned saved = _mm_getcsr();
    _mm_setcsr(0x1f80); /* all traps masked, to nearest, denormals kept */
    return saved;
#elif defined(__aarch64__)
    uint64_t control, status;
    __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(control), "=r"(status));
    __asm__ volatile("msr fpcr, xzr");
    return control << 32 | (status & 0xffffffffu);
#else
    return 0;
#endif
}

static void give_float_control_back(uint64_t saved)
{
#if defined(__x86_64__)
    _mm_setcsr((unsigned)saved);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1" : : "r"(saved >> 32), "r"(saved & 0xffffffffu));
#endif
}

/* Called with problem_lock held. */
static void write_problems(void)
{
    char json[sizeof(problems)];
    struct tt_recorder *open = atomic_load(&recorder);
    if (!open || problem_text.length == 1)
        return;
    snprintf(json, sizeof(json), "%.*s]", (int)problem_text.length, problems);
    tt_recorder_manifest(open, "problems", json);
}

void tt_core_problem(const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&problem_lock);
    if (problem_text.size - problem_text.length > 6 * strlen(line) + 8) {
        tt_json_raw(&problem_text, problem_text.length > 1 ? "," : "");
        tt_json_string(&problem_text, line);
        write_problems();
    }
    pthread_mutex_unlock(&problem_lock);
}

bool tt_core_decide(void)
{
    int saved = errno;
    pthread_mutex_lock(&lock);
    int state = atomic_load(&tt_state);
    if (state == TT_STATE_UNKNOWN) {
        if (getauxval(AT_SECURE) == 0)
            tt_config_load(&config);
        state = config.wanted ? TT_STATE_ON : TT_STATE_OFF;
        atomic_store(&tt_state, state);
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
    return state == TT_STATE_ON;
}

/* The recorder itself starts afresh in a child (writer.h). Ours to mend: threads that held a lock or were in a
 * section do not exist any more. */
static void forked_child(void)
{
    pthread_mutex_init(&lock, NULL);
    pthread_mutex_init(&problem_lock, NULL);
    atomic_store(&sections, 0);
    owner = getpid();
}

static void close_at_quick_exit(void)
{
    tt_core_close();
}

static void register_handlers(void)
{
    static bool registered;
    if (!registered) {
        pthread_atfork(NULL, NULL, forked_child);
        at_quick_exit(close_at_quick_exit);
    }
    registered = true;
}

/* Called with `lock` held, inside a section. */
static struct tt_recorder *open_recorder(void)
{
    static char configuration[16384];
    struct tt_recorder *opened = NULL;
    tt_config_json(&config, configuration, sizeof(configuration));
    struct tt_recorder_options options = {
        .parent = config.out,
        .level = config.level,
        .limit = config.limit_bytes,
        .select = config.select[0] ? config.select : NULL,
        .passes = config.passes[0] ? config.passes : NULL,
        .config_json = configuration,
    };
    if (tt_recorder_open(&opened, &options) < 0) {
        atomic_store(&tt_state, TT_STATE_OFF);
        return NULL;
    }
    owner = getpid();
    register_handlers();
    atomic_store(&recorder, opened);
    pthread_mutex_lock(&problem_lock);
    write_problems();
    pthread_mutex_unlock(&problem_lock);
    return opened;
}

static struct tt_recorder *opened_recorder(void)
{
    struct tt_recorder *open = atomic_load(&recorder);
    if (TT_LIKELY(open != NULL))
        return open;
    pthread_mutex_lock(&lock);
    open = atomic_load(&recorder);
    if (!open && atomic_load(&tt_state) == TT_STATE_ON)
        open = open_recorder();
    pthread_mutex_unlock(&lock);
    return open;
}

static void begin_section(struct tt_section *section)
{
    section->saved_errno = errno;
    section->saved_float_control = take_float_control();
    atomic_fetch_add(&sections, 1);
}

void tt_section_leave(const struct tt_section *section)
{
    atomic_fetch_sub(&sections, 1);
    give_float_control_back(section->saved_float_control);
    errno = section->saved_errno;
}

struct tt_recorder *tt_section_enter(struct tt_section *section)
{
    begin_section(section);
    struct tt_recorder *open = tt_core_on() ? opened_recorder() : NULL;
    if (!open)
        tt_section_leave(section);
    return open;
}

bool tt_section_resume(struct tt_section *section, const struct tt_recorder *began)
{
    begin_section(section);
    if (atomic_load(&tt_state) == TT_STATE_ON && atomic_load(&recorder) == began)
        return true;
    tt_section_leave(section);
    return false;
}

/* Up to two seconds: a section lasts microseconds to milliseconds, but its thread may never be scheduled
 * again, and the engine's exit is not ours to hold. */
static bool sections_finished(void)
{
    for (int i = 0; i < 2000; i++) {
        if (atomic_load(&sections) == 0)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return false;
}

void tt_core_close(void)
{
    struct tt_recorder *open = atomic_load(&recorder);
    int saved = errno;
    if (!open || owner != getpid())
        return;
    atomic_store(&tt_state, TT_STATE_OFF);
    if (sections_finished() && atomic_compare_exchange_strong(&recorder, &open, NULL))
        tt_recorder_close(open);
    errno = saved;
}

__attribute__((constructor)) static void start(void)
{
    if (atomic_load(&tt_state) == TT_STATE_UNKNOWN)
        tt_core_decide();
    if (atomic_load(&tt_state) != TT_STATE_ON)
        return;
    pthread_mutex_lock(&lock); /* before any thread can fork, see prepare_early of the recorder */
    register_handlers();
    pthread_mutex_unlock(&lock);
}

__attribute__((destructor)) static void finish(void)
{
    tt_core_close();
}
