/* SPDX-License-Identifier: Apache-2.0
 *
 * Small programs that meet the tap in every way a process can begin, multiply and end.
 *
 *   scenes NAME [ARGUMENT…]
 *
 * Each prints what it computed; see the table at the end.
 */
#include <cblas.h>
#include <errno.h>
#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tensortap/tensortap.h"

/* C [2, 2] = A [2, 3] B [3, 2], sizes and values such that each call is different. */
static float multiply(float seed)
{
    float a[6], b[6], c[4];
    for (int i = 0; i < 6; i++) {
        a[i] = seed + (float)i;
        b[i] = 1 - (float)i;
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, 2, 2, 3, 1, a, 3, b, 2, 0, c, 2);
    return c[0] + c[1] + c[2] + c[3];
}

static int scene_once(char **arguments)
{
    printf("%g\n", multiply(1));
    return 3;
}

static int scene_nothing(char **arguments)
{
    printf("no BLAS here\n");
    return 4;
}

static int scene_underscore_exit(char **arguments)
{
    printf("%g\n", multiply(2));
    fflush(stdout);
    _exit(5);
}

static int scene_big_exit(char **arguments)
{
    printf("%g\n", multiply(2));
    fflush(stdout);
    _Exit(6);
}

static int scene_quick_exit(char **arguments)
{
    printf("%g\n", multiply(2));
    fflush(stdout);
    quick_exit(7);
}

static int scene_kill(char **arguments)
{
    for (int i = 0; i < 20; i++)
        printf("%g\n", multiply((float)i));
    fflush(stdout);
    return raise(SIGKILL);
}

static void leave_from_handler(int signal)
{
    _exit(9);
}

static void *idle(void *argument)
{
    for (;;)
        pause();
    return NULL;
}

/* The handler interrupts who knows what: closing must not hang. */
static int scene_exit_in_handler(char **arguments)
{
    pthread_t thread; /* with a second thread malloc takes its lock */
    signal(SIGALRM, leave_from_handler);
    pthread_create(&thread, NULL, idle, NULL);
    multiply(1);
    ualarm(50000, 0);
    while (arguments)
        free(malloc(1 + (size_t)(rand() % 100000)));
    return 0;
}

/* Parent and child both compute; the grandchild does not. */
static int scene_fork(char **arguments)
{
    printf("%g\n", multiply(1));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        float value = multiply(10);
        pid_t grandchild = fork();
        if (grandchild == 0)
            _exit(0);
        waitpid(grandchild, NULL, 0);
        printf("%g\n", value);
        exit(0);
    }
    waitpid(child, NULL, 0);
    printf("%g\n", multiply(2));
    return 0;
}

static int scene_vfork_exec(char **arguments)
{
    printf("%g\n", multiply(1));
    fflush(stdout);
    pid_t child = vfork();
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    int status;
    waitpid(child, &status, 0);
    printf("%g %d\n", multiply(2), status);
    return 0;
}

/* A failed exec after vfork leaves through _exit in shared memory: the parent's capture must survive. */
static int scene_vfork_fail(char **arguments)
{
    printf("%g\n", multiply(1));
    fflush(stdout);
    pid_t child = vfork();
    if (child == 0) {
        execl("/no/such/program", "x", (char *)NULL);
        _exit(1);
    }
    waitpid(child, NULL, 0);
    printf("%g\n", multiply(2));
    return 0;
}

static int scene_exec(char **arguments)
{
    printf("%g\n", multiply(1));
    fflush(stdout);
    execl("/proc/self/exe", "scenes", "once", (char *)NULL);
    return 1;
}

static void *worker(void *argument)
{
    float *sum = argument;
    for (int i = 0; i < 200; i++)
        *sum += multiply(*sum / 1e4f + (float)i);
    return NULL;
}

