/* SPDX-License-Identifier: Apache-2.0
 *
 * Each wrong form of a weight, planted in memory, is named; the right weight is the same, and an unknown one is told as such.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "diagnose/weight_forms.h"
#include "model/half.h"
#include "checks.h"

#define ROWS    96
#define COLUMNS 128
#define COUNT   (ROWS * COLUMNS)

static double file[COUNT], used[COUNT + ROWS * 64];

static double noise(void)
{
    static uint64_t state = 88172645463325252u;
    double sum = 0;
    for (int i = 0; i < 6; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        sum += (double)(state >> 11) * 0x1p-53 - 0.5;
    }
    return sum * 0.03;
}

static void start(void)
{
    for (int i = 0; i < COUNT; i++)
        file[i] = used[i] = (double)(float)noise();
}

/* `cause` NULL: no fault, named `words`; else the cause and a part of what was found. */
static void expect(const char *what, enum tt_dtype dtype, const char *cause, const char *words)
{
    struct tt_weight_pair pair = {.rows = ROWS, .columns = COLUMNS, .used = used, .file = file, .dtype = dtype};
    struct tt_weight_form form = {0};
    bool found = tt_weight_form(&pair, &form);
    bool right = found && (cause ? !form.benign && strcmp(form.cause, cause) == 0 && strstr(form.found, words)
                                 : form.benign && strcmp(form.benign, words) == 0);
    if (right && !tt_weight_same(&pair))
        return;
    failures++;
    printf("%s: expected %s %s, found %s '%s' (%s)\n", what, cause ? cause : "no fault", words, found ? form.cause : "nothing",
           form.found, form.benign ? form.benign : "a fault");
}

static void swap_places(int64_t (*source)(int64_t at))
{
    for (int64_t i = 0; i < COUNT; i++)
        used[i] = file[source(i)];
}

static int64_t reread(int64_t i)
{
    return i % COLUMNS * ROWS + i / COLUMNS;
}
static int64_t turned(int64_t i)
{
    return i % ROWS * COLUMNS + i / ROWS;
}
static int64_t interleaved(int64_t i) /* heads of 32 rows: (0, 16, 1, 17, …) */
{
    int64_t row = i / COLUMNS, within = row % 32;
    return (row - within + within / 2 + within % 2 * 16) * COLUMNS + i % COLUMNS;
}
static int64_t shuffled_rows(int64_t i)
{
    return i / COLUMNS * 35 % ROWS * COLUMNS + i % COLUMNS;
}
static int64_t shuffled_columns(int64_t i)
{
    return i - i % COLUMNS + i % COLUMNS * 37 % COLUMNS;
}
static int64_t exchanged_groups(int64_t i)
{
    return i - i % COLUMNS + (i % COLUMNS + 32) % COLUMNS;
}
static int64_t shifted(int64_t i)
{
    return i + 5 < COUNT ? i + 5 : i;
}
static int64_t shorter_rows(int64_t i)
{
    return i / COLUMNS * (COLUMNS - 8) + i % COLUMNS;
}

static void test_places(void)
{
    start();
    swap_places(reread);
    expect("bytes read as [in, out]", TT_F32, "linear.transposed", "");
    swap_places(turned);
    expect("transposed bytes", TT_F32, "linear.transposed", "");
    swap_places(interleaved);
    expect("rope pairing", TT_F32, "linear.permuted_rows", "half to interleaved within 32");
    swap_places(shuffled_rows);
    expect("rows in any order", TT_F32, "linear.permuted_rows", "1 from 35");
    swap_places(shuffled_columns);
    expect("columns in any order", TT_F32, "linear.permuted_columns", "columns 1 from 37");
    swap_places(exchanged_groups);
    expect("groups of columns", TT_F32, "quant.group_order", "columns rotated by 32");
    swap_places(shifted);
    expect("shifted", TT_F32, "linear.leading_dimension", "ld 128 from element 5");
    swap_places(shorter_rows);
    expect("leading dimension too small", TT_F32, "linear.leading_dimension", "ld 120");
}

static void test_padding(void)
{
    start();
    memset(used, 0, sizeof used);
    for (int64_t i = 0; i < COUNT; i++)
        used[i / COLUMNS * (COLUMNS + 16) + i % COLUMNS] = file[i];
    expect("padded rows", TT_F32, "linear.leading_dimension", "rows of 144 read with ld 128");
}

