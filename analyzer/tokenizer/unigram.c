/* SPDX-License-Identifier: Apache-2.0
 *
 * The segmentation of a word whose pieces' log probabilities sum up to most (Viterbi, left to right).
 * An unknown character costs the vocabulary's least score and 10 more; neighbouring ones are one token.
 */
#include <string.h>

#include "tokenizer/private.h"

static void offer(struct tt_call *call, size_t from, size_t to, int32_t id, double score)
{
    struct tt_best *best = &call->best[to];
    if (best->from >= 0 && score <= best->score)
        return;
    *best = (struct tt_best){.score = score, .from = (int32_t)from, .id = id};
}

/* Pieces of text[0…length) that begin at `at`; whether one of them is the character there. */
static bool offer_pieces(struct tt_call *call, const char *text, size_t length, size_t at, size_t next)
{
    const struct tt_tokenizer *t = call->tokenizer;
    bool single = false;
    uint32_t node = 0;
    for (size_t i = at; i < length && (node = tt_trie_step(&t->words, node, (unsigned char)text[i])); i++) {
        int32_t id = t->words.values[node];
        if (id < 0)
            continue;
        single = single || i + 1 == next;
        offer(call, at, i + 1, id, call->best[at].score + t->vocabulary.pieces[id].score);
    }
    return single;
}

static int search(struct tt_call *call, const char *text, size_t length)
{
    const struct tt_tokenizer *t = call->tokenizer;
    for (size_t i = 0; i <= length; i++)
        call->best[i] = (struct tt_best){.from = -1, .id = -1};
    for (size_t at = 0, next = 0; at < length; at = next) {
        tt_utf8_next(text, length, &next);
        if (offer_pieces(call, text, length, at, next))
            continue;
        if (t->unknown < 0)
            return tt_fail(call->error, TT_EINPUT, "%s: a character of the text is not in the vocabulary, which has no unknown token",
                           t->path);
        offer(call, at, next, t->unknown, call->best[at].score + t->unknown_score);
    }
    return 0;
}

static void put_unknown(struct tt_call *call, size_t from, size_t to)
{
    const struct tt_tokenizer *t = call->tokenizer;
    int32_t id = t->by_text ? tt_vocabulary_find(&t->vocabulary, call->text.text + from, to - from) : -1;
    bool bytes = id < 0 && t->byte_fallback;
    for (size_t i = from; i < to && bytes; i++)
        bytes = t->byte_ids[(unsigned char)call->text.text[i]] >= 0;
    for (size_t i = from; i < to && bytes; i++)
        tt_call_token(call, t->byte_ids[(unsigned char)call->text.text[i]], i, i + 1);
    if (!bytes)
        tt_call_token(call, id >= 0 ? id : t->unknown, from, to);
}

/* The best way runs backwards from the end: turned around, each place knows where its piece ends. */
static void turn_around(struct tt_best *best, size_t length)
{
    for (size_t to = length; to > 0; to = (size_t)best[to].from) {
        best[best[to].from].to = (int32_t)to;
        best[best[to].from].next = best[to].id;
    }
}

static void put_best(struct tt_call *call, const struct tt_range *word)
{
    const struct tt_best *best = call->best;
    size_t length = word->to - word->from, end;
    int32_t unknown = call->tokenizer->unknown;
    for (size_t at = 0; at < length; at = end) {
        end = (size_t)best[at].to;
        if (best[at].next != unknown) {
            tt_call_token(call, best[at].next, word->from + at, word->from + end);
            continue;
        }
        while (end < length && best[end].next == unknown)
            end = (size_t)best[end].to;
        put_unknown(call, word->from + at, word->from + end);
    }
}

int tt_pieces_unigram(struct tt_call *call, const struct tt_range *word)
{
    size_t length = word->to - word->from;
    if (length + 1 > call->best_capacity) {
        call->best_capacity = 2 * length + 64;
        call->best = tt_grow(call->best, call->best_capacity, sizeof *call->best);
    }
    if (search(call, call->text.text + word->from, length))
        return -1;
    turn_around(call->best, length);
    put_best(call, word);
    return 0;
}
