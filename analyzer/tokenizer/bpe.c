/* SPDX-License-Identifier: Apache-2.0
 *
 * Words into pieces by merging neighbours: by rank of a list of merges, or by score of what they make together.
 * The best pair anywhere in the word is merged first, of equal ones the leftmost.
 */
#include <stdlib.h>
#include <string.h>

#include "tokenizer/private.h"

/* ---- neighbours ---- */

/* What two neighbours make, -1: nothing; *order: the smaller the earlier. */
typedef int32_t pair_rule(const struct tt_call *call, const struct tt_symbol *left, const struct tt_symbol *right,
                          double *order);

static int32_t by_rank(const struct tt_call *call, const struct tt_symbol *left, const struct tt_symbol *right, double *order)
{
    const struct tt_tokenizer *t = call->tokenizer;
    uint32_t index;
    if (left->id < 0 || right->id < 0 || !tt_map_get(&t->merge_of, (uint64_t)left->id << 32 | (uint32_t)right->id, &index))
        return -1;
    *order = t->merges[index].rank;
    return t->merges[index].merged;
}

static int32_t by_score(const struct tt_call *call, const struct tt_symbol *left, const struct tt_symbol *right, double *order)
{
    const struct tt_vocabulary *v = &call->tokenizer->vocabulary;
    int32_t id = tt_vocabulary_find(v, call->text.text + left->from, left->length + right->length);
    if (id >= 0)
        *order = -v->pieces[id].score;
    return id;
}

/* ---- the heap ---- */

static bool comes_before(const struct tt_candidate *a, const struct tt_candidate *b)
{
    return a->order < b->order || (a->order == b->order && a->position < b->position);
}

static void push(struct tt_call *call, struct tt_candidate candidate)
{
    if (call->nheap == call->heap_capacity) {
        call->heap_capacity = call->heap_capacity ? 2 * call->heap_capacity : 256;
        call->heap = tt_grow(call->heap, call->heap_capacity, sizeof *call->heap);
    }
    size_t at = call->nheap++;
    for (size_t parent; at && comes_before(&candidate, &call->heap[parent = (at - 1) / 2]); at = parent)
        call->heap[at] = call->heap[parent];
    call->heap[at] = candidate;
}

static struct tt_candidate pop(struct tt_call *call)
{
    struct tt_candidate top = call->heap[0], last = call->heap[--call->nheap];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < call->nheap; at = child) {
        if (child + 1 < call->nheap && comes_before(&call->heap[child + 1], &call->heap[child]))
            child++;
        if (!comes_before(&call->heap[child], &last))
            break;
        call->heap[at] = call->heap[child];
    }
    call->heap[at] = last;
    return top;
}

/* ---- merging ---- */

static void add_symbol(struct tt_call *call, int32_t id, size_t from, size_t length)
{
    if (call->nsymbols == call->symbol_capacity) {
        call->symbol_capacity = call->symbol_capacity ? 2 * call->symbol_capacity : 256;
        call->symbols = tt_grow(call->symbols, call->symbol_capacity, sizeof *call->symbols);
    }
    int32_t index = (int32_t)call->nsymbols++;
    if (index)
        call->symbols[index - 1].next = index;
    call->symbols[index] = (struct tt_symbol){index - 1, -1, id, (uint32_t)from, (uint32_t)length};
}

static void propose(struct tt_call *call, pair_rule *rule, int32_t left)
{
    struct tt_candidate candidate = {.position = left};
    int32_t right = left < 0 ? -1 : call->symbols[left].next;
    if (right < 0)
        return;
    candidate.merged = rule(call, &call->symbols[left], &call->symbols[right], &candidate.order);
    if (candidate.merged >= 0)
        push(call, candidate);
}

