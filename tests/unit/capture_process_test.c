/* SPDX-License-Identifier: Apache-2.0
 *
 * The recorder as a guest: many threads, forks, traps on floating-point exceptions, file size limits,
 * an unwritable place, an exit in the middle of calls. The host must not notice any of it.
 */
#include <errno.h>
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "tensortap/reader.h"
#include "tensortap/writer.h"
#include "checks.h"

#define THREADS 8
#define CALLS   400
#define WIDTH   96

static char parent[] = "/tmp/tensortap-process-XXXXXX";

static struct tt_recorder *open_recorder(const char *name, bool everything)
{
    struct tt_recorder *recorder;
    char directory[128];
    snprintf(directory, sizeof directory, "%s/%s", parent, name);
    struct tt_recorder_options options = {.parent = directory, .program = "guest", .level = TT_LEVEL_DATA,
                                          .keep_everything = everything, .limit = 64 << 20};
    CHECK(tt_recorder_open(&recorder, &options) == 0);
    return recorder;
}

static struct tt_capture *read_back(const char *name)
{
    struct tt_error error = {0};
    char directory[128];
    snprintf(directory, sizeof directory, "%s/%s", parent, name);
    struct tt_capture *capture = tt_capture_open(directory, &error);
    if (!capture) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    return capture;
}

static void record(struct tt_recorder *recorder, int64_t number, const float *values, int64_t count)
{
    struct tt_call_scope call;
    if (!tt_call_enter(&call, recorder, "test", "scal", "routine"))
        return;
    tt_call_i64(&call, "number", number);
    tt_call_begin(&call);
    tt_call_operand(&call, "x", TT_BEFORE, &(struct tt_tensor_view){TT_F32, 1, {count}, {1}, values});
    tt_call_end(&call);
}

struct worker {
    struct tt_recorder *recorder;
    int index, calls;
};

static void *work(void *context)
{
    const struct worker *worker = context;
    float values[WIDTH];
    for (int i = 0; i < worker->calls; i++) {
        int number = worker->index * CALLS + i;
        for (int j = 0; j < WIDTH; j++)
            values[j] = (float)(number * WIDTH + j);
        record(worker->recorder, number, values, WIDTH);
    }
    return NULL;
}

static void start(pthread_t *threads, struct worker *workers, struct tt_recorder *recorder)
{
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){recorder, i, CALLS};
        pthread_create(&threads[i], NULL, work, &workers[i]);
    }
}

