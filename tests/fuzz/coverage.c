/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: count steps from one basic block to the next, in a table indexed by a hash of both. Counts are told apart
 * only by their order of magnitude: a loop that runs once more is nothing new. Built without coverage itself.
 */
#include "coverage.h"

#include <stdint.h>
#include <string.h>

#define WAYS (1u << 16)

static uint8_t counts[WAYS]; /* of this case */
static uint8_t seen[WAYS];   /* orders of magnitude, one bit each */
static uintptr_t previous;

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
    uintptr_t place = (uintptr_t)__builtin_return_address(0);
    uint8_t *count = &counts[((place >> 1) * 0x9e3779b1u >> 8 ^ previous) % WAYS];

    *count += *count < UINT8_MAX;
    previous = (place >> 1) * 0x9e3779b1u >> 9;
}

void coverage_begin(void)
{
    memset(counts, 0, sizeof counts);
    previous = 0;
}

static uint8_t magnitude(uint8_t count)
{
    static const uint8_t limits[8] = {1, 2, 3, 7, 15, 31, 127, 255};
    int i = 0;
    while (count > limits[i])
        i++;
    return (uint8_t)(1u << i);
}

bool coverage_is_new(void)
{
    uint64_t any;
    bool found = false;

    for (size_t i = 0; i < WAYS; i++) {
        if (i % sizeof any == 0 && (memcpy(&any, counts + i, sizeof any), any == 0)) {
            i += sizeof any - 1; /* most of the table is empty */
            continue;
        }
        uint8_t bit = counts[i] ? magnitude(counts[i]) : 0;
        found |= (bit & ~seen[i]) != 0;
        seen[i] |= bit;
    }
    return found;
}
