/* SPDX-License-Identifier: Apache-2.0
 *
 * What is written comes back: layouts, dtypes, deduplication, growing operands, files, losses.
 */
#include <cjson/cJSON.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "tensortap/reader.h"
#include "tensortap/writer.h"
#include "checks.h"

static char parent[] = "/tmp/tensortap-unit-XXXXXX";

static struct tt_recorder *open_recorder(const char *name, struct tt_recorder_options options)
{
    struct tt_recorder *recorder;
    static char directory[256];
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

static void record(struct tt_recorder *recorder, const char *role, enum tt_when when, struct tt_tensor_view view)
{
    struct tt_call_scope call;
    if (!tt_call_enter(&call, recorder, "test", "matmul", "test_routine"))
        return;
    tt_call_i64(&call, "m", 7);
    tt_call_f64(&call, "alpha", 0.5);
    tt_call_str(&call, "trans", "T");
    tt_call_begin(&call);
    tt_call_operand(&call, role, when, &view);
    tt_call_end(&call);
}

static const struct tt_operand *operand_of(const struct tt_capture *capture, size_t call, const char *role)
{
    const struct tt_recorded_call *recorded = tt_capture_call(capture, call);
    const struct tt_operand *operand = recorded ? tt_call_find(recorded, role, TT_BEFORE) : NULL;
    if (!operand) {
        fprintf(stderr, "call %zu has no operand %s\n", call, role);
        exit(1);
    }
    return operand;
}

static void expect_values(const struct tt_capture *capture, const struct tt_operand *operand,
                          const struct tt_tensor_view *view)
{
    struct tt_error error = {0};
    uint64_t count = tt_operand_count(operand);
    double *values = malloc((count + 1) * sizeof *values);
    int status = tt_operand_read(capture, operand, values, &error);
    if (status)
        fprintf(stderr, "%s\n", error.message);
    CHECK(status == 0);
    int64_t at[TT_MAX_RANK] = {0};
    int wrong = 0;
    for (uint64_t i = 0; i < count && status == 0; i++) {
        int64_t from = 0;
        for (int axis = 0; axis < view->rank; axis++)
            from += at[axis] * view->strides[axis];
        wrong += values[i] != (double)((const float *)view->data)[from];
        for (int axis = view->rank - 1; axis >= 0 && ++at[axis] == view->shape[axis]; axis--)
            at[axis] = 0;
    }
    CHECK(wrong == 0);
    free(values);
}

static void fill(float *values, size_t count, unsigned seed)
{
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (float)(int)(seed >> 8) / 8388608.0f - 1;
    }
}

static void test_layouts(void)
{
    static float data[4096];
    fill(data, 4096, 1);
    const struct tt_tensor_view views[] = {
        {TT_F32, 2, {8, 16}, {16, 1}, data},             /* contiguous */
        {TT_F32, 2, {16, 8}, {1, 16}, data},             /* its transposed */
        {TT_F32, 2, {8, 10}, {16, 1}, data},             /* padded lines */
        {TT_F32, 2, {8, 10}, {1, 24}, data},             /* padded, transposed */
        {TT_F32, 1, {20}, {-3}, data + 100},             /* backward */
        {TT_F32, 3, {2, 5, 4}, {100, -7, 1}, data + 60}, /* backward inside */
        {TT_F32, 2, {4, 6}, {0, 1}, data},               /* broadcast */
        {TT_F32, 4, {3, 1, 2, 5}, {50, 999, 10, 2}, data},
        {TT_F32, 0, {0}, {0}, data + 5},
        {TT_F32, 2, {5, 5}, {1, 1}, data},               /* overlapping */
        {TT_F32, 2, {0, 5}, {5, 1}, NULL},               /* empty */
    };
    const size_t count = sizeof views / sizeof views[0];
    struct tt_recorder *recorder = open_recorder("layouts", (struct tt_recorder_options){0});
    for (size_t i = 0; i < count; i++)
        record(recorder, "a", TT_BEFORE, views[i]);
    tt_recorder_close(recorder);
    struct tt_capture *capture = read_back("layouts");
    CHECK(tt_capture_finished(capture));
    CHECK(tt_capture_ncalls(capture) == count);
    for (size_t i = 0; i < count; i++) {
        const struct tt_operand *operand = operand_of(capture, i, "a");
        CHECK(operand->kept == TT_KEPT_DATA && tt_operand_readable(operand));
        expect_values(capture, operand, &views[i]);
    }
    const struct tt_operand *plain = operand_of(capture, 0, "a"), *transposed = operand_of(capture, 1, "a");
    CHECK(memcmp(&plain->digest, &transposed->digest, sizeof plain->digest) == 0);
    CHECK(plain->segments[0].offset == transposed->segments[0].offset);
    const struct tt_recorded_call *call = tt_capture_call(capture, 0);
    CHECK(strcmp(call->op, "matmul") == 0 && strcmp(call->routine, "test_routine") == 0);
    CHECK(tt_call_attr_i64(call, "m", 0) == 7 && tt_call_attr_f64(call, "alpha", 0) == 0.5);
    CHECK(strcmp(tt_call_attr_str(call, "trans"), "T") == 0);
    CHECK(call->seq_end > call->seq_begin && call->time_end >= call->time_begin);
    tt_capture_close(capture);
}

