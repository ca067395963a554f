/* SPDX-License-Identifier: Apache-2.0
 *
 * A capture damaged at random must never crash the reader: bits flipped with and without a matching
 * check, lengths replaced by hostile values, files cut. Meant to be run with sanitizers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.h"
#include "capture/repair.h"
#include "tensortap/format.h"
#include "tensortap/reader.h"
#include "tensortap/writer.h"

static uint32_t seed = 12345;

static uint32_t random32(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    return seed ^= seed << 5;
}

static void write_original(const char *directory)
{
    static float data[4096];
    struct tt_recorder *recorder;
    struct tt_recorder_options options = {.directory = directory, .level = TT_LEVEL_DATA, .limit = 1 << 20};
    if (tt_recorder_open(&recorder, &options) != 0)
        exit(1);
    for (int i = 0; i < 20; i++) {
        struct tt_call_scope call;
        data[i] = (float)i;
        tt_call_enter(&call, recorder, "blas", "matmul", "cblas_sgemm");
        tt_call_i64(&call, "m", i);
        tt_call_str(&call, "order", "row");
        tt_call_operand(&call, "a", TT_BEFORE, &(struct tt_tensor_view){TT_F32, 2, {20 + i, 10}, {1, 64}, data});
        tt_call_operand(&call, "w", TT_BEFORE, &(struct tt_tensor_view){TT_Q8_0, 2, {2, 64}, {64, 1}, data});
        tt_call_operand(&call, "c", TT_AFTER, &(struct tt_tensor_view){TT_BF16, 3, {2, 3, 4}, {-12, 4, 1}, data + 99});
        tt_call_end(&call);
        tt_recorder_mark(recorder, "step", i % 2 == 0); /* the last of these epochs are kept on closing */
    }
    tt_recorder_close(recorder);
}

struct bytes {
    uint8_t *data;
    size_t size;
};

static struct bytes load(const char *path)
{
    struct bytes bytes = {0};
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (!file || fstat(fileno(file), &status) != 0)
        exit(1);
    bytes.size = (size_t)status.st_size;
    bytes.data = malloc(bytes.size);
    if (fread(bytes.data, 1, bytes.size, file) != bytes.size)
        exit(1);
    fclose(file);
    return bytes;
}

static void save(const char *path, const uint8_t *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        exit(1);
}

/* Offsets of all records in a sound log. */
static size_t find_records(const struct bytes *log, size_t *offsets, size_t most)
{
    size_t count = 0;
    for (size_t block = 0; block < log->size; block += TT_LOG_BLOCK)
        for (size_t at = block + sizeof(struct tt_block_header); at + 32 < block + TT_LOG_BLOCK;) {
            struct tt_record_header header;
            memcpy(&header, log->data + at, sizeof header);
            if (header.length == 0 || count == most)
                break;
            offsets[count++] = at;
            at += header.length;
        }
    return count;
}

static void fix_check(uint8_t *record, uint32_t length)
{
    struct tt_record_header header;
    const size_t from = offsetof(struct tt_record_header, thread);
    memcpy(&header, record, sizeof header);
    header.check = XXH32(record + from, length - from, header.length ^ (uint32_t)header.type << 16);
    memcpy(record, &header, sizeof header);
}

/* `length`: of the record before any damage. */
static void damage_record(uint8_t *record, uint32_t length)
{
    static const uint64_t hostile[] = {0, 1, 8, 0x7FFFFFFF, 0xFFFFFFFF, 1ull << 40, INT64_MAX, UINT64_MAX, 1ull << 63};
    for (uint32_t times = 1 + random32() % 3; times > 0; times--) {
        uint32_t at = (uint32_t)sizeof(struct tt_record_header) +
                      random32() % (length - (uint32_t)sizeof(struct tt_record_header) - 8);
        if (random32() % 2)
            record[at] ^= (uint8_t)(1u << random32() % 8);
        else
            memcpy(record + (at & ~7u), &hostile[random32() % (sizeof hostile / 8)], random32() % 2 ? 8 : 4);
    }
    if (random32() % 8)
        fix_check(record, length);
}

/* Reads all that there is to read; only crashing is wrong. */
static size_t read_all(const char *directory)
{
    struct tt_error error;
    size_t values = 0;
    struct tt_capture *capture = tt_capture_open(directory, &error);
    for (size_t i = 0; capture && i < tt_capture_ncalls(capture); i++) {
        const struct tt_recorded_call *call = tt_capture_call(capture, i);
        for (uint32_t j = 0; j < call->noperands; j++) {
            const struct tt_operand *operand = call->operands[j];
            uint64_t count = tt_operand_count(operand);
            if (count > 1 << 20 || !tt_operand_readable(operand))
                continue;
            double *out = malloc((count + 1) * sizeof *out);
            values += tt_operand_read(capture, operand, out, &error) == 0;
            free(out);
        }
        for (uint32_t j = 0; j < call->nattributes; j++)
            values += strlen(call->attributes[j].name) > 1000;
    }
    tt_capture_close(capture);
    return values;
}

int main(int argc, char **argv)
{
    char parent[] = "/tmp/tensortap-damage-XXXXXX", directory[64], log_path[100], shard_path[100], command[128];
    size_t offsets[1024];
    int rounds = argc > 1 ? atoi(argv[1]) : 3000;
    if (!mkdtemp(parent))
        return 1;
    snprintf(directory, sizeof directory, "%s/c", parent);
    snprintf(log_path, sizeof log_path, "%s/" TT_LOG_FILE, directory);
    snprintf(shard_path, sizeof shard_path, "%s/data-0000.safetensors", directory);
    write_original(directory);
    size_t sound = read_all(directory);
    struct bytes log = load(log_path), shard = load(shard_path);
    size_t count = find_records(&log, offsets, sizeof offsets / sizeof offsets[0]);
    uint8_t *copy = malloc(log.size);
    for (int round = 0; round < rounds; round++) {
        memcpy(copy, log.data, log.size);
        size_t size = log.size;
        uint32_t kind = random32() % 8;
        if (kind == 0)
            size = random32() % log.size;
        else if (kind == 1)
            copy[random32() % 256] = (uint8_t)random32();
        for (uint32_t times = random32() % 4; times > 0; times--) {
            size_t at = offsets[random32() % count];
            uint32_t length;
            memcpy(&length, log.data + at, sizeof length);
            damage_record(copy + at, length);
        }
        save(log_path, copy, size);
        if (round % 16 == 0)
            save(shard_path, shard.data, 1 + random32() % shard.size);
        read_all(directory);
        if (round % 32 == 1)
            tt_capture_repair(directory, NULL);
        if (round % 32 == 3)
            save(shard_path, shard.data, shard.size);
    }
    save(log_path, log.data, log.size);
    save(shard_path, shard.data, shard.size);
    size_t again = read_all(directory);
    int failed = sound != 44 /* of 60: epochs 3, 5, 6 and 7 are thinned */ || again != sound || count < 100;
    if (failed)
        fprintf(stderr, "%zu operands read, %zu after the damage was undone, %zu records\n", sound, again, count);
    free(copy);
    free(log.data);
    free(shard.data);
    snprintf(command, sizeof command, "rm -rf '%s'", parent);
    return failed | system(command);
}
