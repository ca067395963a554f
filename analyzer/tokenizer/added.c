/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens that are looked for in the text before anything else: special ones, and those that were added to a vocabulary.
 *
 * tokenizer.json: from left to right, at each place the longest; conditions on the neighbourhood are asked afterwards, and
 * a match that fails them still hides shorter ones. GGUF: the longest name everywhere first, then the next in what is left.
 */
#include <stdlib.h>
#include <string.h>

#include "tokenizer/private.h"

void tt_added_add(struct tt_added *added, const struct tt_added_token *token)
{
    added->items = tt_grow(added->items, added->count + 1, sizeof *added->items);
    added->items[added->count++] = *token;
}

void tt_added_free(struct tt_added *added)
{
    for (size_t i = 0; i < added->count; i++)
        free(added->items[i].content);
    free(added->items);
    tt_trie_free(&added->before);
    tt_trie_free(&added->after);
}

/* ---- from left to right ---- */

static bool word_before(const char *text, size_t from, size_t at)
{
    size_t first = at;
    while (first > from && ((unsigned char)text[--first] & 0xc0) == 0x80)
        ;
    return at > from && tt_is_word(tt_utf8_next(text, at, &first));
}

static bool word_after(const char *text, size_t at, size_t to)
{
    return at < to && tt_is_word(tt_utf8_next(text, to, &at));
}

static size_t spaces_before(const char *text, size_t from, size_t at)
{
    while (at > from) {
        size_t first = at;
        while (first > from && ((unsigned char)text[--first] & 0xc0) == 0x80)
            ;
        size_t next = first;
        if (!tt_is_space(tt_utf8_next(text, at, &next)))
            break;
        at = first;
    }
    return at;
}

static size_t spaces_after(const char *text, size_t at, size_t to)
{
    for (size_t next = at; next < to && tt_is_space(tt_utf8_next(text, to, &next)); at = next)
        ;
    return at;
}

static bool fits(const struct tt_added_token *token, const char *text, const struct tt_range *range, size_t from, size_t to,
                 bool plain)
{
    if (plain && token->special)
        return false;
    return !token->single_word || (!word_before(text, range->from, from) && !word_after(text, to, range->to));
}

static void split_leftmost(const struct tt_added *added, const struct tt_trie *trie, const char *text,
                           const struct tt_range *range, bool plain, struct tt_ranges *out)
{
    size_t done = range->from, matched;
    for (size_t at = range->from; at < range->to;) {
        int32_t index = tt_trie_longest(trie, text + at, range->to - at, &matched);
        if (index < 0) {
            at++;
            continue;
        }
        const struct tt_added_token *token = &added->items[index];
        size_t from = at, to = at + matched;
        at = to;
        if (!fits(token, text, range, from, to, plain))
            continue;
        if (token->lstrip) {
            size_t start = spaces_before(text, range->from, from);
            from = start > done ? start : done;
        }
        if (token->rstrip)
            to = spaces_after(text, to, range->to);
        tt_ranges_add(out, done, from, -1, false);
        tt_ranges_add(out, from, to, token->id, token->special);
        done = to;
    }
    tt_ranges_add(out, done, range->to, -1, false);
}

/* ---- the longest first ---- */

static bool is_ascii_space(char c)
{
    return c == ' ' || (c >= 9 && c <= 13);
}

/* Indices of the tokens whose names occur at all, the longest first. */
static size_t occurring(const struct tt_added *added, const char *text, const struct tt_range *range, bool plain,
                        int32_t *found)
{
    size_t count = 0;
    for (size_t at = range->from; at < range->to; at++) {
        uint32_t node = 0;
        for (size_t i = at; i < range->to && (node = tt_trie_step(&added->before, node, (unsigned char)text[i])); i++) {
            int32_t index = added->before.values[node];
            if (index < 0 || (plain && !added->items[index].in_text))
                continue;
            size_t place = 0;
            while (place < count && found[place] != index && added->items[found[place]].length >= added->items[index].length)
                place++;
            if (place < count && found[place] == index)
                continue;
            memmove(found + place + 1, found + place, (count - place) * sizeof *found);
            found[place] = index;
            count++;
        }
    }
    return count;
}

static void split_by(const struct tt_added_token *token, const char *text, const struct tt_range *range, struct tt_ranges *out)
{
    size_t at = range->from;
    const char *hit;
    while (at < range->to && (hit = memmem(text + at, range->to - at, token->content, token->length))) {
        size_t from = (size_t)(hit - text), end = from;
        while (token->lstrip && end > at && is_ascii_space(text[end - 1]))
            end--;
        tt_ranges_add(out, at, end, -1, false);
        tt_ranges_add(out, from, from + token->length, token->id, token->special);
        at = from + token->length;
        while (token->rstrip && at < range->to && is_ascii_space(text[at]))
            at++;
    }
    tt_ranges_add(out, at, range->to, -1, false);
}

static void split_longest(const struct tt_added *added, const char *text, const struct tt_range *range, bool plain,
                          struct tt_ranges *out)
{
    int32_t *found = tt_alloc_array(added->count + 1, sizeof *found);
    struct tt_ranges ranges = {0}, next = {0};
    tt_ranges_add(&ranges, range->from, range->to, -1, false);
    for (size_t n = occurring(added, text, range, plain, found), i = 0; i < n; i++) {
        next.count = 0;
        for (size_t j = 0; j < ranges.count; j++) {
            const struct tt_range *part = &ranges.items[j];
            if (part->token < 0)
                split_by(&added->items[found[i]], text, part, &next);
            else
                tt_ranges_add(&next, part->from, part->to, part->token, part->special);
        }
        struct tt_ranges swap = ranges;
        ranges = next;
        next = swap;
    }
    for (size_t j = 0; j < ranges.count; j++)
        tt_ranges_add(out, ranges.items[j].from, ranges.items[j].to, ranges.items[j].token, ranges.items[j].special);
    free(ranges.items);
    free(next.items);
    free(found);
}

void tt_added_split(const struct tt_added *added, const struct tt_aligned *text, const struct tt_range *range, bool normalized,
                    bool plain, struct tt_ranges *out)
{
    const struct tt_trie *trie = normalized ? &added->after : &added->before;
    if (!trie->nodes)
        tt_ranges_add(out, range->from, range->to, -1, false);
    else if (added->longest_first)
        split_longest(added, text->text, range, plain, out);
    else
        split_leftmost(added, trie, text->text, range, plain, out);
}