static void test_statistics(void)
{
    static float data[1000];
    fill(data, 1000, 2);
    data[3] = NAN;
    data[400] = INFINITY;
    data[999] = -INFINITY;
    data[500] = data[501] = 0;
    struct tt_tensor_view view = {TT_F32, 1, {1000}, {1}, data};
    struct tt_recorder *recorder = open_recorder("statistics", (struct tt_recorder_options){.level = TT_LEVEL_STATS});
    record(recorder, "a", TT_BEFORE, view);
    tt_recorder_close(recorder);
    double sum = 0, squares = 0, min = INFINITY, max = -INFINITY;
    for (int i = 0; i < 1000; i++)
        if (isfinite(data[i])) {
            sum += data[i];
            squares += (double)data[i] * data[i];
            min = fmin(min, data[i]);
            max = fmax(max, data[i]);
        }
    struct tt_capture *capture = read_back("statistics");
    const struct tt_operand *operand = operand_of(capture, 0, "a");
    const struct tt_stats *stats = &operand->stats;
    CHECK(operand->kept == TT_KEPT_STATS && stats->valid && !tt_operand_readable(operand));
    CHECK(stats->count == 1000 && stats->nan == 1 && stats->inf == 2 && stats->zero == 2);
    CHECK(stats->min == min && stats->max == max);
    CHECK(fabs(stats->mean - sum / 997) < 1e-12 && fabs(stats->rms - sqrt(squares / 997)) < 1e-12);
    double value;
    struct tt_error error;
    CHECK(tt_operand_read(capture, operand, &value, &error) == -1 && strstr(error.message, "statistics"));
    tt_capture_close(capture);
}

static uint64_t shard_bytes(const char *name)
{
    char path[300];
    uint64_t total = 0;
    struct stat status;
    for (int i = 0; i < 100; i++) {
        snprintf(path, sizeof path, "%s/%s/data-%04d.safetensors", parent, name, i);
        if (stat(path, &status) == 0)
            total += (uint64_t)status.st_size;
    }
    return total;
}

