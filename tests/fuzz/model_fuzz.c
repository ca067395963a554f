/* SPDX-License-Identifier: Apache-2.0
 *
 * Damaged model files and arrays: small good files of every container, mutated, must open or be refused with
 * one line, and what opens must be readable to its last element. Built with sanitizers, which end the program
 * at the first fault; the case then lies in the folder that was printed. Usage: model_fuzz ITERATIONS [SEED]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#include "model/arrays.h"
#include "model/identity.h"
#include "model/model.h"

#define LARGEST_FILE   16384  /* bytes of a case */
#define LARGEST_MEMORY 200000 /* KiB, sanitizers included */
#define SECONDS        20     /* for one case */

/* A length field that is believed asks for more than 64 MiB, which ends the program. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "max_allocation_size_mb=64:quarantine_size_mb=16";
}

struct bytes {
    unsigned char at[LARGEST_FILE];
    size_t count;
};

static uint64_t state;
static volatile unsigned char sink; /* keeps reads alive */

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static size_t below(size_t limit)
{
    return limit ? (size_t)(next_random() % limit) : 0;
}

/* ---- good files ---- */

static void put(struct bytes *bytes, const void *from, size_t count)
{
    if (count > LARGEST_FILE - bytes->count)
        abort();
    memcpy(bytes->at + bytes->count, from, count);
    bytes->count += count;
}

static void put_number(struct bytes *bytes, uint64_t value, size_t width)
{
    put(bytes, &value, width); /* little-endian */
}

static void put_string(struct bytes *bytes, const char *text)
{
    put_number(bytes, strlen(text), 8);
    put(bytes, text, strlen(text));
}

static void put_noise(struct bytes *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put_number(bytes, next_random(), 1);
}

static void make_safetensors(struct bytes *file)
{
    put_string(file, "{\"__metadata__\":{\"format\":\"pt\"},"
                     "\"a.weight\":{\"dtype\":\"F32\",\"shape\":[4,6],\"data_offsets\":[0,96]},"
                     "\"b\":{\"dtype\":\"BF16\",\"shape\":[24],\"data_offsets\":[96,144]},"
                     "\"c\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[144,152]},"
                     "\"d\":{\"dtype\":\"F8_E4M3\",\"shape\":[2,2,2],\"data_offsets\":[152,160]}}   ");
    put_noise(file, 160);
}

static void make_index(struct bytes *file)
{
    const char *text =
        "{\"metadata\":{\"total_size\":160},\"weight_map\":{\"a.weight\":\"shard.safetensors\","
        "\"b\":\"shard.safetensors\",\"c\":\"shard.safetensors\"}}";
    put(file, text, strlen(text));
}

/* One metadata entry of every kind. */
static void put_metadata(struct bytes *file)
{
    static const struct {
        const char *key;
        uint32_t type;
        size_t width;
    } plain[] = {{"u8", 0, 1},  {"i8", 1, 1},   {"u16", 2, 2},  {"i16", 3, 2},  {"u32", 4, 4}, {"i32", 5, 4},
                 {"f32", 6, 4}, {"bool", 7, 1}, {"u64", 10, 8}, {"i64", 11, 8}, {"f64", 12, 8}};

    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        put_string(file, plain[i].key);
        put_number(file, plain[i].type, 4);
        put_number(file, 1, plain[i].width);
    }
    put_string(file, "string");
    put_number(file, 8, 4);
    put_string(file, "value");
    put_string(file, "words");
    put_number(file, 9, 4);
    put_number(file, 8, 4);
    put_number(file, 2, 8);
    put_string(file, "one");
    put_string(file, "two");
    put_string(file, "nested");
    put_number(file, 9, 4);
    put_number(file, 9, 4);
    put_number(file, 1, 8);
    put_number(file, 4, 4);
    put_number(file, 3, 8);
    put_noise(file, 12);
    put_string(file, "general.alignment");
    put_number(file, 4, 4);
    put_number(file, 32, 4);
}

