/* SPDX-License-Identifier: Apache-2.0
 *
 * Epochs: they begin with the call whose weight recurs, keep all of their data or none, and those worth keeping
 * are kept: first of their shape, ever fewer, last before a change, around a NaN, last before the end.
 *
 * A made engine stands for all: a pass is three products with three weights, x [rows, WIDTH] of other content in
 * every pass, y [rows, WIDTH].
 */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "tensortap/reader.h"
#include "tensortap/writer.h"
#include "checks.h"

enum { WIDTH = 128, CALLS = 3, ROWS = 64, OPERANDS = 3 * CALLS };

static char parent[] = "/tmp/tensortap-unit-XXXXXX";
static float *file_weights;                     /* [CALLS, WIDTH, WIDTH], in a file */
static float heap_weights[CALLS * WIDTH * WIDTH]; /* 64 KiB each */
static float inputs[4 * ROWS * WIDTH], outputs[4 * ROWS * WIDTH];

static void make_weights(void)
{
    char path[300];
    for (int i = 0; i < CALLS * WIDTH * WIDTH; i++)
        heap_weights[i] = (float)(i * 7 % 1013) - 500;
    snprintf(path, sizeof path, "%s/model.bin", parent);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    CHECK(write(fd, heap_weights, sizeof heap_weights) == sizeof heap_weights);
    file_weights = mmap(NULL, sizeof heap_weights, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
}

static struct tt_recorder *open_recorder(const char *name, struct tt_recorder_options options)
{
    struct tt_recorder *recorder;
    char directory[256];
    snprintf(directory, sizeof directory, "%s/%s", parent, name);
    options.directory = directory;
    if (!options.level)
        options.level = TT_LEVEL_DATA;
    CHECK(tt_recorder_open(&recorder, &options) == 0);
    return recorder;
}

static struct tt_capture *read_back(const char *name)
{
    struct tt_error error = {0};
    char directory[256];
    snprintf(directory, sizeof directory, "%s/%s", parent, name);
    struct tt_capture *capture = tt_capture_open(directory, &error);
    if (!capture) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    return capture;
}

static struct tt_tensor_view matrix(const float *data, int64_t rows)
{
    return (struct tt_tensor_view){TT_F32, 2, {rows, WIDTH}, {WIDTH, 1}, data};
}

static float input_of(int pass, int i)
{
    return (float)(pass * 31 + i % 977);
}

static void product(struct tt_recorder *recorder, const float *weight, int rows)
{
    struct tt_call_scope call;
    struct tt_tensor_view x = matrix(inputs, rows), w = matrix(weight, WIDTH), y = matrix(outputs, rows);
    if (!tt_call_enter(&call, recorder, "test", "matmul", "test_product"))
        return;
    tt_call_announce(&call, &x);
    tt_call_announce(&call, &w);
    tt_call_begin(&call);
    tt_call_operand(&call, "x", TT_BEFORE, &x);
    tt_call_operand(&call, "w", TT_BEFORE, &w);
    tt_call_operand(&call, "y", TT_AFTER, &y);
    tt_call_end(&call);
}

static void run_pass(struct tt_recorder *recorder, const float *weights, int pass, int rows)
{
    for (int i = 0; i < rows * WIDTH; i++)
        inputs[i] = input_of(pass, i);
    for (int call = 0; call < CALLS; call++) {
        for (int i = 0; i < rows * WIDTH; i++)
            outputs[i] = inputs[i] * 2 + (float)call;
        product(recorder, weights + call * WIDTH * WIDTH, rows);
    }
}

/* A prompt of `chunks` whole chunks and `rest` rows, then `tokens` decode steps. Returns the next pass. */
static int run_prompt(struct tt_recorder *recorder, int pass, int chunks, int rest, int tokens)
{
    for (int i = 0; i < chunks; i++)
        run_pass(recorder, file_weights, pass++, ROWS);
    if (rest)
        run_pass(recorder, file_weights, pass++, rest);
    for (int i = 0; i < tokens; i++)
        run_pass(recorder, file_weights, pass++, 1);
    return pass;
}

static void expect_input(const struct tt_capture *capture, const struct tt_operand *operand, int pass)
{
    static double values[4 * ROWS * WIDTH];
    struct tt_error error = {0};
    uint64_t count = tt_operand_count(operand), wrong = 0;
    CHECK(tt_operand_read(capture, operand, values, &error) == 0);
    for (uint64_t i = 0; i < count; i++)
        wrong += values[i] != (double)input_of(pass, (int)i);
    CHECK(wrong == 0);
}

/* The bytes of a pass are all there ('k'), or none are but weights of a file ('s'); anything else is '?'. */
static char form_of(const struct tt_capture *capture, int pass)
{
    int kept = 0;
    for (int i = 0; i < CALLS; i++) {
        const struct tt_recorded_call *call = tt_capture_call(capture, (size_t)(pass * CALLS + i));
        const struct tt_operand *x = call ? tt_call_find(call, "x", TT_BEFORE) : NULL;
        const struct tt_operand *y = call ? tt_call_find(call, "y", TT_AFTER) : NULL;
        if (!x || !y || call->epoch != (uint64_t)pass || !x->has_digest || !x->stats.valid)
            return '?';
        kept += (x->kept == TT_KEPT_DATA) + (y->kept == TT_KEPT_DATA);
        if (x->kept == TT_KEPT_DATA)
            expect_input(capture, x, pass);
    }
    return kept == 2 * CALLS ? 'k' : kept == 0 ? 's' : '?';
}

static void expect_forms(const struct tt_capture *capture, const char *expected)
{
    char found[64] = "";
    for (size_t pass = 0; expected[pass]; pass++)
        found[pass] = form_of(capture, (int)pass);
    if (strcmp(found, expected) != 0) {
        fprintf(stderr, "%s: kept %s\n  expected %s\n", tt_capture_path(capture), found, expected);
        failures++;
    }
    CHECK(tt_capture_ncalls(capture) == CALLS * strlen(expected));
}

static void expect_epoch(const struct tt_capture *capture, size_t number, const char *form, const char *reason)
{
    const struct tt_epoch *epoch = tt_capture_epoch(capture, number);
    CHECK(epoch && epoch->number == number && strcmp(epoch->op, "matmul") == 0);
    if (epoch && (strcmp(epoch->form, form) != 0 || strcmp(epoch->reason, reason) != 0)) {
        fprintf(stderr, "epoch %zu: %s, %s; expected %s, %s\n", number, epoch->form, epoch->reason, form, reason);
        failures++;
    }
}

static uint64_t loss_of(const struct tt_capture *capture, const char *what)
{
    uint64_t count = 0;
    for (size_t i = 0; i < tt_capture_nlosses(capture); i++)
        if (strcmp(tt_capture_loss(capture, i)->what, what) == 0)
            count += tt_capture_loss(capture, i)->count;
    return count;
}

/* Chunks 0, 1, 2 and 4, the last chunk, decode steps 0, 1, 2, 4, 8, 16 and the last two. */
static void test_prompt_with_a_rest(void)
{
    struct tt_recorder *recorder = open_recorder("rest", (struct tt_recorder_options){0});
    run_prompt(recorder, 0, 5, 37, 20);
    tt_recorder_close(recorder);
    struct tt_capture *capture = read_back("rest");
    expect_forms(capture, "kkksk" "k" "kkkskssskssssssskskk");
    expect_epoch(capture, 0, "data", "first");
    expect_epoch(capture, 4, "data", "sparse");
    expect_epoch(capture, 3, "statistics", "thinned");
    expect_epoch(capture, 5, "data", "first");
    expect_epoch(capture, 25, "data", "end");
    CHECK(loss_of(capture, "thinned") == 6 * (1 + 12));
    CHECK(tt_capture_finished(capture));
    tt_capture_close(capture);
}

/* No shape tells the last chunk, but the change to decode does: it was held in memory. */
static void test_prompt_of_whole_chunks(void)
{
    struct tt_recorder *recorder = open_recorder("whole", (struct tt_recorder_options){0});
    run_prompt(recorder, 0, 8, 0, 4);
    tt_recorder_close(recorder);
    struct tt_capture *capture = read_back("whole");
    expect_forms(capture, "kkkskssk" "kkkk");
    expect_epoch(capture, 7, "data", "change");
    expect_epoch(capture, 11, "data", "end");
    tt_capture_close(capture);
}

static void test_two_prompts(void)
{
    struct tt_recorder *recorder = open_recorder("two", (struct tt_recorder_options){0});
    int pass = run_prompt(recorder, 0, 6, 0, 6);
    run_prompt(recorder, pass, 6, 0, 6);
    tt_recorder_close(recorder);
    struct tt_capture *capture = read_back("two");
    expect_forms(capture, "kkkskk" "kkkskk" "sskssk" "sskskk");
    expect_epoch(capture, 5, "data", "change");
    expect_epoch(capture, 11, "data", "change");
    expect_epoch(capture, 17, "data", "change");
    tt_capture_close(capture);
}

/* Weights that no file holds: an input of three successive calls (x is as large as a weight) is none of them. */
static void test_weights_in_memory(void)
{
    struct tt_recorder *recorder = open_recorder("memory", (struct tt_recorder_options){.limit = 64 << 20});
    for (int pass = 0; pass < 8; pass++)
        run_pass(recorder, heap_weights, pass, 2 * ROWS);
    tt_recorder_close(recorder);
    struct tt_capture *capture = read_back("memory");
    expect_forms(capture, "kkkskskk");
    tt_capture_close(capture);
}

/* Epochs that do not fit any more keep nothing: a pass of which half is left shows nothing. */
static void test_budget(void)
{
    /* bytes of x, which is stored once, and of three y */
    enum { EPOCH = 4 * 16 * WIDTH * 4, LIMIT = 6 * EPOCH };
    struct tt_recorder *recorder = open_recorder("budget", (struct tt_recorder_options){.limit = LIMIT});
    for (int pass = 0; pass < 18; pass++)
        run_pass(recorder, file_weights, pass, 16);
    tt_recorder_close(recorder);
    struct tt_capture *capture = read_back("budget");
    uint64_t lost = loss_of(capture, "budget");
    for (int pass = 0; pass < 18; pass++)
        CHECK(form_of(capture, pass) != '?');
    CHECK(form_of(capture, 0) == 'k' && form_of(capture, 1) == 'k');
    CHECK(form_of(capture, 16) == 's' && lost == 6);
    expect_epoch(capture, 16, "statistics", "budget");
    expect_epoch(capture, 15, "statistics", "thinned");
    tt_capture_close(capture);
}

/* An epoch of more than half of the memory is held, at the cost of the one before it. */
static void test_large_epoch(void)
{
    enum { EPOCH = 4 * ROWS * WIDTH * 4, LIMIT = 12 * EPOCH }; /* memory for 1.5 epochs */
    struct tt_recorder *recorder = open_recorder("large", (struct tt_recorder_options){.limit = LIMIT});
    for (int pass = 0; pass < 8; pass++)
        run_pass(recorder, file_weights, pass, ROWS);
    tt_recorder_close(recorder);
    struct tt_capture *capture = read_back("large");
    expect_forms(capture, "kkkskssk");
    expect_epoch(capture, 7, "data", "end");
    expect_epoch(capture, 6, "statistics", "thinned");
    CHECK(loss_of(capture, "thinned") == 3 * 6);
    tt_capture_close(capture);
}

/* The passes before and with the first NaN, all of them; later ones are thinned as ever. */
static void test_nan(void)
{
    struct tt_recorder *recorder = open_recorder("nan", (struct tt_recorder_options){0});
    for (int pass = 0; pass < 14; pass++) {
        run_pass(recorder, file_weights, pass, 1);
        if (pass != 6 && pass != 10)
            continue;
        struct tt_tensor_view x = matrix(inputs, 1), w = matrix(file_weights + WIDTH * WIDTH, WIDTH);
        struct tt_tensor_view y = matrix(outputs, 1);
        struct tt_call_scope call;
        outputs[5] = NAN;
        CHECK(tt_call_enter(&call, recorder, "test", "matmul", "test_product"));
        tt_call_announce(&call, &x);
        tt_call_announce(&call, &w);
        tt_call_operand(&call, "y", TT_AFTER, &y);
        tt_call_end(&call);
    }
    tt_recorder_close(recorder);
    struct tt_capture *capture = read_back("nan");
    const char *const reasons[] = {"first", "sparse", "sparse", "thinned", "sparse", "nan",    "nan",
                                   "thinned", "sparse", "thinned", "thinned", "thinned", "end", "end"};
    for (size_t epoch = 0; epoch < 14; epoch++)
        expect_epoch(capture, epoch, strcmp(reasons[epoch], "thinned") == 0 ? "statistics" : "data", reasons[epoch]);
    for (size_t i = 0; i < tt_capture_ncalls(capture); i++) {
        const struct tt_recorded_call *call = tt_capture_call(capture, i);
        bool kept = strcmp(reasons[call->epoch], "thinned") != 0;
        for (uint32_t at = 0; at < call->noperands; at++)
            CHECK(call->operands[at]->kept == TT_KEPT_FILE ||
                  call->operands[at]->kept == (kept ? TT_KEPT_DATA : TT_KEPT_HASH));
    }
    tt_capture_close(capture);
}

/* What is in memory only dies with the process; all else stays. */
static void test_kill(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        struct tt_recorder *recorder = open_recorder("kill", (struct tt_recorder_options){0});
        run_prompt(recorder, 0, 4, 0, 7);
        kill(getpid(), SIGKILL);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    struct tt_capture *capture = read_back("kill");
    CHECK(!tt_capture_finished(capture));
    expect_forms(capture, "kkkk" "kkkskss");
    expect_epoch(capture, 3, "data", "change");
    expect_epoch(capture, 10, "statistics", "thinned");
    tt_capture_close(capture);
}

/* The child's epochs are its own, and so is what it holds in memory. */
static void test_fork(void)
{
    struct tt_recorder_options options = {.parent = parent, .program = "fork", .level = TT_LEVEL_DATA};
    struct tt_recorder *recorder;
    int status;
    char name[64];
    CHECK(tt_recorder_open(&recorder, &options) == 0);
    run_prompt(recorder, 0, 8, 0, 0);
    pid_t child = fork();
    if (child == 0) {
        run_prompt(recorder, 0, 4, 0, 4);
        tt_recorder_close(recorder);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    tt_recorder_close(recorder);
    snprintf(name, sizeof name, "tensortap.fork.%d", (int)child);
    struct tt_capture *capture = read_back(name);
    expect_forms(capture, "kkkk" "kkkk");
    expect_epoch(capture, 3, "data", "change");
    tt_capture_close(capture);
    snprintf(name, sizeof name, "tensortap.fork.%d", (int)getpid());
    capture = read_back(name);
    expect_forms(capture, "kkkskskk");
    tt_capture_close(capture);
}

static void test_settings(void)
{
    static const struct {
        const char *name;
        struct tt_recorder_options options;
        const char *expected, *reason;
    } settings[] = {
        {"passes", {.passes = "3,6"}, "ssskssksss", "passes"},
        {"everything", {.keep_everything = true}, "kkkkkkkkkk", "everything"},
        {"hash", {.level = TT_LEVEL_HASH}, "ssssssssss", "level"},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        struct tt_recorder *recorder = open_recorder(settings[i].name, settings[i].options);
        run_prompt(recorder, 0, 6, 0, 4);
        tt_recorder_close(recorder);
        struct tt_capture *capture = read_back(settings[i].name);
        expect_forms(capture, settings[i].expected);
        expect_epoch(capture, 0, settings[i].expected[0] == 'k' ? "data" : "statistics", settings[i].reason);
        tt_capture_close(capture);
    }
}

/* Passes that are not selected are counted all the same. */
static void test_selected_pass(const float *weights, const char *name)
{
    struct tt_recorder *recorder = open_recorder(name, (struct tt_recorder_options){.select = "pass=2"});
    for (int pass = 0; pass < 5; pass++)
        run_pass(recorder, weights, pass, ROWS);
    tt_recorder_close(recorder);
    struct tt_capture *capture = read_back(name);
    CHECK(tt_capture_ncalls(capture) == CALLS);
    for (size_t i = 0; i < tt_capture_ncalls(capture); i++) {
        const struct tt_operand *x = tt_call_find(tt_capture_call(capture, i), "x", TT_BEFORE);
        CHECK(tt_capture_call(capture, i)->epoch == 2 && x && x->kept == TT_KEPT_DATA);
        expect_input(capture, x, 2);
    }
    CHECK(loss_of(capture, "filtered") == 4 * CALLS);
    tt_capture_close(capture);
}

int main(void)
{
    if (!mkdtemp(parent))
        return 1;
    make_weights();
    test_prompt_with_a_rest();
    test_prompt_of_whole_chunks();
    test_two_prompts();
    test_weights_in_memory();
    test_budget();
    test_large_epoch();
    test_nan();
    test_kill();
    test_fork();
    test_settings();
    test_selected_pass(heap_weights, "selected_memory");
    test_selected_pass(file_weights, "selected_file");
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", parent);
    return system(command) != 0 || failures != 0;
}
