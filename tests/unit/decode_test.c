/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding in pieces: any range of any type gives what decoding all gives, and bytes behind the range are not
 * read. And the types that no other implementation at hand decodes, against their definitions. The others are
 * compared with gguf's own decoders in tests/model/decode_gguf.py.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/tensors.h"
#include "checks.h"

#define BLOCKS 3

static void fill(unsigned char *bytes, size_t count)
{
    static unsigned state = 7;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(state >> 24);
    }
}

static int same(const double *a, const double *b, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i])))
            return 0;
    return 1;
}

/* `data` lies at an odd address and ends with its allocation, so that sanitizers see a byte too many. */
static void test_ranges(enum tt_dtype dtype)
{
    const struct tt_dtype_info *info = tt_dtype_info(dtype);
    uint64_t count = BLOCKS * info->block;
    unsigned char *memory = malloc(1 + BLOCKS * info->bytes), *data = memory + 1;
    double whole[BLOCKS * 256], part[BLOCKS * 256 + 1];
    int wrong = 0;

    fill(data, BLOCKS * info->bytes);
    CHECK(tt_decode_f64(dtype, data, count, whole) == 0);
    for (uint64_t first = 0; first < count; first += 1 + first / 7)
        for (uint64_t taken = 0; first + taken <= count; taken += 1 + taken / 5) {
            part[taken] = 12.5;
            wrong += tt_decode_range(dtype, data, first, taken, part) != 0 ||
                     !same(part, whole + first, taken) || part[taken] != 12.5;
        }
    CHECK(wrong == 0);
    free(memory);
}

static void test_all_ranges(void)
{
    int types = 0, blocks = 0;
    double none;

    for (unsigned dtype = 1; dtype < TT_DTYPE_COUNT; dtype++) {
        if (tt_decode_f64((enum tt_dtype)dtype, "", 0, &none) != 0)
            continue;
        test_ranges((enum tt_dtype)dtype);
        types++;
        blocks += tt_dtype_info(dtype)->block > 1;
    }
    CHECK(types >= 33 && blocks >= 18);
}

/* f16 scale, f16 sum, 32 signed codes. */
static void test_q8_1(void)
{
    unsigned char block[36] = {0x00, 0xb8, 0xff, 0xff}; /* -0.5; the sum does not matter */
    double values[32];
    int wrong = 0;

    for (int i = 0; i < 32; i++)
        block[4 + i] = (unsigned char)(i * 8 - 128);
    CHECK(tt_decode_f64(TT_Q8_1, block, 32, values) == 0);
    for (int i = 0; i < 32; i++)
        wrong += values[i] != (i * 8 - 128) * -0.5;
    CHECK(wrong == 0);
}

static void test_u64(void)
{
    static const uint64_t cases[] = {0,
                                     1,
                                     UINT32_MAX,
                                     1ull << 32,
                                     (1ull << 53) + 1,
                                     (1ull << 53) + 3,
                                     (1ull << 63) + 1024,
                                     (1ull << 63) + 1025,
                                     (1ull << 63) + 3072,
                                     UINT64_MAX - 1024,
                                     UINT64_MAX - 1023,
                                     UINT64_MAX};
    const size_t count = sizeof cases / sizeof *cases;
    double values[sizeof cases / sizeof *cases];

    CHECK(tt_decode_f64(TT_U64, cases, count, values) == 0);
    for (size_t i = 0; i < count; i++)
        CHECK(values[i] == (double)cases[i]);
}

static void test_undecoded(void)
{
    double value;
    CHECK(tt_decode_f64(TT_IQ2_XXS, "", 0, &value) == -1 && tt_decode_f64(TT_NONE, "", 0, &value) == -1);
}

int main(void)
{
    test_all_ranges();
    test_q8_1();
    test_u64();
    test_undecoded();
    return failures != 0;
}
