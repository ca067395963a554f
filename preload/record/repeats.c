/* SPDX-License-Identifier: Apache-2.0
 *
 * Inputs that come back unchanged (repeats.h).
 */
#include "record/repeats.h"

#include <stdlib.h>
#include <string.h>

#include "record/stats.h"

#define MOST_REPEATS 65536
#define SAMPLES      32
#define SAMPLE_BYTES 64

uint64_t tt_repeat_signature(enum tt_dtype dtype, int rank, const int64_t *shape, const int64_t *strides)
{
    int64_t words[2 + 2 * 8] = {dtype, rank};
    memcpy(words + 2, shape, (size_t)rank * 8);
    memcpy(words + 2 + rank, strides, (size_t)rank * 8);
    return tt_kernels()->hash(words, (size_t)(2 + 2 * rank) * 8);
}

struct tt_repeat *tt_repeat_find(const struct tt_repeats *repeats, uint64_t address, uint64_t signature)
{
    struct tt_repeat *repeat;
    uint64_t cursor = 0;
    while ((repeat = tt_table_next(&repeats->table, address ^ signature, &cursor)))
        if (repeat->address == address && repeat->signature == signature)
            return repeat;
    return NULL;
}

struct tt_repeat *tt_repeat_add(struct tt_repeats *repeats, uint64_t address, uint64_t signature)
{
    if (repeats->count >= MOST_REPEATS)
        return NULL;
    struct tt_repeat *repeat = calloc(1, sizeof *repeat);
    if (repeat && !tt_table_add(&repeats->table, address ^ signature, repeat)) {
        free(repeat);
        return NULL;
    }
    if (repeat) {
        repeat->address = address;
        repeat->signature = signature;
        repeats->count++;
    }
    return repeat;
}

void tt_repeats_free(struct tt_repeats *repeats)
{
    for (uint64_t i = 0; i < repeats->table.capacity; i++) {
        struct tt_repeat *repeat = repeats->table.slots[i].value;
        if (repeat)
            free(repeat->chunks);
        free(repeat);
    }
    tt_table_free(&repeats->table);
    repeats->count = 0;
}

/* Bytes of a line that lie side by side. */
static uint64_t together(const struct tt_layout *layout)
{
    bool scattered = layout->axes && layout->stride[layout->axes - 1] != layout->unit_bytes;
    return scattered ? layout->unit_bytes : layout->line_bytes;
}

uint64_t tt_repeat_sample(const struct tt_layout *layout, const uint8_t *low)
{
    uint8_t sample[SAMPLES * SAMPLE_BYTES];
    uint64_t inner = together(layout), take = inner < SAMPLE_BYTES ? inner : SAMPLE_BYTES;
    size_t used = 0;
    for (uint64_t i = 0; i < SAMPLES; i++, used += take) {
        uint64_t line = layout->lines > 1 ? (layout->lines - 1) * i / (SAMPLES - 1) : 0;
        uint64_t within = (inner - take) * (layout->lines > SAMPLES ? i * 11 % SAMPLES : i) / (SAMPLES - 1);
        memcpy(sample + used, tt_layout_line(layout, low, line) + within, take);
    }
    return tt_kernels()->hash(sample, used);
}

uint32_t tt_repeat_nchunks(const struct tt_layout *layout)
{
    uint64_t parts = layout->contiguous ? layout->bytes : layout->lines;
    return parts < TT_REPEAT_CHUNKS ? (uint32_t)parts : TT_REPEAT_CHUNKS;
}

uint64_t tt_repeat_chunk(const struct tt_layout *layout, const uint8_t *low, uint32_t chunk)
{
    uint64_t count = tt_repeat_nchunks(layout), parts = layout->contiguous ? layout->bytes : layout->lines;
    uint64_t first = parts / count * chunk, end = chunk + 1 == count ? parts : parts / count * (chunk + 1);
    if (layout->contiguous)
        return tt_kernels()->hash(low + first, end - first);
    struct tt_digest digest = tt_digest_lines(layout, low, first, end - first);
    uint64_t value;
    memcpy(&value, digest.bytes, sizeof value);
    return value;
}
