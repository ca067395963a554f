/* SPDX-License-Identifier: Apache-2.0
 *
 * Words into pieces by the longest piece at each place; and vocabularies of whole words.
 */
#include <stdlib.h>
#include <string.h>

#include "tokenizer/private.h"

static int put_unknown(struct tt_call *call, const struct tt_range *word)
{
    if (call->tokenizer->unknown < 0)
        return tt_fail(call->error, TT_EINPUT, "%s: a word is not in the vocabulary, which has no unknown token",
                       call->tokenizer->path);
    tt_call_token(call, call->tokenizer->unknown, word->from, word->to);
    return 0;
}

/* The longest piece at `from`, *to its end. `spelling` holds the prefix and room for the longest piece. */
static int32_t longest_piece(struct tt_call *call, const struct tt_range *word, size_t from, size_t *to, char *spelling)
{
    const struct tt_tokenizer *t = call->tokenizer;
    const char *text = call->text.text;
    size_t prefix = from > word->from && t->prefix ? strlen(t->prefix) : 0, room = t->vocabulary.longest;
    size_t end = word->to;
    if (room < prefix)
        return -1;
    if (end - from > room - prefix)
        end = from + room - prefix;
    while (end < word->to && end > from && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    memcpy(spelling, t->prefix ? t->prefix : "", prefix);
    memcpy(spelling + prefix, text + from, end - from);
    while (end > from) {
        int32_t id = tt_vocabulary_find(&t->vocabulary, spelling, prefix + end - from);
        if (id >= 0) {
            *to = end;
            return id;
        }
        for (end--; end > from && ((unsigned char)text[end] & 0xc0) == 0x80;)
            end--;
    }
    return -1;
}

int tt_pieces_wordpiece(struct tt_call *call, const struct tt_range *word)
{
    const struct tt_tokenizer *t = call->tokenizer;
    size_t before = call->out->count, to = word->from;
    bool fits = tt_utf8_count(call->text.text + word->from, word->to - word->from) <= t->max_characters;
    char *spelling = tt_alloc((size_t)t->vocabulary.longest + (t->prefix ? strlen(t->prefix) : 0) + 1);
    for (size_t from = word->from; fits && from < word->to; from = to) {
        int32_t id = longest_piece(call, word, from, &to, spelling);
        fits = id >= 0;
        if (fits)
            tt_call_token(call, id, from, to);
    }
    free(spelling);
    if (fits)
        return 0;
    call->out->count = before;
    return put_unknown(call, word);
}

/* GGUF's reader: by bytes, the mark of a word's beginning is part of the text already. */
int tt_pieces_greedy(struct tt_call *call, const struct tt_range *word)
{
    const struct tt_vocabulary *v = &call->tokenizer->vocabulary;
    size_t before = call->out->count;
    for (size_t from = word->from; from < word->to;) {
        size_t to = word->to - from > v->longest ? from + v->longest : word->to;
        int32_t id = -1;
        while (to > from && (id = tt_vocabulary_find(v, call->text.text + from, to - from)) < 0)
            to--;
        if (id < 0) {
            call->out->count = before;
            return put_unknown(call, word);
        }
        tt_call_token(call, id, from, to);
        from = to;
    }
    return 0;
}

int tt_pieces_whole(struct tt_call *call, const struct tt_range *word)
{
    int32_t id = tt_vocabulary_find(&call->tokenizer->vocabulary, call->text.text + word->from, word->to - word->from);
    if (id < 0)
        return put_unknown(call, word);
    tt_call_token(call, id, word->from, word->to);
    return 0;
}