static void merge(struct tt_call *call, pair_rule *rule)
{
    call->nheap = 0;
    for (size_t i = 0; i + 1 < call->nsymbols; i++)
        propose(call, rule, (int32_t)i);
    while (call->nheap) {
        struct tt_candidate best = pop(call);
        struct tt_symbol *left = &call->symbols[best.position];
        struct tt_symbol *right = left->length && left->next >= 0 ? &call->symbols[left->next] : NULL;
        double order;
        if (!right || rule(call, left, right, &order) != best.merged) /* one of them was merged meanwhile */
            continue;
        left->length += right->length;
        left->id = best.merged;
        left->next = right->next;
        right->length = 0;
        if (left->next >= 0)
            call->symbols[left->next].previous = best.position;
        propose(call, rule, left->previous);
        propose(call, rule, best.position);
    }
}

/* ---- as tokenizer.json says ---- */

/* Id of a character of a word, with the marks of continuing and last pieces. */
static int32_t marked_id(const struct tt_tokenizer *t, const char *text, size_t length, bool first, bool last)
{
    char spelling[256];
    const char *prefix = !first && t->prefix ? t->prefix : "", *suffix = last && t->suffix ? t->suffix : "";
    if (!*prefix && !*suffix)
        return tt_vocabulary_find(&t->vocabulary, text, length);
    int n = snprintf(spelling, sizeof spelling, "%s%.*s%s", prefix, (int)length, text, suffix);
    return n < (int)sizeof spelling ? tt_vocabulary_find(&t->vocabulary, spelling, (size_t)n) : -1;
}

static bool add_as_bytes(struct tt_call *call, size_t from, size_t to)
{
    const int32_t *ids = call->tokenizer->byte_ids;
    for (size_t i = from; i < to; i++)
        if (ids[(unsigned char)call->text.text[i]] < 0)
            return false;
    for (size_t i = from; i < to; i++)
        add_symbol(call, ids[(unsigned char)call->text.text[i]], i, 1);
    return true;
}

/* Unknown characters wait here: neighbours may become one token. */
struct waiting {
    size_t from, to;
};

static void flush(struct tt_call *call, struct waiting *unknown)
{
    if (unknown->from < unknown->to)
        add_symbol(call, call->tokenizer->unknown, unknown->from, unknown->to - unknown->from);
    unknown->from = unknown->to = 0;
}

static void add_unknown(struct tt_call *call, size_t from, size_t to, struct waiting *unknown)
{
    if (call->tokenizer->unknown < 0) {
        call->out->dropped += to - from;
        return;
    }
    if (!call->tokenizer->fuse_unknown || unknown->from == unknown->to) {
        flush(call, unknown);
        unknown->from = from;
    }
    unknown->to = to;
}

int tt_pieces_bpe(struct tt_call *call, const struct tt_range *word)
{
    const struct tt_tokenizer *t = call->tokenizer;
    const char *text = call->text.text;
    struct waiting unknown = {0};
    int32_t id = t->ignore_merges ? tt_vocabulary_find(&t->vocabulary, text + word->from, word->to - word->from) : -1;
    if (id >= 0) {
        tt_call_token(call, id, word->from, word->to);
        return 0;
    }
    call->nsymbols = 0;
    for (size_t at = word->from; at < word->to;) {
        size_t from = at;
        tt_utf8_next(text, word->to, &at);
        id = marked_id(t, text + from, at - from, from == word->from, at == word->to);
        if (id >= 0) {
            flush(call, &unknown);
            add_symbol(call, id, from, at - from);
        } else if (!t->byte_fallback || !add_as_bytes(call, from, at)) {
            add_unknown(call, from, at, &unknown);
        }
    }
    flush(call, &unknown);
    merge(call, by_rank);
    for (size_t i = 0; i < call->nsymbols; i++)
        if (call->symbols[i].length)
            tt_call_token(call, call->symbols[i].id, call->symbols[i].from, call->symbols[i].from + call->symbols[i].length);
    return 0;
}

/* ---- as GGUF's readers do ---- */

static void add_characters(struct tt_call *call, const struct tt_range *word)
{
    call->nsymbols = 0;
    for (size_t at = word->from; at < word->to;) {
        size_t from = at;
        tt_utf8_next(call->text.text, word->to, &at);
        add_symbol(call, tt_vocabulary_find(&call->tokenizer->vocabulary, call->text.text + from, at - from), from, at - from);
    }
}