/* A cache of [heads, tokens, 64] that is built anew, larger, for every token, as torch.cat does. */
static void test_growing(void)
{
    enum { HEADS = 3, MOST = 400, WIDTH = 64, RUN = MOST * WIDTH };
    float *source = malloc(HEADS * RUN * sizeof *source), *cache = NULL;
    fill(source, HEADS * RUN, 3);
    struct tt_recorder *recorder = open_recorder("growing", (struct tt_recorder_options){.keep_everything = true});
    for (int64_t tokens = 1; tokens <= MOST; tokens++) {
        free(cache);
        cache = malloc((size_t)tokens * HEADS * WIDTH * sizeof *cache);
        for (int64_t head = 0; head < HEADS; head++)
            memcpy(cache + head * tokens * WIDTH, source + head * RUN, (size_t)tokens * WIDTH * sizeof *cache);
        record(recorder, "k", TT_BEFORE,
               (struct tt_tensor_view){TT_F32, 3, {HEADS, tokens, WIDTH}, {tokens * WIDTH, WIDTH, 1}, cache});
    }
    tt_recorder_close(recorder);
    uint64_t once = HEADS * RUN * sizeof *source; /* all rows once */
    CHECK(shard_bytes("growing") < 12 * once);    /* stored naively: 200 times */
    struct tt_capture *capture = read_back("growing");
    CHECK(tt_capture_nlosses(capture) == 0);
    for (size_t i = 0; i < MOST; i += 37) {
        int64_t tokens = (int64_t)i + 1;
        const struct tt_operand *operand = operand_of(capture, i, "k");
        CHECK(operand->kept == TT_KEPT_DATA && operand->nsegments <= HEADS * 17);
        expect_values(capture, operand,
                      &(struct tt_tensor_view){TT_F32, 3, {HEADS, tokens, WIDTH}, {RUN, WIDTH, 1}, source});
    }
    tt_capture_close(capture);
    free(source);
    free(cache);
}

