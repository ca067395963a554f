/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF files: hostile and damaged ones give one clear line, odd ones are read.
 */
#include "model_bytes.h"

static struct bytes gguf_start(uint64_t tensors, uint64_t values)
{
    struct bytes bytes = {.count = 0};

    put(&bytes, "GGUF", 4);
    put_u32(&bytes, 3);
    put_u64(&bytes, tensors);
    put_u64(&bytes, values);
    return bytes;
}

static void put_tensor(struct bytes *bytes, const char *name, uint64_t columns, uint64_t rows, uint32_t type,
                       uint64_t offset)
{
    put_string(bytes, name);
    put_u32(bytes, 2);
    put_u64(bytes, columns);
    put_u64(bytes, rows);
    put_u32(bytes, type);
    put_u64(bytes, offset);
}

static void put_data(struct bytes *bytes, size_t count)
{
    while (bytes->count % 32 != 0)
        bytes->at[bytes->count++] = 0;
    memset(bytes->at + bytes->count, 0, count);
    bytes->count += count;
}

static void test_gguf_counts(void)
{
    struct bytes bytes = gguf_start(1ull << 60, 0);
    expect_refused("tensors.gguf", &bytes, "list of tensors");
    bytes = gguf_start(0, 1ull << 61);
    expect_refused("values.gguf", &bytes, "list of metadata");
    bytes = gguf_start(0, 1);
    put_u64(&bytes, UINT64_MAX);
    put_data(&bytes, 64);
    expect_refused("key.gguf", &bytes, "metadata key");
    bytes = gguf_start(0, 1);
    put_string(&bytes, "list");
    put_u32(&bytes, 9);
    put_u32(&bytes, 4);
    put_u64(&bytes, 1ull << 62);
    put_data(&bytes, 64);
    expect_refused("list.gguf", &bytes, "metadata value");
    bytes = gguf_start(0, 1);
    put_string(&bytes, "list");
    put_u32(&bytes, 77);
    put_data(&bytes, 64);
    expect_refused("type.gguf", &bytes, "unknown metadata type");
}