static void make_gguf(struct bytes *file)
{
    static const struct {
        const char *name;
        uint64_t columns, rows;
        uint32_t type;
        size_t nbytes; /* a multiple of the alignment */
    } tensors[] = {{"blk.0.q", 32, 8, 8, 288}, {"blk.0.k", 256, 2, 12, 288}, {"norm", 24, 1, 0, 96},
                   {"half", 24, 8, 1, 384},    {"q6", 256, 1, 14, 224},      {"mx", 32, 1, 39, 32},
                   {"plain", 32, 8, 0, 1024}};
    const size_t count = sizeof tensors / sizeof *tensors;
    uint64_t offset = 0;

    put(file, "GGUF", 4);
    put_number(file, 3, 4);
    put_number(file, count, 8);
    put_number(file, 15, 8);
    put_metadata(file);
    for (size_t i = 0; i < count; i++, offset += tensors[i - 1].nbytes) {
        put_string(file, tensors[i].name);
        put_number(file, 2, 4);
        put_number(file, tensors[i].columns, 8);
        put_number(file, tensors[i].rows, 8);
        put_number(file, tensors[i].type, 4);
        put_number(file, offset, 8);
    }
    put_noise(file, offset + 32);
}

static void make_npy(struct bytes *file)
{
    const char *header = "{'descr': '>f4', 'fortran_order': True, 'shape': (2, 3, 4), }            \n";

    put(file, "\x93NUMPY\1\0", 8);
    put_number(file, strlen(header), 2);
    put(file, header, strlen(header));
    put_noise(file, 96);
}

static size_t deflated(const struct bytes *from, unsigned char *to, size_t room)
{
    z_stream stream = {.next_in = (unsigned char *)from->at,
                       .avail_in = (unsigned)from->count,
                       .next_out = to,
                       .avail_out = (unsigned)room};

    deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
    deflate(&stream, Z_FINISH);
    deflateEnd(&stream);
    return stream.total_out;
}

/* What local header and directory entry have in common, from the version that is needed on. */
static void put_member_fields(struct bytes *file, unsigned method, uint32_t crc, size_t packed, size_t size)
{
    put_number(file, 20, 2);
    put_number(file, 0, 2);
    put_number(file, method, 2);
    put_number(file, 0, 4);
    put_number(file, crc, 4);
    put_number(file, packed, 4);
    put_number(file, size, 4);
    put_number(file, 5, 2); /* bytes of the name */
}

static void make_npz(struct bytes *file)
{
    static struct bytes array, directory;
    unsigned char packed[2][1024];
    size_t lengths[2];

    array.count = directory.count = 0;
    make_npy(&array);
    lengths[0] = array.count;
    memcpy(packed[0], array.at, array.count);
    lengths[1] = deflated(&array, packed[1], sizeof packed[1]);
    uint32_t crc = (uint32_t)crc32(0, array.at, (unsigned)array.count);
    for (int i = 0; i < 2; i++) {
        put(&directory, "PK\1\2\24\0", 6);
        put_member_fields(&directory, i ? 8 : 0, crc, lengths[i], array.count);
        put_number(&directory, 0, 8);
        put_number(&directory, 0, 4);
        put_number(&directory, 0, 2);
        directory.count -= 2; /* extra 2, comment 2, disk 2, attributes 2 + 4 are zero */
        put_number(&directory, file->count, 4);
        put(&directory, i ? "b.npy" : "a.npy", 5);
        put(file, "PK\3\4", 4);
        put_member_fields(file, i ? 8 : 0, crc, lengths[i], array.count);
        put_number(file, 0, 2);
        put(file, i ? "b.npy" : "a.npy", 5);
        put(file, packed[i], lengths[i]);
    }
    size_t start = file->count;
    put(file, directory.at, directory.count);
    put(file, "PK\5\6\0\0\0\0", 8);
    put_number(file, 2, 2);
    put_number(file, 2, 2);
    put_number(file, directory.count, 4);
    put_number(file, start, 4);
    put_number(file, 0, 2);
}