static void join(pthread_t *threads)
{
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* Every call that the capture has carries its own values. */
static size_t count_right(const struct tt_capture *capture)
{
    size_t right = 0;
    for (size_t i = 0; i < tt_capture_ncalls(capture); i++) {
        const struct tt_recorded_call *call = tt_capture_call(capture, i);
        const struct tt_operand *operand = tt_call_find(call, "x", TT_BEFORE);
        double values[WIDTH], first = (double)tt_call_attr_i64(call, "number", -1) * WIDTH;
        if (operand && tt_operand_read(capture, operand, values, NULL) == 0)
            right += values[0] == (double)(float)first && values[WIDTH - 1] == (double)(float)(first + WIDTH - 1);
    }
    return right;
}

static void test_threads_and_forks(void)
{
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    struct tt_recorder *recorder = open_recorder("threads", true);
    start(threads, workers, recorder);
    for (int i = 0; i < 10; i++) {
        pid_t child = fork();
        if (child == 0) {
            float values[WIDTH] = {0};
            if (i % 2)
                record(recorder, 0, values, WIDTH);
            tt_recorder_close(recorder);
            _exit(0);
        }
        int status = 1;
        waitpid(child, &status, 0);
        CHECK(status == 0);
    }
    join(threads);
    char *directory = strdup(tt_recorder_directory(recorder));
    tt_recorder_close(recorder);
    struct tt_error error = {0};
    struct tt_capture *capture = tt_capture_open(directory, &error);
    CHECK(capture && tt_capture_finished(capture));
    CHECK(tt_capture_ncalls(capture) == THREADS * CALLS);
    CHECK(count_right(capture) == THREADS * CALLS);
    CHECK(tt_capture_nlosses(capture) == 0);
    tt_capture_close(capture);
    free(directory);
}

static void test_short_threads(void)
{
    struct tt_recorder *recorder = open_recorder("short", true);
    for (int i = 0; i < 300; i++) {
        pthread_t thread;
        struct worker worker = {recorder, i, 2};
        pthread_create(&thread, NULL, work, &worker);
        pthread_join(thread, NULL);
    }
    char log[200];
    struct stat status;
    snprintf(log, sizeof log, "%s/events.ttlog", tt_recorder_directory(recorder));
    tt_recorder_close(recorder);
    CHECK(stat(log, &status) == 0 && status.st_size < 1 << 20); /* blocks are passed on */
    struct tt_capture *capture = read_back("short");
    CHECK(tt_capture_ncalls(capture) == 600 && count_right(capture) == 600);
    CHECK(tt_capture_call(capture, 0)->thread != tt_capture_call(capture, 599)->thread);
    tt_capture_close(capture);
}

static void test_state_of_the_host(void)
{
    float values[600];
    for (int i = 0; i < 600; i++)
        values[i] = i % 7 == 0 ? NAN : i % 5 == 0 ? INFINITY : 3e38f;
    uint32_t signalling = 0x7FA00000;
    memcpy(&values[1], &signalling, 4);
    struct tt_recorder *recorder = open_recorder("host", true);
    feclearexcept(FE_ALL_EXCEPT);
    feenableexcept(FE_INVALID | FE_OVERFLOW | FE_DIVBYZERO);
    fesetround(FE_UPWARD);
    errno = 4242;
    record(recorder, 0, values, 600);
    tt_recorder_mark(recorder, "mark", true);
    record(recorder, 1, (float *)8, 600);
    CHECK(errno == 4242);
    tt_recorder_close(recorder);
    CHECK(errno == 4242);
    CHECK(fetestexcept(FE_ALL_EXCEPT) == 0 && fegetround() == FE_UPWARD);
    CHECK(fegetexcept() == (FE_INVALID | FE_OVERFLOW | FE_DIVBYZERO));
    fedisableexcept(FE_ALL_EXCEPT);
    fesetround(FE_TONEAREST);
    struct tt_capture *capture = read_back("host");
    CHECK(tt_capture_call(capture, 0)->operands[0]->stats.nan == 87);
    tt_capture_close(capture);
}

/* A file size limit stands for a full disk: SIGXFSZ would end the host. */
static void test_full_disk(void)
{
    const struct rlimit limit = {1 << 20, 1 << 20};
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_FSIZE, &limit);
        struct tt_recorder *recorder = open_recorder("full", true);
        struct worker worker = {recorder, 0, 4000};
        work(&worker);
        tt_recorder_close(recorder);
        _exit(failures != 0);
    }
    int status = 1;
    waitpid(child, &status, 0);
    CHECK(status == 0);
    struct tt_capture *capture = read_back("full");
    bool disk = false;
    for (size_t i = 0; i < tt_capture_nlosses(capture); i++)
        disk |= strcmp(tt_capture_loss(capture, i)->what, "disk") == 0;
    CHECK(disk && tt_capture_ncalls(capture) > 100 && tt_capture_finished(capture));
    tt_capture_close(capture);
}

static void test_unwritable(void)
{
    struct tt_recorder *recorder;
    struct tt_recorder_options options = {.parent = "/proc/nowhere", .level = TT_LEVEL_DATA};
    float values[WIDTH] = {0};
    CHECK(tt_recorder_open(&recorder, &options) == 0);
    record(recorder, 0, values, WIDTH);
    record(recorder, 0, values, WIDTH);
    CHECK(tt_recorder_directory(recorder) == NULL);
    tt_recorder_close(recorder);
    tt_recorder_close(NULL);
    struct tt_call_scope call;
    CHECK(!tt_call_enter(&call, NULL, "test", "op", "routine"));
    tt_call_end(&call);
}

/* exit() closes the recorder while worker threads are still in their calls. */
static void test_exit_in_calls(void)
{
    for (int round = 0; round < 5; round++) {
        char name[32];
        snprintf(name, sizeof name, "exit%d", round);
        pid_t child = fork();
        if (child == 0) {
            pthread_t threads[THREADS];
            struct worker workers[THREADS];
            struct tt_recorder *recorder = open_recorder(name, true);
            start(threads, workers, recorder);
            while (round && !tt_recorder_directory(recorder)) /* round 0: perhaps while it is being made */
                usleep(100);
            usleep(round ? (unsigned)round * 500 : 1000);
            tt_recorder_close(recorder);
            usleep(3000);
            _exit(0);
        }
        int status = 1;
        waitpid(child, &status, 0);
        CHECK(status == 0);
        char directory[128];
        snprintf(directory, sizeof directory, "%s/%s", parent, name);
        if (round == 0 && access(directory, F_OK) != 0)
            continue;
        struct tt_capture *capture = read_back(name);
        CHECK(tt_capture_finished(capture) && count_right(capture) + THREADS >= tt_capture_ncalls(capture));
        tt_capture_close(capture);
    }
}

int main(void)
{
    char command[128];
    if (!mkdtemp(parent))
        return 1;
    test_threads_and_forks();
    test_short_threads();
    test_state_of_the_host();
    test_full_disk();
    test_unwritable();
    test_exit_in_calls();
    snprintf(command, sizeof command, "rm -rf '%s'", parent);
    return failures ? 1 : system(command);
}
