/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: write small good files of every container, byte by byte, without the libraries that are tested.
 */
#include "seeds.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "mutate.h"

static void put(struct bytes *bytes, const void *from, size_t count)
{
    if (count > LARGEST_CASE - bytes->count)
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
        put_number(bytes, random_number(), 1);
}

void seed_safetensors(struct bytes *file)
{
    put_string(file, "{\"__metadata__\":{\"format\":\"pt\"},"
                     "\"a.weight\":{\"dtype\":\"F32\",\"shape\":[4,6],\"data_offsets\":[0,96]},"
                     "\"b\":{\"dtype\":\"BF16\",\"shape\":[24],\"data_offsets\":[96,144]},"
                     "\"c\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[144,152]},"
                     "\"d\":{\"dtype\":\"F8_E4M3\",\"shape\":[2,2,2],\"data_offsets\":[152,160]}}   ");
    put_noise(file, 160);
}

void seed_index(struct bytes *file)
{
    const char *text =
        "{\"metadata\":{\"total_size\":160},\"weight_map\":{\"a.weight\":\"shard.safetensors\","
        "\"b\":\"shard.safetensors\",\"c\":\"shard.safetensors\"}}";
    put(file, text, strlen(text));
}

void seed_config(struct bytes *file)
{
    const char *text =
        "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_size\":8,"
        "\"intermediate_size\":16,\"num_hidden_layers\":2,\"num_attention_heads\":2,"
        "\"num_key_value_heads\":1,\"head_dim\":4,\"vocab_size\":32,\"rms_norm_eps\":1e-5,"
        "\"rope_theta\":10000.0,\"max_position_embeddings\":128,\"tie_word_embeddings\":false,"
        "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
        "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":64},\"hidden_act\":\"silu\"}";
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

void seed_gguf(struct bytes *file)
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

void seed_npy(struct bytes *file)
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

void seed_npz(struct bytes *file)
{
    static struct bytes array, directory;
    unsigned char packed[2][1024];
    size_t lengths[2];

    array.count = directory.count = 0;
    seed_npy(&array);
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
