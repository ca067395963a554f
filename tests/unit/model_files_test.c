/* SPDX-License-Identifier: Apache-2.0
 *
 * Safetensors files: hostile and damaged ones give one clear line. And values of types that no other implementation
 * decodes.
 */
#include <math.h>

#include "model/half.h"
#include "model_bytes.h"

static struct bytes safetensors(const char *header, size_t data)
{
    struct bytes bytes = {.count = 0};

    put_string(&bytes, header);
    memset(bytes.at + bytes.count, 0, data);
    bytes.count += data;
    return bytes;
}

static void test_safetensors_headers(void)
{
    static const struct {
        const char *header;
        size_t data;
        const char *words;
    } cases[] = {
        {"", 8, "empty safetensors header"},
        {"[1]", 0, "no JSON object"},
        {"{\"a\":1}", 0, "no string in 'dtype'"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}", 8, "not valid JSON"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "truncated"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8,
         "other than shape times dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,8]}}", 8, "whole number"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,8]}}", 8, "whole number"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1e300],\"data_offsets\":[0,8]}}", 8, "whole number"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}", 8,
         "overflows"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4503599627370496,1024],\"data_offsets\":[0,0]}}", 8,
         "shape times"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 8,
         "8 dimensions"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,0]}}", 8, "no pair"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "no pair"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,9007199254740992]}}", 8, "truncated"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":["
         "4],"
         "\"data_offsets\":[3,7]}}",
         8, "overlap"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"U8\",\"shape\":["
         "4],"
         "\"data_offsets\":[4,8]}}",
         8, "twice"},
        {"{\"\xff\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 8, "not UTF-8"},
        {"{} x", 0, "not valid JSON"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes bytes = safetensors(cases[i].header, cases[i].data);
        expect_refused("bad.safetensors", &bytes, cases[i].words);
    }
}

static void test_safetensors_lengths(void)
{
    struct bytes bytes = {.count = 0};

    expect_refused("empty.safetensors", &bytes, "only 0 bytes");
    put_u64(&bytes, 1ull << 60);
    put(&bytes, "{}", 2);
    expect_refused("long.safetensors", &bytes,
                   "header length 1152921504606846976 exceeds the file's 10 bytes");
    bytes.count = 0;
    put(&bytes, "version https://git-lfs.github.com/spec/v1\n", 43);
    expect_refused("pointer.safetensors", &bytes, "Git LFS pointer");
}

/* 1500 levels of JSON are refused, not followed. */
static void test_deep_json(void)
{
    struct bytes bytes = {.count = 0};
    char deep[3001];

    memset(deep, '[', 1500);
    memset(deep + 1500, ']', 1500);
    deep[3000] = '\0';
    put_u64(&bytes, 3000);
    put(&bytes, deep, 3000);
    expect_refused("deep.safetensors", &bytes, "not valid JSON");
}

static void test_empty_tensor(void)
{
    struct tt_error error = {0};
    struct bytes bytes = safetensors("{\"a\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[0,0]}}", 0);
    const char *path = write_file("zero.safetensors", &bytes);
    struct tt_model *model = tt_model_open(path, &error);
    const struct tt_model_tensor *tensor = model ? tt_model_tensor(model, "a") : NULL;
    double value = 7;

    CHECK(tensor && tensor->nbytes == 0 && tensor->shape[1] == 7);
    CHECK(tensor && tt_model_read(tensor, 0, 0, &value, &error) == 0 && value == 7);
    CHECK(tensor && tt_model_read(tensor, 0, 1, &value, &error) == -1 && strstr(error.message, "outside"));
    CHECK(model && !tt_model_number(model, "hidden_size", &value));
    tt_model_close(model);
    unlink(path);
}

/* ---- values ---- */

/* ldexp is the definition; all 65536 halves must agree with it. */
static void test_half_precision(void)
{
    int wrong = 0;

    for (unsigned h = 0; h < 65536; h++) {
        unsigned exponent = h >> 10 & 31, fraction = h & 1023;
        double expected = exponent == 31  ? (fraction ? NAN : INFINITY)
                          : exponent == 0 ? ldexp(fraction, -24)
                                          : ldexp(1024 + fraction, (int)exponent - 25);
        float value = tt_f16_to_f32((uint16_t)h);
        expected = h & 0x8000 ? -expected : expected;
        wrong += isnan(expected) ? !isnan(value) : (double)value != expected;
        wrong += !isnan(expected) && tt_f32_to_f16(value) != h;
        wrong += isnan(expected) && !isnan(tt_f16_to_f32(tt_f32_to_f16(value)));
    }
    CHECK(wrong == 0);
    CHECK(tt_f32_to_f16(65519.0f) == 0x7bff && tt_f32_to_f16(65520.0f) == 0x7c00);
    CHECK(tt_f32_to_f16(0x1.002p0f) == 0x3c00 && tt_f32_to_f16(0x1.006p0f) == 0x3c02);
    CHECK(tt_f32_to_bf16(0x1.01p0f) == 0x3f80 && tt_f32_to_bf16(0x1.03p0f) == 0x3f82);
}

/* The one block type that no other implementation here decodes: f32 scale, 256 signed codes. */
static void test_q8_k(void)
{
    unsigned char block[292] = {0};
    const float scale = -0.375f;
    double values[256];
    int wrong = 0;

    memcpy(block, &scale, sizeof scale);
    for (int i = 0; i < 256; i++)
        block[4 + i] = (unsigned char)(i - 128);
    CHECK(tt_decode_f64(TT_Q8_K, block, 256, values) == 0);
    for (int i = 0; i < 256; i++)
        wrong += values[i] != (i - 128) * -0.375;
    CHECK(wrong == 0);
    CHECK(tt_decode_f64(TT_C64, block, 1, values) == -1 &&
          tt_decode_f64((enum tt_dtype)9999, block, 1, values) == -1);
}

static void test_no_such_model(void)
{
    struct tt_error error = {0};

    CHECK(!tt_model_open("/nonexistent/model.gguf", &error) &&
          strstr(error.message, "/nonexistent/model.gguf"));
    CHECK(!tt_model_open(folder, &error) && strstr(error.message, "holds no"));
    CHECK(!tt_model_open("no-such-org/no-such-model", &error) && strstr(error.message, "cache"));
}

int main(void)
{
    if (!mkdtemp(folder))
        return 1;
    test_no_such_model();
    test_safetensors_headers();
    test_safetensors_lengths();
    test_deep_json();
    test_empty_tensor();
    test_half_precision();
    test_q8_k();
    rmdir(folder);
    return failures != 0;
}
