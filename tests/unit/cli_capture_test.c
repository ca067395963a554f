/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes a small capture with known contents: `cli_capture_test DIR [kill]`. The Python test of the same
 * name looks at it through the commands. Without arguments: a capture in a temporary folder is made and
 * read back.
 *
 * Contents: 3 epochs, each a matmul c = a b with a[i,j] = 10 i + j + epoch (4 x 8), b the same in all
 * epochs (8 x 3); the last c holds a NaN at [2,1]. `kill`: the process ends inside the last call.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "tensortap/reader.h"
#include "tensortap/writer.h"

#define ROWS    4
#define INNER   8
#define COLUMNS 3
#define EPOCHS  3

static struct tt_tensor_view view(const float *data, int64_t rows, int64_t columns)
{
    return (struct tt_tensor_view){
        .dtype = TT_F32, .rank = 2, .shape = {rows, columns}, .strides = {columns, 1}, .data = data};
}

static void record_epoch(struct tt_recorder *recorder, int epoch, bool killed)
{
    static float b[INNER * COLUMNS]; /* [INNER, COLUMNS] */
    float a[ROWS * INNER], c[ROWS * COLUMNS] = {0};
    struct tt_call_scope call;
    for (int i = 0; i < INNER * COLUMNS; i++)
        b[i] = (float)i / 8;
    for (int i = 0; i < ROWS * INNER; i++)
        a[i] = (float)(10 * (i / INNER) + i % INNER + epoch);
    for (int i = 0; i < ROWS * COLUMNS; i++)
        for (int k = 0; k < INNER; k++)
            c[i] += a[i / COLUMNS * INNER + k] * b[k * COLUMNS + i % COLUMNS];
    if (epoch == EPOCHS - 1)
        c[2 * COLUMNS + 1] = NAN;
    struct tt_tensor_view views[] = {view(a, ROWS, INNER), view(b, INNER, COLUMNS), view(c, ROWS, COLUMNS)};
    if (!tt_call_enter(&call, recorder, "test", "matmul", "test_matmul"))
        return;
    tt_call_i64(&call, "m", ROWS);
    tt_call_f64(&call, "alpha", 1.0);
    tt_call_begin(&call);
    tt_call_operand(&call, "a", TT_BEFORE, &views[0]);
    tt_call_operand(&call, "b", TT_BEFORE, &views[1]);
    if (killed)
        raise(SIGKILL);
    tt_call_operand(&call, "c", TT_AFTER, &views[2]);
    tt_call_end(&call);
}

static int make(const char *parent, bool killed)
{
    struct tt_recorder_options options = {.parent = parent, .level = TT_LEVEL_DATA, .keep_everything = true};
    struct tt_recorder *recorder;
    if (tt_recorder_open(&recorder, &options) != 0)
        return 1;
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        record_epoch(recorder, epoch, killed && epoch == EPOCHS - 1);
        tt_recorder_mark(recorder, "next", true);
    }
    if (tt_recorder_directory(recorder))
        puts(tt_recorder_directory(recorder));
    tt_recorder_close(recorder);
    return 0;
}

static int make_and_read(void)
{
    char folder[] = "/tmp/tensortap-cli-XXXXXX";
    struct tt_error error;
    if (!mkdtemp(folder) || make(folder, false) != 0)
        return 1;
    struct tt_capture *capture = tt_capture_open(folder, &error);
    size_t calls = capture ? tt_capture_ncalls(capture) : 0;
    tt_capture_close(capture);
    char *remove = tt_format("rm -rf '%s'", folder);
    int removed = system(remove);
    free(remove);
    return calls != EPOCHS || removed != 0;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return make_and_read();
    return make(argv[1], argc > 2 && strcmp(argv[2], "kill") == 0);
}
