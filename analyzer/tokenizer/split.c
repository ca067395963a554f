/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps that find where a text is split, and what the parts found become.
 */
#include <string.h>

#include "tokenizer/private.h"

int tt_find_pattern(const struct tt_step *step, const char *text, size_t length, struct tt_matches *out, struct tt_error *error)
{
    size_t first = out->count;
    if (tt_pattern_find(step->pattern, text, length, out, error))
        return -1;
    for (size_t i = first; i < out->count && step->invert; i++)
        out->items[i].found = !out->items[i].found;
    return 0;
}

int tt_find_class(const struct tt_step *step, const char *text, size_t length, struct tt_matches *out, struct tt_error *error)
{
    size_t covered = 0;
    (void)error;
    for (size_t at = 0; at < length;) {
        size_t from = at;
        if (!step->class(tt_utf8_next(text, length, &at)))
            continue;
        if (covered < from)
            tt_matches_add(out, covered, from, false);
        tt_matches_add(out, from, at, true);
        covered = at;
    }
    if (covered < length)
        tt_matches_add(out, covered, length, false);
    return 0;
}

/* 0 white space, 1 words, 2 the rest */
static int kind_of(int32_t character)
{
    return tt_is_space(character) ? 0 : tt_is_word(character) ? 1 : 2;
}

/* Words and runs of other characters are kept, white space is what is found. */
int tt_find_words(const struct tt_step *step, const char *text, size_t length, struct tt_matches *out, struct tt_error *error)
{
    (void)step;
    (void)error;
    for (size_t at = 0; at < length;) {
        size_t from = at, next = at;
        int kind = kind_of(tt_utf8_next(text, length, &next));
        for (at = next; next < length && kind_of(tt_utf8_next(text, length, &next)) == kind;)
            at = next;
        tt_matches_add(out, from, at, kind == 0);
    }
    return 0;
}

/* number: characters of a part */
int tt_find_fixed(const struct tt_step *step, const char *text, size_t length, struct tt_matches *out, struct tt_error *error)
{
    (void)error;
    for (size_t at = 0; at < length;) {
        size_t from = at;
        for (int i = 0; i < step->number && at < length; i++)
            tt_utf8_next(text, length, &at);
        tt_matches_add(out, from, at, false);
    }
    return 0;
}
