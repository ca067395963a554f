/* SPDX-License-Identifier: Apache-2.0
 *
 * Repair, and a writer for capture_shards_test.py:
 *   capture_shards_test write DIRECTORY close   all dtypes, then a proper end
 *   capture_shards_test write DIRECTORY wait    the same, then "ready" on stdout and a wait for the kill
 * Without arguments: kill a writer, repair, compare.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "capture/repair.h"
#include "tensortap/reader.h"
#include "tensortap/writer.h"

#define TENSORS 3000 /* more than the first shard's header holds */

static void put(struct tt_recorder *recorder, const char *role, struct tt_tensor_view view)
{
    struct tt_call_scope call;
    tt_call_enter(&call, recorder, "test", "copy", "put \"quoted\"");
    tt_call_operand(&call, role, TT_AFTER, &view);
    tt_call_end(&call);
}

static void write_small(struct tt_recorder *recorder)
{
    float values[12];
    for (int i = 0; i < TENSORS; i++) {
        for (int j = 0; j < 12; j++)
            values[j] = (float)(i * 12 + j);
        put(recorder, "y", (struct tt_tensor_view){TT_F32, 2, {3, 4}, {4, 1}, values});
    }
}

static void write_each_dtype(struct tt_recorder *recorder)
{
    static uint8_t bytes[TT_DTYPE_COUNT][8 * 1024];
    for (unsigned dtype = 1; dtype < TT_DTYPE_COUNT; dtype++) {
        const struct tt_dtype_info *type = tt_dtype_info(dtype);
        for (size_t i = 0; i < sizeof bytes[dtype]; i++)
            bytes[dtype][i] = dtype == TT_BOOL ? (uint8_t)(i % 3 == 0) : (uint8_t)((i * 7 + dtype) & 0x3F);
        int64_t width = 2 * (int64_t)type->block;
        put(recorder, type->name, (struct tt_tensor_view){(enum tt_dtype)dtype, 2, {3, width}, {width, 1}, bytes[dtype]});
    }
    static uint8_t scalar[16] = {1};
    put(recorder, "scalar", (struct tt_tensor_view){TT_C64, 0, {0}, {0}, scalar});
}

/* One tensor larger than a first shard. */
static void write_large(struct tt_recorder *recorder)
{
    const int64_t rows = 1500, width = 1024;
    float *values = malloc((size_t)(rows * width) * sizeof *values);
    for (int64_t i = 0; i < rows * width; i++)
        values[i] = (float)(i % 8191);
    put(recorder, "large", (struct tt_tensor_view){TT_F32, 2, {rows, width}, {width, 1}, values});
    free(values);
}

static int write_capture(const char *directory, bool wait_for_kill)
{
    struct tt_recorder *recorder;
    struct tt_recorder_options options = {.directory = directory, .level = TT_LEVEL_DATA, .keep_everything = true,
                                          .limit = 256 << 20};
    if (tt_recorder_open(&recorder, &options) != 0)
        return 1;
    write_small(recorder);
    write_each_dtype(recorder);
    write_large(recorder);
    if (wait_for_kill) {
        puts("ready");
        fflush(stdout);
        pause();
    }
    tt_recorder_close(recorder);
    return 0;
}

static int check_values(const char *directory)
{
    struct tt_error error = {0};
    struct tt_capture *capture = tt_capture_open(directory, &error);
    if (!capture) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    int wrong = tt_capture_ncalls(capture) != TENSORS + TT_DTYPE_COUNT - 1 + 2;
    for (size_t i = 0; i < TENSORS && !wrong; i += 13) {
        double values[12];
        const struct tt_operand *operand = tt_call_find(tt_capture_call(capture, i), "y", TT_AFTER);
        wrong = !operand || tt_operand_read(capture, operand, values, &error) != 0 || values[11] != i * 12.0 + 11;
    }
    if (wrong)
        fprintf(stderr, "%s: values are wrong %s\n", directory, error.message);
    tt_capture_close(capture);
    return wrong;
}

static int kill_and_repair(void)
{
    char parent[] = "/tmp/tensortap-shards-XXXXXX", directory[64], line[16] = "", command[100];
    struct tt_error error = {0};
    int ready[2], status = 1;
    if (!mkdtemp(parent) || pipe(ready) != 0)
        return 1;
    snprintf(directory, sizeof directory, "%s/c", parent);
    pid_t child = fork();
    if (child == 0) {
        dup2(ready[1], 1);
        _exit(write_capture(directory, true));
    }
    close(ready[1]);
    if (read(ready[0], line, sizeof line - 1) <= 0)
        return 1;
    int failed = tt_capture_repair(directory, &error) != -1 || !strstr(error.message, "still writing");
    failed |= check_values(directory); /* readable while it is being written */
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    failed |= check_values(directory);
    int repaired = tt_capture_repair(directory, &error);
    if (repaired < 1)
        fprintf(stderr, "repaired %d: %s\n", repaired, error.message);
    failed |= repaired < 1 || tt_capture_repair(directory, &error) != 0;
    failed |= check_values(directory);
    snprintf(command, sizeof command, "rm -rf '%s'", parent);
    return failed | system(command);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "write") == 0)
        return write_capture(argv[2], strcmp(argv[3], "wait") == 0);
    if (argc == 3 && strcmp(argv[1], "repair") == 0) {
        struct tt_error error = {0};
        int repaired = tt_capture_repair(argv[2], &error);
        fputs(repaired < 0 ? error.message : "", stderr);
        return repaired < 0;
    }
    return kill_and_repair();
}
