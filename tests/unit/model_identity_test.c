/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights are found by place and by content. Expected digests are taken of plainly rearranged copies.
 */
#define XXH_INLINE_ALL
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "model/half.h"
#include "model/identity.h"
#include "checks.h"

enum { ROWS = 48, COLUMNS = 40, COUNT = ROWS * COLUMNS, HEADS = 4 };

static float first[COUNT], second[COUNT]; /* [ROWS, COLUMNS]; every value is exact in f16 */
static float other[COUNT];                /* [COLUMNS, ROWS] */

static void fill(float *values, unsigned seed)
{
    for (int i = 0; i < COUNT; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (float)((int)(seed >> 20) - 2048) / 64;
    }
}

/* A safetensors file: "first" and its twin in f32, "second" in f16, "other" in f32, an empty tensor. */
static void write_model(const char *path)
{
    static uint16_t halves[COUNT];
    char header[1024];
    const unsigned long f32 = 4 * COUNT, f16 = 2 * COUNT;
    uint64_t length =
        (uint64_t)snprintf(header, sizeof header,
                           "{\"first\":{\"dtype\":\"F32\",\"shape\":[48,40],\"data_offsets\":[0,%lu]},"
                           "\"twin\":{\"dtype\":\"F32\",\"shape\":[1920],\"data_offsets\":[%lu,%lu]},"
                           "\"second\":{\"dtype\":\"F16\",\"shape\":[48,40],\"data_offsets\":[%lu,%lu]},"
                           "\"other\":{\"dtype\":\"F32\",\"shape\":[40,48],\"data_offsets\":[%lu,%lu]},"
                           "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[0,0]}}",
                           f32, f32, 2 * f32, 2 * f32, 2 * f32 + f16, 2 * f32 + f16, 3 * f32 + f16);
    FILE *file = fopen(path, "wb");

    for (int i = 0; i < COUNT; i++)
        halves[i] = tt_f32_to_f16(second[i]);
    fwrite(&length, 1, 8, file);
    fwrite(header, 1, length, file);
    fwrite(first, 1, sizeof first, file);
    fwrite(first, 1, sizeof first, file);
    fwrite(halves, 1, sizeof halves, file);
    fwrite(other, 1, sizeof other, file);
    fclose(file);
}

static struct tt_digest digest_of(const void *bytes, size_t nbytes)
{
    XXH128_canonical_t canonical;
    struct tt_digest digest;

    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, nbytes));
    memcpy(digest.bytes, canonical.digest, sizeof digest.bytes);
    return digest;
}

/* One answer, of that tensor by that transform; filled into *match. */
static bool found(struct tt_identity *identity, enum tt_dtype dtype, const void *bytes, size_t nbytes,
                  const char *tensor, enum tt_identity_transform transform, struct tt_identity_match *match)
{
    struct tt_digest digest = digest_of(bytes, nbytes);
    size_t count = tt_identity_find(identity, dtype, COUNT, &digest, match, 1);
    return count == 1 && strcmp(match->tensor->name, tensor) == 0 && match->transform == transform;
}

static void test_plain(struct tt_identity *identity)
{
    static uint16_t halves[COUNT];
    struct tt_identity_match match, two[2];
    struct tt_digest digest = digest_of(first, sizeof first);

    CHECK(tt_identity_find(identity, TT_F32, COUNT, &digest, two, 2) == 2);
    CHECK(two[0].tensor != two[1].tensor && two[0].transform == TT_IDENTITY_NONE);
    CHECK(tt_identity_find(identity, TT_F32, COUNT, &digest, two, 0) == 2);
    CHECK(tt_identity_find(identity, TT_F32, COUNT - 1, &digest, two, 2) == 0);
    CHECK(found(identity, TT_F32, other, sizeof other, "other", TT_IDENTITY_NONE, &match));
    CHECK(found(identity, TT_F32, second, sizeof second, "second", TT_IDENTITY_DEQUANTISED, &match));
    for (int i = 0; i < COUNT; i++)
        halves[i] = tt_f32_to_bf16(other[i]);
    CHECK(found(identity, TT_BF16, halves, sizeof halves, "other", TT_IDENTITY_DEQUANTISED, &match));
    halves[7] ^= 1;
    CHECK(!found(identity, TT_BF16, halves, sizeof halves, "other", TT_IDENTITY_DEQUANTISED, &match));
    digest = digest_of("", 0);
    CHECK(tt_identity_find(identity, TT_F32, 0, &digest, two, 2) == 0);
}