static int scene_threads(char **arguments)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    float sums[THREADS];
    for (int i = 0; i < THREADS; i++) {
        sums[i] = (float)i;
        pthread_create(&threads[i], NULL, worker, &sums[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        printf("%.9g\n", sums[i]);
    }
    return 0;
}

static void *forever(void *argument)
{
    float sum = 0;
    while (sum < 1e30f)
        sum = multiply(sum / 1e9f) / 2;
    return NULL;
}

/* exit() while threads are busy in BLAS. */
static int scene_busy_exit(char **arguments)
{
    pthread_t thread;
    for (int i = 0; i < 4; i++)
        pthread_create(&thread, NULL, forever, NULL);
    usleep(50000);
    return 8;
}

/* Children made while threads are busy in BLAS: each computes once and leaves by exit(). */
static int scene_busy_fork(char **arguments)
{
    pthread_t thread;
    for (int i = 0; i < 4; i++)
        pthread_create(&thread, NULL, forever, NULL);
    for (int i = 0; i < 8; i++) {
        pid_t child = fork();
        if (child == 0)
            exit(multiply(100) > 0);
        int status = -1;
        waitpid(child, &status, 0);
        printf("%d\n", status);
        fflush(stdout);
    }
    _exit(0);
}

/* errno, rounding mode and exception flags pass through a recorded call as through a plain one. */
static int scene_environment(char **arguments)
{
    float a[1] = {1}, b[1] = {2}, c[1];
    fesetround(FE_UPWARD);
    feclearexcept(FE_ALL_EXCEPT);
    errno = 77;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, 1, 1, 1, 1, a, 1, b, 1, 0, c, 1);
    int kept = errno, flags = fetestexcept(FE_ALL_EXCEPT), mode = fegetround();
    printf("%d %d %d %g\n", kept, flags, mode == FE_UPWARD, c[0]);
    return 0;
}

/* NaN operands with traps unmasked: our statistics must not raise SIGFPE. The call itself adds nothing: beta
 * and alpha are chosen so that BLAS multiplies no NaN. */
static int scene_traps(char **arguments)
{
    float x[4] = {1, 2, 3, 4}, y[4] = {__builtin_nanf(""), 1e-40f, 1, 2};
    feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW);
    cblas_saxpy(3, 1, x, 1, y + 1, 1);
    memcpy(y, x, sizeof(y));
    cblas_saxpy(4, 0, y, 1, x, 1);
    printf("%g\n", x[0]);
    return 0;
}

static int scene_invalid(char **arguments)
{
    float a[6] = {1, 2, 3, 4, 5, 6}, c[4] = {9, 9, 9, 9};
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, 0, 2, 3, 1, a, 3, a, 2, 0, c, 2);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, 2, 2, 3, 1, a, 1, a, 2, 0, c, 2);
    cblas_sgemm((CBLAS_ORDER)7, CblasNoTrans, CblasNoTrans, 2, 2, 3, 1, a, 3, a, 2, 0, c, 2);
    cblas_sgemm(CblasRowMajor, (CBLAS_TRANSPOSE)9, CblasNoTrans, 2, 2, 3, 1, a, 3, a, 2, 0, c, 2);
    cblas_saxpy(-1, 1, NULL, 1, NULL, 1);
    printf("%g %g\n", c[0], cblas_sdot(0, NULL, 1, NULL, 1));
    return 0;
}

/* alpha 0: A and B take no part and may hold anything. */
static int scene_alpha_zero(char **arguments)
{
    float a[6] = {0}, c[4] = {1, 2, 3, 4};
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, 2, 2, 3, 0, a, 3, a, 2, 0.5f, c, 2);
    printf("%g %g %g %g\n", c[0], c[1], c[2], c[3]);
    return 0;
}

static int scene_marks(char **arguments)
{
    printf("%g\n", multiply(1));
    TENSORTAP_MARK("first");
    TENSORTAP_PASS("second pass");
    printf("%g\n", multiply(2));
    TENSORTAP_STOP();
    printf("%g\n", multiply(3));
    TENSORTAP_START();
    printf("%g\n", multiply(4));
    return 0;
}

