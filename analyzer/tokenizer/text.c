/* SPDX-License-Identifier: Apache-2.0
 *
 * Growing lists of the pipeline: text with places, ranges, matches, steps.
 */
#include <stdlib.h>
#include <string.h>

#include "tokenizer/private.h"

static size_t enough(size_t capacity, size_t wanted)
{
    size_t twice = capacity ? 2 * capacity : 64;
    return twice > wanted ? twice : wanted;
}

static void reserve(struct tt_aligned *text, size_t wanted)
{
    if (wanted <= text->capacity)
        return;
    text->capacity = enough(text->capacity, wanted);
    text->text = tt_grow(text->text, text->capacity, 1);
    text->start = tt_grow(text->start, text->capacity, sizeof *text->start);
    text->end = tt_grow(text->end, text->capacity, sizeof *text->end);
}

void tt_aligned_add(struct tt_aligned *text, const char *bytes, size_t count, uint32_t start, uint32_t end)
{
    reserve(text, text->length + count);
    for (size_t i = 0; i < count; i++) {
        text->text[text->length] = bytes[i];
        text->start[text->length] = start;
        text->end[text->length++] = end;
    }
}

void tt_aligned_copy(struct tt_aligned *text, const struct tt_aligned *from, size_t first, size_t last)
{
    size_t count = last - first;
    reserve(text, text->length + count);
    if (!count)
        return;
    memcpy(text->text + text->length, from->text + first, count);
    memcpy(text->start + text->length, from->start + first, count * sizeof *text->start);
    memcpy(text->end + text->length, from->end + first, count * sizeof *text->end);
    text->length += count;
}

void tt_aligned_free(struct tt_aligned *text)
{
    free(text->text);
    free(text->start);
    free(text->end);
    *text = (struct tt_aligned){0};
}

void tt_ranges_add(struct tt_ranges *ranges, size_t from, size_t to, int32_t token, bool special)
{
    if (token < 0 && from >= to)
        return;
    if (ranges->count == ranges->capacity) {
        ranges->capacity = enough(ranges->capacity, 0);
        ranges->items = tt_grow(ranges->items, ranges->capacity, sizeof *ranges->items);
    }
    ranges->items[ranges->count++] = (struct tt_range){(uint32_t)from, (uint32_t)to, token, special};
}

void tt_matches_add(struct tt_matches *matches, size_t from, size_t to, bool found)
{
    if (matches->count == matches->capacity) {
        matches->capacity = enough(matches->capacity, 0);
        matches->items = tt_grow(matches->items, matches->capacity, sizeof *matches->items);
    }
    matches->items[matches->count++] = (struct tt_match){(uint32_t)from, (uint32_t)to, found};
}

struct tt_step *tt_steps_add(struct tt_steps *steps, const struct tt_step *step)
{
    steps->items = tt_grow(steps->items, steps->count + 1, sizeof *steps->items);
    steps->items[steps->count] = *step;
    return &steps->items[steps->count++];
}

void tt_steps_free(struct tt_steps *steps)
{
    for (size_t i = 0; i < steps->count; i++) {
        tt_pattern_free(steps->items[i].pattern);
        tt_charsmap_free(steps->items[i].charsmap);
        free(steps->items[i].content);
    }
    free(steps->items);
}