static void test_scales(void)
{
    start();
    memset(used, 0, sizeof used);
    expect("never written", TT_F32, "linear.zero_weight", "zeros");
    for (int i = 0; i < COUNT; i++)
        used[i] = file[i] * 0.5;
    expect("halved", TT_F32, "linear.scale", "scale 0.5");
    for (int i = 0; i < COUNT; i++)
        used[i] = file[i] * (1 + 0.25 * (i / COLUMNS % 3));
    expect("a scale per row", TT_F32, "quant.block_scale", "each row");
    for (int i = 0; i < COUNT; i++)
        used[i] = file[i] * (1 + 0.25 * (i / 32 % 5));
    expect("a scale per block", TT_Q8_0, "quant.block_scale", "each block of 32");
    for (int i = 0; i < COUNT; i++)
        used[i] = fabs(file[i]);
    expect("sign lost", TT_Q4_0, "quant.sign_lost", "absolute");
    for (int i = 0; i < COUNT; i++)
        used[i] = file[i] + 0.01 * (1 + i / 32 % 7);
    expect("zero point", TT_Q4_0, "quant.zero_point", "per block");
    expect("minimum", TT_Q4_K, "quant.min_missing", "per block");
}

static void test_blocks(void)
{
    start();
    for (int i = 0; i < COUNT; i++)
        used[i] = i % COLUMNS < 32 ? file[i] : 0;
    expect("first block, then zeros", TT_Q8_0, "quant.first_block_only", "[96, 32]");
    for (int i = 0; i < COUNT; i++)
        used[i] = i % COLUMNS < 32 ? file[i] : noise();
    expect("first block, then anything", TT_Q8_0, "quant.first_block_only", "first 32");
    for (int i = 0; i < COUNT; i++)
        used[i] = file[i - i % COLUMNS + i % 32];
    expect("first block everywhere", TT_Q8_0, "quant.block_repeat", "block 0");
    for (int i = 0; i < COUNT; i++)
        used[i] = file[i / 64 * 64 + i % 32];
    expect("each block twice", TT_Q8_0, "quant.block_repeat", "twice");
    for (int i = 0; i < COUNT; i++)
        used[i] = i % COLUMNS < 100 ? file[i] : 0;
    expect("columns cut off", TT_F32, "linear.truncated", "[96, 100]");
    for (int i = 0; i < COUNT; i++)
        used[i] = i / COLUMNS < 90 ? file[i] : 0;
    expect("rows cut off", TT_F32, "linear.truncated", "[90, 128]");
}

static void test_types(void)
{
    start();
    for (int i = 0; i < COUNT; i++)
        used[i] = (double)tt_bf16_to_f32(tt_f32_to_bf16((float)file[i]));
    expect("bf16", TT_F32, NULL, "weight as bf16");
    for (int i = 0; i < COUNT; i++)
        used[i] = (double)tt_f16_to_f32(tt_f32_to_f16((float)file[i]));
    expect("f16", TT_F32, NULL, "weight as f16");
    for (int b = 0; b < COUNT; b += 32) {
        double most = 0;
        for (int i = b; i < b + 32; i++)
            most = fmax(most, fabs(file[i]));
        double scale = (double)tt_f16_to_f32(tt_f32_to_f16((float)(most / 127)));
        for (int i = b; i < b + 32; i++)
            used[i] = round(file[i] * 127 / most) * scale;
    }
    expect("q8_0", TT_F32, NULL, "weight as q8_0");
    for (int i = 0; i < COUNT; i++)
        used[i] = round(file[i] * 400) / 400;
    expect("steps of no known type", TT_F32, NULL, "weight quantised");
}

/* Few wrong numbers are neither rounding nor a form. */
static void test_unknown(void)
{
    struct tt_weight_pair pair = {.rows = ROWS, .columns = COLUMNS, .used = used, .file = file, .dtype = TT_F32};
    struct tt_weight_form form;
    start();
    if (!tt_weight_same(&pair))
        failures++, printf("the right weight is not the same\n");
    used[1234] += 0.5;
    if (tt_weight_same(&pair) || tt_weight_form(&pair, &form))
        failures++, printf("one wrong element is taken for %s\n", form.found);
    tt_weight_difference(&pair, &form);
    if (!strstr(form.text, "1 of 96 rows and 1 of 128 columns") || !strstr(form.found, "1 of 12288"))
        failures++, printf("one wrong element: %s; %s\n", form.found, form.text);
    for (int i = 0; i < COUNT; i++)
        used[i] = noise();
    if (tt_weight_form(&pair, &form))
        failures++, printf("noise is taken for %s\n", form.found);
    start();
    for (int i = 0; i < COLUMNS; i++)
        used[17 * COLUMNS + i] = noise();
    if (tt_weight_form(&pair, &form))
        failures++, printf("one wrong row is taken for %s\n", form.found);
}

int main(void)
{
    test_places();
    test_padding();
    test_scales();
    test_blocks();
    test_types();
    test_unknown();
    printf("%d failed\n", failures);
    return failures != 0;
}