/* ---- mutation ---- */

static const uint64_t awkward[] = {0,          1,          2,          4,          8,
                                   31,         0x7f,       0x80,       0xff,       0xffff,
                                   0x7fffffff, 0x80000000, 0xffffffff, 1ull << 40, 1ull << 60,
                                   1ull << 61, 1ull << 62, 1ull << 63, UINT64_MAX, UINT64_MAX - 31};

static void replace_digits(struct bytes *file, size_t at)
{
    while (at < file->count && (file->at[at] < '0' || file->at[at] > '9'))
        at++;
    for (; at < file->count && file->at[at] >= '0' && file->at[at] <= '9'; at++)
        file->at[at] = (unsigned char)('0' + below(10));
}

static void move_piece(struct bytes *file, size_t at)
{
    size_t to = below(file->count), longest = file->count - (at > to ? at : to);
    memmove(file->at + to, file->at + at, below(longest < 64 ? longest + 1 : 64));
}

static void mutate(struct bytes *file)
{
    static const size_t widths[] = {1, 2, 4, 8};
    size_t at = below(file->count), width = widths[below(4)];

    switch (file->count ? below(6) : 6) {
    case 0:
        file->at[at] ^= (unsigned char)(1u << below(8));
        break;
    case 1:
        file->at[at] = (unsigned char)next_random();
        break;
    case 2:
        if (width <= file->count - at)
            memcpy(file->at + at, &awkward[below(sizeof awkward / sizeof *awkward)], width);
        break;
    case 3:
        replace_digits(file, at);
        break;
    case 4:
        move_piece(file, at);
        break;
    case 5:
        file->count = below(8) ? file->count : at;
        break;
    }
}

/* ---- use ---- */

static uint64_t elements(int rank, const int64_t *shape)
{
    uint64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= (uint64_t)shape[i];
    return count;
}

static void require(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "model_fuzz: %s\n", what);
    abort();
}

static void require_line(const struct tt_error *error)
{
    require(error->code != TT_OK && error->message[0] && !strchr(error->message, '\n'),
            "no one-line message");
}

static void use_metadata(const struct tt_model *model)
{
    static const char *const keys[] = {"u8",  "i8",  "u16", "i16",   "u32",    "i32",   "f32", "bool",
                                       "u64", "i64", "f64", "words", "nested", "a.b.c", "0",   "string"};
    const char *text;
    double number;
    size_t length;

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        tt_model_number(model, keys[i], &number);
        tt_model_string(model, keys[i], &text);
        for (size_t j = 0; j <= tt_model_array_length(model, keys[i]) && j < 100; j++) {
            tt_model_array_number(model, keys[i], j, &number);
            if (tt_model_array_string(model, keys[i], j, &text, &length) && length > 0)
                sink = (unsigned char)text[length - 1];
        }
    }
}

static void use_tensor(struct tt_identity *identity, const struct tt_model_tensor *tensor)
{
    struct tt_error error = {0};
    struct tt_identity_match match;
    struct tt_digest digest = {{0}};
    uint64_t count = elements(tensor->rank, tensor->shape);
    double *values = malloc((count + 1) * sizeof *values);

    require(values != NULL, "a tensor larger than memory");
    if (tt_model_read(tensor, 0, count, values, &error) != 0)
        require_line(&error);
    if (count > 1)
        tt_model_read(tensor, count / 2, count - count / 2, values, &error);
    require(tt_model_read(tensor, count, 1, values, &error) != 0, "read past the end");
    tt_identity_find(identity, TT_F32, count, &digest, &match, 1);
    tt_identity_find(identity, tensor->dtype, count, &digest, &match, 1);
    tt_identity_at(identity, tensor->file, tensor->offset, &match);
    free(values);
}

