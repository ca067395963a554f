/* SPDX-License-Identifier: Apache-2.0
 *
 * Model files, in two ways. Without arguments: hostile and damaged files must give one clear line.
 * "dump-model|dump-arrays FILE VALUES": one JSON line per tensor on stdout, its values appended as f64 to
 * VALUES, for model_test.py, which compares with other implementations. FILE may be MODEL+ADAPTER=SCALE+…
 * "ends FILE": first and last element of every tensor, peak memory. "number|string|list FILE KEY":
 * metadata.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "model/arrays.h"
#include "model/half.h"
#include "model/model.h"
#include "checks.h"

static char folder[] = "/tmp/tensortap-model-XXXXXX";

/* ---- dump ---- */

static uint64_t element_count(int rank, const int64_t *shape)
{
    uint64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= (uint64_t)shape[i];
    return count;
}

static void print_entry(const char *name, enum tt_dtype dtype, int rank, const int64_t *shape,
                        uint64_t nbytes, const char *form)
{
    cJSON *line = cJSON_CreateObject(), *list;

    cJSON_AddStringToObject(line, "name", name);
    cJSON_AddStringToObject(line, "dtype", tt_dtype_info(dtype)->name);
    cJSON_AddNumberToObject(line, "nbytes", (double)nbytes);
    if (form)
        cJSON_AddStringToObject(line, "form", form);
    list = cJSON_AddArrayToObject(line, "shape");
    for (int i = 0; i < rank; i++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber((double)shape[i]));
    char *text = cJSON_PrintUnformatted(line);
    puts(text);
    cJSON_free(text);
    cJSON_Delete(line);
}

static int fail_with(const struct tt_error *error)
{
    fprintf(stderr, "%s\n", error->message);
    return 2;
}

/* "MODEL" or "MODEL+ADAPTER=SCALE+…" */
static struct tt_model *open_model(const char *path, struct tt_error *error)
{
    char *text = strdup(path), *rest = text, *part = strsep(&rest, "+");
    struct tt_model *model = tt_model_open(part, error);

    while (model && (part = strsep(&rest, "+"))) {
        char *equals = strrchr(part, '=');
        if (equals)
            *equals++ = '\0';
        if (tt_model_add_adapter(model, part, equals ? atof(equals) : 1, error) == 0)
            continue;
        tt_model_close(model);
        model = NULL;
    }
    free(text);
    return model;
}

static int dump_model(const char *path, FILE *out, struct tt_error *error)
{
    struct tt_model *model = open_model(path, error);
    int rc = model ? 0 : -1;

    for (size_t i = 0; model && i < tt_model_ntensors(model) && rc == 0; i++) {
        const struct tt_model_tensor *tensor = tt_model_tensor_at(model, i);
        uint64_t count = element_count(tensor->rank, tensor->shape);
        double *values = malloc((count + 1) * sizeof *values);
        print_entry(tensor->name, tensor->dtype, tensor->rank, tensor->shape, tensor->nbytes,
                    tensor->form ? tensor->form->name : NULL);
        rc = tt_model_read(tensor, 0, count, values, error);
        fwrite(values, sizeof *values, rc == 0 ? count : 0, out);
        free(values);
    }
    tt_model_close(model);
    return rc;
}

static int dump_arrays(const char *path, FILE *out, struct tt_error *error)
{
    struct tt_arrays *arrays = tt_arrays_open(path, error);
    int rc = arrays ? 0 : -1;

    for (size_t i = 0; arrays && i < tt_arrays_count(arrays) && rc == 0; i++) {
        const struct tt_array *array = tt_arrays_at(arrays, i);
        uint64_t count = element_count(array->rank, array->shape);
        double *values = malloc((count + 1) * sizeof *values);
        print_entry(array->name, array->dtype, array->rank, array->shape, array->nbytes, NULL);
        rc = tt_array_read_f64(array, 0, count, values, error);
        fwrite(values, sizeof *values, rc == 0 ? count : 0, out);
        free(values);
    }
    tt_arrays_close(arrays);
    return rc;
}