static void test_gguf_tensors(void)
{
    static const struct {
        uint64_t columns, rows;
        uint32_t type;
        uint64_t offset;
        const char *words;
    } cases[] = {
        {1ull << 63, 1, 0, 0, "dimension is above"},
        {1ull << 40, 1ull << 40, 0, 0, "overflows"},
        {1ull << 62, 1, 0, 0, "size in bytes overflows"},
        {31, 1, 8, 0, "whole number of blocks"},
        {8, 1, 4000000000u, 0, "none of ggml's"},
        {8, 1, 0, 3, "not aligned"},
        {8, 1, 0, 32, "does not fit"},
        {8, 1, 0, UINT64_MAX - 31, "does not fit"},
        {9, 1, 0, 0, "does not fit"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes bytes = gguf_start(1, 0);
        put_tensor(&bytes, "t", cases[i].columns, cases[i].rows, cases[i].type, cases[i].offset);
        put_data(&bytes, 32);
        expect_refused("tensor.gguf", &bytes, cases[i].words);
    }
}

/* Without elements, or of a type without a known size: listed; the second is refused when it is read. */
static void test_gguf_odd_tensors(void)
{
    struct bytes bytes = gguf_start(3, 0);
    struct tt_error error = {0};
    double values[8];

    put_tensor(&bytes, "empty", 0, 4, 8, 0);
    put_tensor(&bytes, "withdrawn", 8, 1, 5, 0);
    put_tensor(&bytes, "plain", 8, 1, 0, 32);
    put_data(&bytes, 64);
    struct tt_model *model = tt_model_open(write_file("odd.gguf", &bytes), &error);
    CHECK(model && tt_model_ntensors(model) == 3);
    const struct tt_model_tensor *empty = model ? tt_model_tensor(model, "empty") : NULL;
    CHECK(empty && empty->nbytes == 0 && empty->shape[1] == 0 && empty->shape[0] == 4);
    CHECK(empty && tt_model_read(empty, 0, 0, values, &error) == 0);
    CHECK(model && tt_model_read(tt_model_tensor(model, "withdrawn"), 0, 8, values, &error) == -1 &&
          strstr(error.message, "ggml type 5"));
    CHECK(model && tt_model_read(tt_model_tensor(model, "plain"), 0, 8, values, &error) == 0 && values[7] == 0);
    tt_model_close(model);
    unlink(write_file("odd.gguf", &bytes));
}

/* A list of two lists of numbers: its place is known, its items are no numbers. */
static void test_gguf_nested(void)
{
    struct bytes bytes = gguf_start(0, 2);
    struct tt_error error = {0};
    double number = 0;

    put_string(&bytes, "nested");
    put_u32(&bytes, 9);
    put_u32(&bytes, 9);
    put_u64(&bytes, 2);
    for (int i = 0; i < 2; i++) {
        put_u32(&bytes, 4);
        put_u64(&bytes, 3);
        put(&bytes, "abcdefghijkl", 12);
    }
    put_string(&bytes, "after");
    put_u32(&bytes, 4);
    put_u32(&bytes, 17);
    struct tt_model *model = tt_model_open(write_file("nested.gguf", &bytes), &error);
    CHECK(model && tt_model_array_length(model, "nested") == 2);
    CHECK(model && !tt_model_array_number(model, "nested", 0, &number));
    CHECK(model && tt_model_number(model, "after", &number) && number == 17);
    tt_model_close(model);
    unlink(write_file("nested.gguf", &bytes));
}

/* Version 2 differs in nothing that is read here, and data begins at the alignment that is stated. */
static void test_gguf_alignment(void)
{
    struct bytes bytes = gguf_start(1, 1);
    struct tt_error error = {0};
    const float one = 1;
    double value = 0;

    bytes.at[4] = 2;
    put_string(&bytes, "general.alignment");
    put_u32(&bytes, 4);
    put_u32(&bytes, 128);
    put_tensor(&bytes, "t", 1, 1, 0, 0);
    while (bytes.count % 128 != 0)
        put(&bytes, "", 1);
    put(&bytes, &one, sizeof one);
    struct tt_model *model = tt_model_open(write_file("wide.gguf", &bytes), &error);
    CHECK(model && tt_model_read(tt_model_tensor_at(model, 0), 0, 1, &value, &error) == 0 && value == 1);
    tt_model_close(model);
    unlink(write_file("wide.gguf", &bytes));
}

static void test_gguf_names(void)
{
    struct bytes bytes = gguf_start(2, 0);
    put_tensor(&bytes, "t", 8, 1, 0, 0);
    put_tensor(&bytes, "t", 8, 1, 0, 32);
    put_data(&bytes, 64);
    expect_refused("twice.gguf", &bytes, "'t' twice");
    bytes = gguf_start(2, 0);
    put_tensor(&bytes, "a", 16, 1, 0, 0);
    put_tensor(&bytes, "b", 8, 1, 0, 32);
    put_data(&bytes, 64);
    expect_refused("overlap.gguf", &bytes, "overlap");
    bytes = gguf_start(1, 0);
    put_tensor(&bytes, "\xc0\x80", 8, 1, 0, 0);
    put_data(&bytes, 32);
    expect_refused("name.gguf", &bytes, "tensor name");
    bytes = gguf_start(0, 2);
    for (int i = 0; i < 2; i++) {
        put_string(&bytes, "same.key");
        put_u32(&bytes, 0);
        put(&bytes, "", 1);
    }
    expect_refused("keys.gguf", &bytes, "there before");
}

static void test_gguf_versions(void)
{
    struct bytes bytes = gguf_start(0, 0);

    bytes.at[4] = 1;
    expect_refused("old.gguf", &bytes, "version 1");
    memcpy(bytes.at + 4, "\0\0\0\3", 4);
    expect_refused("big.gguf", &bytes, "big-endian");
    bytes.at[0] = 'g';
    expect_refused("magic.gguf", &bytes, "no GGUF file");
    bytes = gguf_start(0, 1);
    put_string(&bytes, "general.alignment");
    put_u32(&bytes, 4);
    put_u32(&bytes, 24);
    expect_refused("alignment.gguf", &bytes, "power of two");
}

/* Every prefix of a good file is refused or, past the last needed byte, read; never a crash. */
static void test_gguf_prefixes(void)
{
    struct bytes bytes = gguf_start(1, 2);
    put_string(&bytes, "name");
    put_u32(&bytes, 8);
    put_string(&bytes, "value");
    put_string(&bytes, "list");
    put_u32(&bytes, 9);
    put_u32(&bytes, 8);
    put_u64(&bytes, 2);
    put_string(&bytes, "x");
    put_string(&bytes, "yz");
    put_tensor(&bytes, "t", 8, 1, 0, 0);
    put_data(&bytes, 32);
    size_t whole = bytes.count;
    for (bytes.count = 0; bytes.count < whole; bytes.count++)
        expect_refused("prefix.gguf", &bytes, "prefix.gguf");

    struct tt_error error = {0};
    struct tt_model *model = tt_model_open(write_file("whole.gguf", &bytes), &error);
    const char *text = NULL;
    size_t length = 0;
    CHECK(model && tt_model_string(model, "name", &text) && strcmp(text, "value") == 0);
    CHECK(model && tt_model_array_string(model, "list", 1, &text, &length) && length == 2 && text[1] == 'z');
    CHECK(model && !tt_model_array_string(model, "list", 2, &text, &length));
    CHECK(model && tt_model_array_length(model, "list") == 2 && tt_model_array_length(model, "name") == 0);
    tt_model_close(model);
    unlink(write_file("whole.gguf", &bytes));
}

int main(void)
{
    if (!mkdtemp(folder))
        return 1;
    test_gguf_counts();
    test_gguf_tensors();
    test_gguf_odd_tensors();
    test_gguf_nested();
    test_gguf_alignment();
    test_gguf_names();
    test_gguf_versions();
    test_gguf_prefixes();
    rmdir(folder);
    return failures != 0;
}