static int use_model(const char *path)
{
    static const int heads[] = {2, 4};
    struct tt_error error = {0};
    struct tt_model *model = tt_model_open(path, &error);

    if (!model) {
        require_line(&error);
        return 0;
    }
    struct tt_identity *identity = tt_identity_new(model, heads, 2);
    use_metadata(model);
    for (size_t i = 0; i < tt_model_ntensors(model); i++)
        use_tensor(identity, tt_model_tensor_at(model, i));
    tt_identity_free(identity);
    tt_model_close(model);
    return 1;
}

static int use_arrays(const char *path)
{
    struct tt_error error = {0};
    struct tt_arrays *arrays = tt_arrays_open(path, &error);

    if (!arrays) {
        require_line(&error);
        return 0;
    }
    for (size_t i = 0; i < tt_arrays_count(arrays); i++) {
        const struct tt_array *array = tt_arrays_at(arrays, i);
        uint64_t count = array->dtype == TT_NONE ? 0 : elements(array->rank, array->shape);
        double *values = malloc((count + 1) * sizeof *values);
        require(values != NULL, "an array larger than memory");
        if (tt_array_read_f64(array, 0, count, values, &error) != 0)
            require_line(&error);
        free(values);
    }
    tt_arrays_metadata(arrays, "format");
    tt_arrays_close(arrays);
    return 1;
}

struct container {
    const char *file;
    void (*make)(struct bytes *file);
    int (*use)(const char *path);
};

static const struct container containers[] = {
    {"case.safetensors", make_safetensors, use_model},
    {"case.safetensors", make_safetensors, use_arrays},
    {"case.safetensors.index.json", make_index, use_model},
    {"case.gguf", make_gguf, use_model},
    {"case.npy", make_npy, use_arrays},
    {"case.npz", make_npz, use_arrays},
};

static void write_file(const char *path, const struct bytes *bytes)
{
    FILE *file = fopen(path, "wb");
    require(file && fwrite(bytes->at, 1, bytes->count, file) == bytes->count && fclose(file) == 0, path);
}

static int run_case(const char *folder, const struct container *container, int mutations)
{
    static struct bytes file;
    char path[256];

    file.count = 0;
    container->make(&file);
    for (int i = 0; i < mutations; i++)
        mutate(&file);
    snprintf(path, sizeof path, "%s/%s", folder, container->file);
    write_file(path, &file);
    alarm(SECONDS);
    int opened = container->use(path);
    alarm(0);
    unlink(path);
    return opened;
}

int main(int argc, char **argv)
{
    const size_t ncontainers = sizeof containers / sizeof *containers;
    long iterations = argc > 1 ? atol(argv[1]) : 1000, opened = 0;
    static struct bytes shard;
    char folder[] = "/tmp/tensortap-fuzz-XXXXXX", path[64];
    struct rusage usage;

    state = argc > 2 ? strtoull(argv[2], NULL, 0) | 1 : 0x9e3779b97f4a7c15u;
    require(mkdtemp(folder) != NULL, "no folder");
    printf("cases in %s\n", folder);
    fflush(stdout);
    snprintf(path, sizeof path, "%s/shard.safetensors", folder);
    make_safetensors(&shard);
    write_file(path, &shard);
    for (size_t i = 0; i < ncontainers; i++)
        require(run_case(folder, &containers[i], 0), containers[i].file); /* unharmed files open */
    for (long i = 0; i < iterations; i++)
        opened += run_case(folder, &containers[(size_t)i % ncontainers], 1 + (int)below(4));
    unlink(path);
    rmdir(folder);
    getrusage(RUSAGE_SELF, &usage);
    printf("%ld of %ld cases opened, at most %ld KiB of memory\n", opened, iterations, usage.ru_maxrss);
    fflush(stdout);
    require(usage.ru_maxrss < LARGEST_MEMORY, "too much memory");
    require(iterations < 100 || (opened > 0 && opened < iterations),
            "mutation does nothing, or everything is refused");
    return 0;
}