/* First and last element of every tensor, which is all that is touched, then the peak of resident memory in KiB. */
static int ends_of_model(const char *path)
{
    struct tt_error error = {0};
    struct tt_model *model = open_model(path, &error);
    struct rusage usage;
    double values[2] = {0, 0};
    int rc = model ? 0 : -1;

    for (size_t i = 0; model && i < tt_model_ntensors(model) && rc == 0; i++) {
        const struct tt_model_tensor *tensor = tt_model_tensor_at(model, i);
        uint64_t count = element_count(tensor->rank, tensor->shape);
        rc = tt_model_read(tensor, 0, 1, &values[0], &error);
        rc = rc ? rc : tt_model_read(tensor, count - 1, 1, &values[1], &error);
        printf("%s %.17g %.17g\n", tensor->name, values[0], values[1]);
    }
    tt_model_close(model);
    getrusage(RUSAGE_SELF, &usage);
    printf("%ld\n", usage.ru_maxrss);
    return rc == 0 ? 0 : fail_with(&error);
}

static int dump(const char *kind, const char *path, const char *values)
{
    struct tt_error error = {0};
    FILE *out = fopen(values, "wb");
    int rc = strcmp(kind, "arrays") == 0 ? dump_arrays(path, out, &error) : dump_model(path, out, &error);

    fclose(out);
    return rc == 0 ? 0 : fail_with(&error);
}

static int query(const char *kind, const char *path, const char *key)
{
    struct tt_error error = {0};
    struct tt_model *model = tt_model_open(path, &error);
    const char *text = NULL;
    double number = 0;
    int rc = 1;

    if (!model)
        return fail_with(&error);
    if (strcmp(kind, "number") == 0 && tt_model_number(model, key, &number))
        rc = printf("%.17g\n", number) < 0;
    else if (strcmp(kind, "string") == 0 && tt_model_string(model, key, &text))
        rc = puts(text) < 0;
    for (size_t i = 0; strcmp(kind, "list") == 0 && i < tt_model_array_length(model, key); i++) {
        size_t length;
        if (tt_model_array_number(model, key, i, &number))
            rc = printf("%.17g\n", number) < 0;
        else if (tt_model_array_string(model, key, i, &text, &length))
            rc = printf("%.*s\n", (int)length, text) < 0;
    }
    tt_model_close(model);
    return rc;
}

/* ---- building files ---- */

struct bytes {
    unsigned char at[4096];
    size_t count;
};

static void put(struct bytes *bytes, const void *from, size_t count)
{
    memcpy(bytes->at + bytes->count, from, count);
    bytes->count += count;
}

static void put_u32(struct bytes *bytes, uint32_t value)
{
    put(bytes, &value, sizeof value);
}

static void put_u64(struct bytes *bytes, uint64_t value)
{
    put(bytes, &value, sizeof value);
}

static void put_string(struct bytes *bytes, const char *text)
{
    put_u64(bytes, strlen(text));
    put(bytes, text, strlen(text));
}

static const char *write_file(const char *name, const struct bytes *bytes)
{
    static char path[256];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "wb");
    fwrite(bytes->at, 1, bytes->count, file);
    fclose(file);
    return path;
}

/* Opening must fail with a line that has the given words and the file's name. */
static void expect_refused(const char *name, const struct bytes *bytes, const char *words)
{
    struct tt_error error = {0};
    const char *path = write_file(name, bytes);
    struct tt_model *model = tt_model_open(path, &error);

    if (model || !strstr(error.message, words) || !strstr(error.message, name) ||
        strchr(error.message, '\n')) {
        fprintf(stderr, "%s: expected '%s', got: %s\n", name, words, model ? "a model" : error.message);
        failures++;
    }
    tt_model_close(model);
    unlink(path);
}

/* ---- safetensors ---- */

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

/* ---- GGUF ---- */

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

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "ends") == 0)
        return ends_of_model(argv[2]);
    if (argc == 4 && strncmp(argv[1], "dump-", 5) == 0)
        return dump(argv[1] + 5, argv[2], argv[3]);
    if (argc == 4)
        return query(argv[1], argv[2], argv[3]);
    if (!mkdtemp(folder))
        return 1;
    test_no_such_model();
    test_safetensors_headers();
    test_safetensors_lengths();
    test_deep_json();
    test_empty_tensor();
    test_gguf_counts();
    test_gguf_tensors();
    test_gguf_odd_tensors();
    test_gguf_nested();
    test_gguf_alignment();
    test_gguf_names();
    test_gguf_versions();
    test_gguf_prefixes();
    test_half_precision();
    test_q8_k();
    rmdir(folder);
    return failures != 0;
}