/* A weight in a file: read-only mapping, private writable mapping, one changed there. */
static void test_files(void)
{
    enum { COUNT = 50000 };
    static float data[COUNT];
    char path[300];
    fill(data, COUNT, 4);
    snprintf(path, sizeof path, "%s/model.bin", parent);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    CHECK(write(fd, data, sizeof data) == sizeof data);
    float *shared = mmap(NULL, sizeof data, PROT_READ, MAP_SHARED, fd, 0);
    float *private = mmap(NULL, sizeof data, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    float *changed = mmap(NULL, sizeof data, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    close(fd);
    changed[20000] = 5;
    struct tt_recorder *recorder = open_recorder("files", (struct tt_recorder_options){0});
    const struct tt_tensor_view views[] = {
        {TT_F32, 2, {100, 200}, {200, 1}, shared + 1000},
        {TT_F32, 2, {100, 200}, {200, 1}, private + 1000},
        {TT_F32, 2, {100, 200}, {200, 1}, changed + 1000},
        {TT_F32, 1, {64}, {1}, private + 7},
    };
    for (int round = 0; round < 6; round++)
        for (size_t i = 0; i < 4; i++)
            record(recorder, "w", TT_BEFORE, views[i]);
    tt_recorder_close(recorder);
    struct tt_capture *capture = read_back("files");
    CHECK(tt_capture_ncalls(capture) == 24);
    for (size_t i = 0; i < 24; i++) {
        const struct tt_operand *operand = operand_of(capture, i, "w");
        CHECK(operand->kept == (i % 4 == 2 ? TT_KEPT_DATA : TT_KEPT_FILE));
        CHECK(operand->has_digest);
        CHECK(operand->kept != TT_KEPT_FILE || strcmp(operand->file, path) == 0);
        expect_values(capture, operand, &views[i % 4]);
    }
    CHECK(operand_of(capture, 0, "w")->file_offset == 4000);
    CHECK(operand_of(capture, 20, "w")->repeat_sampled);
    CHECK(tt_capture_call(capture, 23)->epoch >= 4);
    double value[20000];
    struct tt_error error;
    CHECK(truncate(path, sizeof data - 4) == 0);
    CHECK(!tt_operand_readable(operand_of(capture, 0, "w")));
    CHECK(tt_operand_read(capture, operand_of(capture, 0, "w"), value, &error) == -1);
    CHECK(strstr(error.message, "changed since"));
    tt_capture_close(capture);
}

/* A pass over two weights of a file, the first one used token by token, is one epoch. Nothing is announced. */
static void test_epochs(void)
{
    enum { COUNT = 4096 };
    static float data[COUNT];
    char path[300];
    fill(data, COUNT, 5);
    snprintf(path, sizeof path, "%s/epochs.bin", parent);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    CHECK(write(fd, data, sizeof data) == sizeof data);
    float *weights = mmap(NULL, sizeof data, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    struct tt_recorder *recorder = open_recorder("epochs", (struct tt_recorder_options){0});
    for (int pass = 0; pass < 12; pass++) {
        for (int token = 0; token < 4; token++)
            record(recorder, "w", TT_BEFORE, (struct tt_tensor_view){TT_F32, 2, {16, 64}, {64, 1}, weights});
        record(recorder, "v", TT_BEFORE, (struct tt_tensor_view){TT_F32, 2, {16, 64}, {64, 1}, weights + 1024});
        data[0] = (float)pass;
        record(recorder, "x", TT_BEFORE, (struct tt_tensor_view){TT_F32, 1, {64}, {1}, data});
    }
    tt_recorder_close(recorder);
    struct tt_capture *capture = read_back("epochs");
    CHECK(tt_capture_ncalls(capture) == 72);
    for (size_t pass = 0; pass < 12; pass++) {
        const struct tt_operand *operand = operand_of(capture, pass * 6 + 5, "x");
        bool kept = pass < 3 || pass == 4 || pass == 8 || pass >= 10;
        CHECK(tt_capture_call(capture, pass * 6 + 5)->epoch == pass);
        CHECK(operand->kept == (kept ? TT_KEPT_DATA : TT_KEPT_HASH));
    }
    CHECK(tt_capture_nlosses(capture) == 1 && strcmp(tt_capture_loss(capture, 0)->what, "thinned") == 0 &&
          tt_capture_loss(capture, 0)->count == 5);
    tt_capture_close(capture);
}

/* Pointers that a broken engine may pass must not end it. */
static void test_unreadable(void)
{
    struct tt_recorder *recorder = open_recorder("unreadable", (struct tt_recorder_options){0});
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    float *memory = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap((char *)memory + page, 3 * page);
    record(recorder, "a", TT_BEFORE, (struct tt_tensor_view){TT_F32, 1, {4}, {1}, NULL});
    record(recorder, "a", TT_BEFORE, (struct tt_tensor_view){TT_F32, 1, {4}, {1}, (void *)16});
    record(recorder, "a", TT_BEFORE, (struct tt_tensor_view){TT_F32, 1, {(int64_t)page}, {1}, memory});
    record(recorder, "a", TT_BEFORE, (struct tt_tensor_view){TT_F32, 2, {1 << 20, 1 << 20}, {1 << 20, 1}, memory});
    record(recorder, "a", TT_BEFORE, (struct tt_tensor_view){TT_F32, 2, {INT64_MAX, 9}, {INT64_MAX, 1}, memory});
    record(recorder, "a", TT_BEFORE, (struct tt_tensor_view){TT_F32, 2, {-1, 9}, {9, 1}, memory});
    record(recorder, "a", TT_BEFORE, (struct tt_tensor_view){TT_F32, 1, {8}, {1}, memory});
    tt_recorder_close(recorder);
    struct tt_capture *capture = read_back("unreadable");
    for (size_t i = 0; i < 6; i++)
        CHECK(operand_of(capture, i, "a")->kept == TT_KEPT_UNREADABLE);
    CHECK(operand_of(capture, 6, "a")->kept == TT_KEPT_DATA);
    CHECK(tt_capture_nlosses(capture) == 1 && tt_capture_loss(capture, 0)->count == 6);
    tt_capture_close(capture);
}

static void test_budget(void)
{
    enum { LINES = 2000, WIDTH = 128 };
    float *data = malloc(sizeof(float) * LINES * WIDTH);
    struct tt_recorder *recorder = open_recorder("budget", (struct tt_recorder_options){.limit = 1 << 20});
    struct tt_tensor_view view = {TT_F32, 2, {LINES, WIDTH}, {WIDTH, 1}, data};
    for (unsigned i = 0; i < 200; i++) {
        fill(data, LINES * WIDTH, 100 + i);
        record(recorder, "x", TT_BEFORE, view);
    }
    tt_recorder_close(recorder);
    struct tt_capture *capture = read_back("budget");
    CHECK(shard_bytes("budget") < (1 << 20) + (1 << 19));
    CHECK(operand_of(capture, 0, "x")->kept == TT_KEPT_TRUNCATED);
    CHECK(operand_of(capture, 199, "x")->kept == TT_KEPT_BUDGET && operand_of(capture, 199, "x")->has_digest);
    CHECK(tt_capture_nlosses(capture) == 2);
    double *values = malloc(sizeof(double) * LINES * WIDTH);
    unsigned char *present = malloc(LINES * WIDTH);
    CHECK(tt_operand_read(capture, operand_of(capture, 0, "x"), values, NULL) == -1);
    CHECK(tt_operand_read_some(capture, operand_of(capture, 0, "x"), values, present, NULL) == 0);
    fill(data, LINES * WIDTH, 100);
    int rows = 0, wrong = 0;
    for (int i = 0; i < LINES * WIDTH; i++) {
        wrong += present[i] ? values[i] != (double)data[i] : !isnan(values[i]);
        rows += i % WIDTH == 0 && present[i];
    }
    CHECK(wrong == 0 && rows >= 18 && rows <= 32 && present[0] && present[LINES * WIDTH - 1]);
    tt_capture_close(capture);
    free(values);
    free(present);
    free(data);
}

static void test_selection(void)
{
    float data[16] = {1};
    struct tt_tensor_view view = {TT_F32, 1, {16}, {1}, data};
    struct tt_recorder *recorder =
        open_recorder("selection", (struct tt_recorder_options){.select = "op=mat*,role=a,b,layer=3,pass<2"});
    record(recorder, "a", TT_BEFORE, view);
    record(recorder, "c", TT_BEFORE, view);
    tt_recorder_mark(recorder, "one", true);
    tt_recorder_mark(recorder, "two", true);
    record(recorder, "a", TT_BEFORE, view);
    tt_recorder_close(recorder);
    struct tt_capture *capture = read_back("selection");
    CHECK(tt_capture_ncalls(capture) == 2 && tt_capture_nmarks(capture) == 2);
    CHECK(tt_capture_mark(capture, 1)->epoch == 2 && strcmp(tt_capture_mark(capture, 1)->text, "two") == 0);
    CHECK(operand_of(capture, 0, "a")->kept == TT_KEPT_DATA);
    CHECK(operand_of(capture, 1, "c")->kept == TT_KEPT_FILTERED);
    bool told = false;
    for (size_t i = 0; i < tt_capture_nlosses(capture); i++)
        told |= strcmp(tt_capture_loss(capture, i)->what, "selection") == 0 &&
                strcmp(tt_capture_loss(capture, i)->detail, "layer") == 0;
    CHECK(told);
    tt_capture_close(capture);
}

static void test_fork(void)
{
    float data[64];
    fill(data, 64, 9);
    struct tt_tensor_view view = {TT_F32, 1, {64}, {1}, data};
    char place[300];
    snprintf(place, sizeof place, "%s/forked", parent);
    struct tt_recorder *recorder;
    struct tt_recorder_options options = {.parent = place, .program = "fork test", .level = TT_LEVEL_DATA};
    CHECK(tt_recorder_open(&recorder, &options) == 0);
    CHECK(tt_recorder_directory(recorder) == NULL && access(place, F_OK) != 0);
    record(recorder, "a", TT_BEFORE, view);
    char *ours = strdup(tt_recorder_directory(recorder));
    pid_t child = fork();
    if (child == 0) {
        data[0] = 7;
        record(recorder, "b", TT_BEFORE, view);
        record(recorder, "b", TT_BEFORE, view);
        tt_recorder_close(recorder);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    record(recorder, "a", TT_BEFORE, view);
    tt_recorder_close(recorder);
    struct tt_error error;
    CHECK(tt_capture_open(place, &error) == NULL && strstr(error.message, "2 captures"));
    struct tt_capture *capture = tt_capture_open(ours, &error);
    CHECK(capture && tt_capture_ncalls(capture) == 2 && tt_capture_finished(capture));
    expect_values(capture, operand_of(capture, 1, "a"), &view);
    tt_capture_close(capture);
    char theirs[400];
    snprintf(theirs, sizeof theirs, "%s/tensortap.fork_test.%d", place, (int)child);
    capture = tt_capture_open(theirs, &error);
    data[0] = 7;
    CHECK(capture && tt_capture_ncalls(capture) == 2 && tt_capture_finished(capture));
    if (capture)
        expect_values(capture, operand_of(capture, 1, "b"), &view);
    tt_capture_close(capture);
    free(ours);
}

/* A call inside a call of the same tap is the same work; inside another tap's it is a child. */
static void test_nesting(void)
{
    struct tt_recorder *recorder = open_recorder("nesting", (struct tt_recorder_options){0});
    struct tt_call_scope outer, same, other;
    CHECK(tt_call_enter(&outer, recorder, "torch", "linear", "aten::linear"));
    tt_call_begin(&outer);
    CHECK(tt_call_enter(&other, recorder, "blas", "matmul", "cblas_sgemm"));
    CHECK(!tt_call_enter(&same, recorder, "blas", "matmul", "sgemm_"));
    tt_call_end(&same);
    tt_call_end(&other);
    tt_call_end(&outer);
    CHECK(tt_call_enter(&same, recorder, "blas", "matmul", "sgemm_"));
    tt_call_end(&same);
    tt_recorder_manifest(recorder, "path", "\"altered (test)\"");
    tt_recorder_close(recorder);
    struct tt_capture *capture = read_back("nesting");
    CHECK(tt_capture_ncalls(capture) == 3);
    CHECK(tt_capture_call(capture, 1)->parent == tt_capture_call(capture, 0)->id);
    CHECK(tt_capture_call(capture, 2)->parent == 0);
    const cJSON *path = cJSON_GetObjectItem(tt_capture_manifest(capture), "path");
    CHECK(path && strcmp(path->valuestring, "altered (test)") == 0);
    CHECK(cJSON_IsTrue(cJSON_GetObjectItem(tt_capture_manifest(capture), "finished")));
    tt_capture_close(capture);
}

/* Blocks are stored whole and decoded by the analyzer. */
static void test_blocks(void)
{
    uint8_t data[3][2][34]; /* [rows, blocks] of q8_0: scale 1.0, values 0…31 */
    for (int i = 0; i < 6; i++) {
        uint8_t *block = data[i / 2][i % 2];
        block[0] = 0;
        block[1] = 0x3C;
        for (int j = 0; j < 32; j++)
            block[2 + j] = (uint8_t)(j + i);
    }
    struct tt_recorder *recorder = open_recorder("blocks", (struct tt_recorder_options){0});
    record(recorder, "w", TT_BEFORE, (struct tt_tensor_view){TT_Q8_0, 2, {3, 64}, {64, 1}, data});
    record(recorder, "w", TT_BEFORE, (struct tt_tensor_view){TT_Q8_0, 2, {3, 32}, {64, 1}, data});
    tt_recorder_close(recorder);
    struct tt_capture *capture = read_back("blocks");
    double values[192];
    CHECK(tt_operand_read(capture, operand_of(capture, 0, "w"), values, NULL) == 0);
    CHECK(values[64 + 33] == 4 && values[191] == 36);
    CHECK(tt_operand_read(capture, operand_of(capture, 1, "w"), values, NULL) == 0);
    CHECK(values[32] == 2 && values[95] == 35);
    tt_capture_close(capture);
}

int main(void)
{
    if (!mkdtemp(parent))
        return 1;
    test_layouts();
    test_statistics();
    test_growing();
    test_files();
    test_epochs();
    test_unreadable();
    test_budget();
    test_selection();
    test_fork();
    test_nesting();
    test_blocks();
    if (failures == 0) {
        char command[300];
        snprintf(command, sizeof command, "rm -rf '%s'", parent);
        if (system(command) != 0)
            return 1;
    }
    return failures != 0;
}