/* Bytes of what no piece is: tokens <0xNN>, or pieces of one byte; else nothing. */
static void put_bytes(struct tt_call *call, const struct tt_symbol *symbol)
{
    const struct tt_tokenizer *t = call->tokenizer;
    for (size_t i = symbol->from; i < symbol->from + symbol->length; i++) {
        int32_t id = t->raw_bytes ? t->byte_ids[(unsigned char)call->text.text[i]]
                                  : tt_vocabulary_find(&t->vocabulary, call->text.text + i, 1);
        if (id >= 0)
            tt_call_token(call, id, i, i + 1);
        else
            call->out->dropped++;
    }
}

static void put_symbols(struct tt_call *call)
{
    for (size_t i = 0; i < call->nsymbols; i++) {
        const struct tt_symbol *symbol = &call->symbols[i];
        if (symbol->length && symbol->id >= 0 && (size_t)symbol->id < call->tokenizer->vocabulary.size)
            tt_call_token(call, symbol->id, symbol->from, symbol->from + symbol->length);
        else if (symbol->length)
            put_bytes(call, symbol);
    }
}

static bool is_newlines(const char *text, const struct tt_range *word)
{
    size_t at = word->from;
    while (at < word->to && text[at] == '\n')
        at++;
    return at == word->to;
}

int tt_pieces_bpe_gguf(struct tt_call *call, const struct tt_range *word)
{
    const struct tt_tokenizer *t = call->tokenizer;
    bool whole = t->ignore_merges || (t->whole_newlines && is_newlines(call->text.text, word));
    int32_t id = whole ? tt_vocabulary_find(&t->vocabulary, call->text.text + word->from, word->to - word->from) : -1;
    if (id >= 0 && (size_t)id < t->vocabulary.size) {
        tt_call_token(call, id, word->from, word->to);
        return 0;
    }
    add_characters(call, word);
    merge(call, by_rank);
    put_symbols(call);
    return 0;
}

int tt_pieces_scores(struct tt_call *call, const struct tt_range *word)
{
    size_t dropped = call->out->dropped;
    add_characters(call, word);
    merge(call, by_score);
    put_symbols(call);
    if (call->out->dropped > dropped)
        return tt_fail(call->error, TT_EINPUT, "%s: has no token for a byte of the text, and no <0xNN> tokens to spell it",
                       call->tokenizer->path);
    return 0;
}

/* ---- building ---- */

void tt_find_byte_tokens(struct tt_tokenizer *t)
{
    for (int byte = 0; byte < 256; byte++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", (unsigned)byte);
        t->byte_ids[byte] = tt_vocabulary_find(&t->vocabulary, name, 6);
    }
}

static int32_t part_id(struct tt_vocabulary *v, const char *text, size_t length, bool helpers)
{
    int32_t id = tt_vocabulary_find(v, text, length);
    if (id < 0 && helpers && tt_vocabulary_add(v, (int64_t)v->count, text, length) == 0)
        id = (int32_t)v->count - 1;
    return id;
}

bool tt_add_merge(struct tt_tokenizer *t, const char *left, size_t nleft, const char *right, size_t nright, bool first_wins,
                  bool helpers)
{
    size_t skipped = t->prefix && nright >= strlen(t->prefix) ? strlen(t->prefix) : 0;
    char *joined = tt_alloc(nleft + nright + 1);
    memcpy(joined, left, nleft);
    memcpy(joined + nleft, right + skipped, nright - skipped);
    int32_t a = part_id(&t->vocabulary, left, nleft, helpers), b = part_id(&t->vocabulary, right, nright, helpers);
    int32_t merged = part_id(&t->vocabulary, joined, nleft + nright - skipped, helpers);
    uint64_t key = (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
    uint32_t known;
    free(joined);
    if (a < 0 || b < 0 || merged < 0)
        return false;
    t->merges[t->nmerges] = (struct tt_merge){(uint32_t)t->nmerges, merged};
    if (!first_wins || !tt_map_get(&t->merge_of, key, &known))
        tt_map_set(&t->merge_of, key, (uint32_t)t->nmerges);
    t->nmerges++;
    return true;
}