/* Calls recorded through the C interface for glue. */
static int scene_glue(char **arguments)
{
    float data[6] = {1, 2, 3, 4, 5, 6};
    int64_t shape[2] = {2, 3}, flipped[2] = {3, 2}, strides[2] = {1, 3};
    char name[] = "torch.linear";
    if (!tensortap_call_begin) {
        printf("%g\n", multiply(1));
        return 0;
    }
    tensortap_call *call = tensortap_call_begin("python", "linear", name);
    memset(name, 'x', sizeof(name) - 1);
    tensortap_call_attr_i64(call, "features", 3);
    tensortap_call_attr_f64(call, "scale", 0.5);
    tensortap_call_attr_str(call, "module", "layers.0.q_proj");
    tensortap_call_operand(call, "x", 0, tensortap_dtype("f32"), 2, shape, NULL, data);
    printf("%g\n", multiply(1)); /* a child of another tap */
    tensortap_call_operand(call, "out", 1, tensortap_dtype("f32"), 2, flipped, strides, data);
    tensortap_call_end(call);
    return 0;
}

/* Three passes over three weights in memory, announced: x of other values in every pass. */
static int scene_glue_passes(char **arguments)
{
    enum { SIDE = 128, WEIGHTS = 3 };
    float *weights = calloc(WEIGHTS * SIDE * SIDE, sizeof(float)), x[SIDE] = {0};
    int64_t shape[2] = {SIDE, SIDE}, row[1] = {SIDE};
    for (int i = 0; i < WEIGHTS * SIDE * SIDE; i++)
        weights[i] = (float)(i % 251);
    for (int i = 0; tensortap_call_begin && i < 3 * WEIGHTS; i++) {
        const float *weight = weights + i % WEIGHTS * SIDE * SIDE;
        tensortap_call *call = tensortap_call_begin("python", "linear", "linear");
        x[0] = (float)(i / WEIGHTS);
        tensortap_call_announce(call, tensortap_dtype("f32"), 1, row, NULL, x);
        tensortap_call_announce(call, tensortap_dtype("f32"), 2, shape, NULL, weight);
        tensortap_call_operand(call, "x", 0, tensortap_dtype("f32"), 1, row, NULL, x);
        tensortap_call_operand(call, "w", 0, tensortap_dtype("f32"), 2, shape, NULL, weight);
        tensortap_call_end(call);
    }
    free(weights);
    return 0;
}

/* scenes many N SIZE: N products of SIZE×SIZE, each of fresh values; every sum is printed. */
static int scene_many(char **arguments)
{
    int count = atoi(arguments[0]), size = atoi(arguments[1]);
    size_t elements = (size_t)size * (size_t)size;
    float *a = malloc(3 * elements * sizeof(float)), *b = a + elements, *c = b + elements;
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < count; i++) {
        for (size_t j = 0; j < elements; j++) {
            a[j] = (float)((j * 7 + (size_t)i * 13) % 31) / 8;
            b[j] = (float)((j * 5 + (size_t)i * 11) % 29) / 8;
        }
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, size, size, size, 1, a, size, b, size, 0, c, size);
        printf("%g\n", c[elements / 2]);
    }
    free(a);
    return 0;
}

static int scene_limited(char **arguments)
{
    struct rlimit limit = {1 << 20, 1 << 20};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    return scene_many(arguments);
}

static const struct {
    const char *name;
    int (*run)(char **arguments);
} scenes[] = {
    {"once", scene_once},
    {"nothing", scene_nothing},
    {"_exit", scene_underscore_exit},
    {"_Exit", scene_big_exit},
    {"quick_exit", scene_quick_exit},
    {"kill", scene_kill},
    {"exit_in_handler", scene_exit_in_handler},
    {"fork", scene_fork},
    {"vfork_exec", scene_vfork_exec},
    {"vfork_fail", scene_vfork_fail},
    {"exec", scene_exec},
    {"threads", scene_threads},
    {"busy_exit", scene_busy_exit},
    {"busy_fork", scene_busy_fork},
    {"environment", scene_environment},
    {"traps", scene_traps},
    {"invalid", scene_invalid},
    {"alpha_zero", scene_alpha_zero},
    {"marks", scene_marks},
    {"glue", scene_glue},
    {"glue_passes", scene_glue_passes},
    {"many", scene_many},
    {"limited", scene_limited},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof(scenes) / sizeof(scenes[0]); i++)
        if (strcmp(scenes[i].name, argv[1]) == 0)
            return scenes[i].run(argv + 2);
    return 2;
}