static void test_transposed(struct tt_identity *identity)
{
    static float turned[COUNT];
    struct tt_identity_match match;

    for (int i = 0; i < COUNT; i++)
        turned[i % COLUMNS * ROWS + i / COLUMNS] = second[i];
    CHECK(found(identity, TT_F32, turned, sizeof turned, "second", TT_IDENTITY_TRANSPOSED, &match));
    for (int i = 0; i < COUNT; i++)
        turned[i % ROWS * COLUMNS + i / ROWS] = other[i];
    CHECK(found(identity, TT_F32, turned, sizeof turned, "other", TT_IDENTITY_TRANSPOSED, &match));
}

/* The conversion of llama checkpoints: row (head, half, i) of the file is row (head, i, half) of the operand.
 */
static void test_permuted(struct tt_identity *identity)
{
    static float moved[COUNT];
    const int length = ROWS / HEADS, half = length / 2;
    struct tt_identity_match match;

    for (int head = 0; head < HEADS; head++)
        for (int side = 0; side < 2; side++)
            for (int i = 0; i < half; i++)
                memcpy(moved + (head * length + 2 * i + side) * COLUMNS,
                       second + (head * length + side * half + i) * COLUMNS, COLUMNS * sizeof *moved);
    CHECK(found(identity, TT_F32, moved, sizeof moved, "second", TT_IDENTITY_PERMUTED, &match));
    CHECK(match.heads == HEADS && match.to_interleaved);
    for (int head = 0; head < HEADS; head++)
        for (int side = 0; side < 2; side++)
            for (int i = 0; i < half; i++)
                memcpy(moved + (head * length + side * half + i) * COLUMNS,
                       second + (head * length + 2 * i + side) * COLUMNS, COLUMNS * sizeof *moved);
    CHECK(found(identity, TT_F32, moved, sizeof moved, "second", TT_IDENTITY_PERMUTED, &match));
    CHECK(match.heads == HEADS && !match.to_interleaved);
}

static void test_places(struct tt_identity *identity, const struct tt_model *model, const char *path)
{
    const struct tt_model_tensor *tensor = tt_model_tensor(model, "second");
    struct tt_identity_match match;
    char name[256];

    CHECK(tt_identity_at(identity, path, tensor->offset, &match) && match.tensor == tensor &&
          match.element == 0);
    CHECK(tt_identity_at(identity, path, tensor->offset + 82, &match) && match.tensor == tensor);
    CHECK(match.element == 41);
    CHECK(!tt_identity_at(identity, path, tensor->offset + 1, &match));
    CHECK(!tt_identity_at(identity, path, 0, &match));
    tensor = tt_model_tensor(model, "other");
    CHECK(!tt_identity_at(identity, path, tensor->offset + tensor->nbytes, &match));
    CHECK(!tt_identity_at(identity, "/proc/self/exe", tensor->offset, &match));
    CHECK(!tt_identity_at(identity, "/nonexistent", tensor->offset, &match));
    snprintf(name, sizeof name, "%s.link", path); /* another name, the same file */
    CHECK(link(path, name) == 0 && tt_identity_at(identity, name, tensor->offset, &match));
    unlink(name);
}

int main(void)
{
    static const int heads[] = {HEADS, HEADS, 3};
    char path[] = "/tmp/tensortap-identity-XXXXXX";
    struct tt_error error = {0};
    int fd = mkstemp(path);

    close(fd);
    fill(first, 1);
    fill(second, 2);
    fill(other, 3);
    write_model(path);
    struct tt_model *model = tt_model_open(path, &error);
    if (!model) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    struct tt_identity *identity = tt_identity_new(model, heads, 3);
    for (int round = 0; round < 2; round++) { /* computed, then kept */
        test_plain(identity);
        test_transposed(identity);
        test_permuted(identity);
    }
    test_places(identity, model, path);
    tt_identity_free(identity);
    tt_model_close(model);
    unlink(path);
    return failures != 0;
}
