/* SPDX-License-Identifier: Apache-2.0
 *
 * SentencePiece's compiled normalisation rules: a double array over UTF-8 whose leaves are places in a block of
 * replacements, each ended by a zero byte. A unit holds its label in bits 0…7, whether a leaf follows in bit 8, and the
 * offset to its children in bits 10…30, times 256 when bit 9 is set; of a leaf all bits below 31 are the value.
 * Source: Darts-clone (the unit), SentencePiece's normalizer.cc (the layout of the file).
 */
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "tokenizer/private.h"

struct tt_charsmap {
    uint32_t *units; /* [nunits] */
    size_t nunits;
    char *replacements; /* [nreplacements], ends with a zero byte */
    size_t nreplacements;
};

struct tt_charsmap *tt_charsmap_new(const uint8_t *bytes, size_t count, struct tt_error *error)
{
    uint32_t size = 0;
    if (count >= 4)
        memcpy(&size, bytes, 4);
    if (count < 4 || size > count - 4 || size % 4 || size < 4) {
        tt_fail(error, TT_EINPUT, "the normaliser's character map is damaged (%zu bytes, its table %u)", count, size);
        return NULL;
    }
    struct tt_charsmap *map = tt_alloc(sizeof *map);
    map->nunits = size / 4;
    map->units = tt_alloc_array(map->nunits, 4);
    memcpy(map->units, bytes + 4, size);
    map->nreplacements = count - 4 - size + 1;
    map->replacements = tt_alloc(map->nreplacements);
    memcpy(map->replacements, bytes + 4 + size, map->nreplacements - 1);
    return map;
}

void tt_charsmap_free(struct tt_charsmap *map)
{
    if (!map)
        return;
    free(map->units);
    free(map->replacements);
    free(map);
}

static uint32_t offset_of(uint32_t unit)
{
    return (unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* Replacement of the shortest or longest prefix of `text` that has one; NULL: none. */
static const char *look_up(const struct tt_charsmap *map, const char *text, size_t length, bool longest, size_t *matched)
{
    const char *found = NULL;
    uint32_t node = offset_of(map->units[0]);
    for (size_t i = 0; i < length && text[i]; i++) {
        unsigned char label = (unsigned char)text[i];
        node ^= label;
        if (node >= map->nunits || (map->units[node] & (1u << 31 | 0xff)) != label)
            break;
        uint32_t unit = map->units[node];
        node ^= offset_of(unit);
        if (!(unit >> 8 & 1) || node >= map->nunits)
            continue;
        uint32_t place = map->units[node] & ~(1u << 31);
        if (place >= map->nreplacements)
            break;
        found = map->replacements + place;
        *matched = i + 1;
        if (!longest)
            break;
    }
    return found;
}

/* ---- as tokenizer.json's Precompiled: by grapheme if it is short, else by character ---- */

static bool add_mapped(const struct tt_charsmap *map, const struct tt_view *in, size_t from, size_t to, struct tt_aligned *out,
                       size_t begin)
{
    size_t matched;
    const char *mapped = look_up(map, in->text->text + from, to - from, false, &matched);
    if (mapped) {
        /* What was removed at the very start belongs to what follows. */
        size_t first = out->length == begin ? in->from : from;
        tt_aligned_add(out, mapped, strlen(mapped), in->text->start[first], in->text->end[to - 1]);
    }
    return mapped != NULL;
}

static void add_characters(const struct tt_charsmap *map, const struct tt_view *in, size_t from, size_t to,
                           struct tt_aligned *out, size_t begin)
{
    for (size_t at = from; at < to;) {
        size_t first = at;
        tt_utf8_next(in->text->text, to, &at);
        if (add_mapped(map, in, first, at, out, begin))
            continue;
        bool moved = out->length == begin;
        tt_aligned_copy(out, in->text, first, at);
        if (moved)
            out->start[begin] = in->text->start[in->from];
    }
}

static size_t grapheme_end(const char *text, size_t from, size_t to)
{
    utf8proc_int32_t state = 0;
    size_t at = from;
    int32_t before = tt_utf8_next(text, to, &at);
    while (at < to) {
        size_t next = at;
        int32_t c = tt_utf8_next(text, to, &next);
        if (utf8proc_grapheme_break_stateful(before, c, &state))
            break;
        before = c;
        at = next;
    }
    return at;
}

int tt_rewrite_charsmap(const struct tt_step *step, const struct tt_view *in, struct tt_aligned *out, struct tt_error *error)
{
    size_t begin = out->length;
    (void)error;
    for (size_t at = in->from; at < in->to;) {
        size_t end = grapheme_end(in->text->text, at, in->to);
        if (end - at >= 6 || !add_mapped(step->charsmap, in, at, end, out, begin))
            add_characters(step->charsmap, in, at, end, out, begin);
        at = end;
    }
    return 0;
}

/* ---- as SentencePiece itself (GGUF): the longest rule at each place; then white space ---- */

static void add_space(const struct tt_step *step, const struct tt_view *in, size_t at, struct tt_aligned *out)
{
    tt_aligned_add(out, step->content, strlen(step->content), in->text->start[at], in->text->end[at]);
}

/* number: 1 where runs of white space become one. left: a space stands before the text. */
int tt_rewrite_unigram_text(const struct tt_step *step, const struct tt_view *in, struct tt_aligned *out,
                            struct tt_error *error)
{
    bool prepended = false, in_word = false;
    (void)error;
    for (size_t at = in->from; at < in->to;) {
        size_t from = at, length;
        const char *mapped = in->text->text + at;
        const char *found = step->charsmap ? look_up(step->charsmap, mapped, in->to - at, true, &length) : NULL;
        if (!found)
            tt_utf8_next(in->text->text, in->to, &at);
        else
            at += length;
        length = found ? strlen(found) : at - from;
        for (size_t i = 0; i < length; i++) {
            char byte = found ? found[i] : mapped[i];
            if (byte == ' ') {
                in_word = false;
                if (!step->number)
                    add_space(step, in, from, out);
                continue;
            }
            if (!in_word && ((step->left && !prepended) || step->number)) {
                add_space(step, in, from, out);
                prepended = true;
            }
            in_word = true;
            tt_aligned_add(out, &byte, 1, in->text->start[from], in->text->end[at - 1]);
        }
    }
    if (step->right && in->to > in->from)
        add_space(step, in, in->to - 1, out);
    return 0;
}
