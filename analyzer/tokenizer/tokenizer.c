/* SPDX-License-Identifier: Apache-2.0
 *
 * The way of a text: added tokens are taken out, each text between them is normalised, added tokens that are looked for
 * in normalised text are taken out, what is left is split into words, the model makes tokens of each word, and the file's
 * template puts its own tokens around all.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/locate.h"
#include "model/model.h"
#include "tokenizer/private.h"

/* ---- one step over all ranges ---- */

static void swap_ranges(struct tt_call *call)
{
    struct tt_ranges swap = call->ranges;
    call->ranges = call->next;
    call->next = swap;
}

static int rewrite(struct tt_call *call, const struct tt_step *step)
{
    struct tt_aligned *out = &call->other, swap;
    int failed = 0;
    out->length = call->next.count = 0;
    for (size_t i = 0; i < call->ranges.count && !failed; i++) {
        const struct tt_range *range = &call->ranges.items[i];
        size_t begin = out->length;
        if (range->token >= 0)
            tt_aligned_copy(out, &call->text, range->from, range->to);
        else
            failed = step->rewrite(step,
                                   &(struct tt_view){&call->text, range->from, range->to,
                                                     i == 0 || call->ranges.items[i - 1].token >= 0},
                                   out, call->error);
        tt_ranges_add(&call->next, begin, out->length, range->token, range->special);
    }
    swap = call->text;
    call->text = *out;
    *out = swap;
    swap_ranges(call);
    return failed;
}

/* Whether a part is joined to the one before it (after it, for a merge with the next). */
static bool joins(enum tt_behavior behavior, const struct tt_match *match, bool other_found, bool has_other)
{
    switch (behavior) {
    case TT_CONTIGUOUS:
        return has_other && match->found == other_found;
    case TT_MERGED_WITH_PREVIOUS:
    case TT_MERGED_WITH_NEXT:
        return has_other && match->found && !other_found;
    default:
        return false;
    }
}

static void add_parts(struct tt_call *call, enum tt_behavior behavior, size_t base)
{
    const struct tt_matches *m = &call->matches;
    for (size_t i = 0; i < m->count;) {
        size_t last = i;
        if (behavior == TT_MERGED_WITH_NEXT)
            while (last + 1 < m->count && joins(behavior, &m->items[last], m->items[last + 1].found, true))
                last++;
        else
            while (last + 1 < m->count && joins(behavior, &m->items[last + 1], m->items[last].found, true))
                last++;
        if (behavior != TT_REMOVED || !m->items[i].found)
            tt_ranges_add(&call->next, base + m->items[i].from, base + m->items[last].to, -1, false);
        i = last + 1;
    }
}

static int split(struct tt_call *call, const struct tt_step *step)
{
    int failed = 0;
    call->next.count = 0;
    for (size_t i = 0; i < call->ranges.count && !failed; i++) {
        const struct tt_range *range = &call->ranges.items[i];
        if (range->token >= 0) {
            tt_ranges_add(&call->next, range->from, range->to, range->token, range->special);
            continue;
        }
        call->matches.count = 0;
        failed = step->find(step, call->text.text + range->from, range->to - range->from, &call->matches, call->error);
        if (!failed)
            add_parts(call, step->behavior, range->from);
    }
    swap_ranges(call);
    return failed;
}

static int run_steps(struct tt_call *call, const struct tt_steps *steps)
{
    int failed = 0;
    for (size_t i = 0; i < steps->count && !failed; i++)
        failed = steps->items[i].rewrite ? rewrite(call, &steps->items[i]) : split(call, &steps->items[i]);
    return failed;
}

static void split_added(struct tt_call *call, bool normalized, bool plain)
{
    call->next.count = 0;
    for (size_t i = 0; i < call->ranges.count; i++) {
        const struct tt_range *range = &call->ranges.items[i];
        if (range->token < 0)
            tt_added_split(&call->tokenizer->added, &call->text, range, normalized, plain, &call->next);
        else
            tt_ranges_add(&call->next, range->from, range->to, range->token, range->special);
    }
    swap_ranges(call);
}

/* ---- tokens ---- */

static void put(struct tt_tokens *out, const struct tt_token *token)
{
    if (out->count == out->capacity) {
        out->capacity = out->capacity ? 2 * out->capacity : 64;
        out->items = tt_grow(out->items, out->capacity, sizeof *out->items);
    }
    out->items[out->count++] = *token;
}

void tt_call_token(struct tt_call *call, int32_t id, size_t from, size_t to)
{
    const struct tt_aligned *text = &call->text;
    put(call->out, &(struct tt_token){.id = id, .start = text->start[from], .end = to > from ? text->end[to - 1] : text->start[from]});
}

static int put_words(struct tt_call *call)
{
    int failed = 0;
    for (size_t i = 0; i < call->ranges.count && !failed; i++) {
        const struct tt_range *range = &call->ranges.items[i];
        if (range->token < 0) {
            failed = call->tokenizer->pieces(call, range);
            continue;
        }
        tt_call_token(call, range->token, range->from, range->to);
        call->out->items[call->out->count - 1].special = range->special;
    }
    return failed;
}

static int put_text(struct tt_call *call, bool plain)
{
    const struct tt_tokenizer *t = call->tokenizer;
    split_added(call, false, plain);
    if (run_steps(call, &t->normalize))
        return -1;
    split_added(call, true, plain);
    return run_steps(call, &t->split) || put_words(call) ? -1 : 0;
}

static void put_special(struct tt_tokens *out, int32_t id, size_t place)
{
    put(out, &(struct tt_token){.id = id, .start = (uint32_t)place, .end = (uint32_t)place, .special = true});
}

/* The template around tokens[first…): the text's tokens are moved behind what stands before them. */
static void put_template(const struct tt_tokenizer *t, size_t length, struct tt_tokens *out, size_t first)
{
    size_t ntext = out->count - first, place = 0;
    struct tt_token *text = tt_alloc_array(ntext + 1, sizeof *text);
    if (ntext)
        memcpy(text, out->items + first, ntext * sizeof *text);
    out->count = first;
    for (size_t i = 0; i < t->ntemplate; i++) {
        if (t->template[i] != TT_TEMPLATE_TEXT) {
            put_special(out, t->template[i], place);
            continue;
        }
        for (size_t j = 0; j < ntext; j++)
            put(out, &text[j]);
        place = length;
    }
    free(text);
}

static int put_ends(const struct tt_tokenizer *t, size_t length, enum tt_added_ends ends, struct tt_tokens *out, size_t first,
                    struct tt_error *error)
{
    if (ends == TT_ENDS_NONE)
        return 0;
    if (t->ntemplate)
        put_template(t, length, out, first);
    if (ends != TT_ENDS_BOS || (out->count > first && out->items[first].id == t->bos))
        return 0;
    if (t->bos < 0)
        return tt_fail(error, TT_EINPUT, "%s names no BOS token; leave --bos out", t->path);
    put_special(out, t->bos, 0);
    struct tt_token bos = out->items[out->count - 1];
    memmove(out->items + first + 1, out->items + first, (out->count - 1 - first) * sizeof bos);
    out->items[first] = bos;
    return 0;
}

static void call_free(struct tt_call *call)
{
    tt_aligned_free(&call->text);
    tt_aligned_free(&call->other);
    free(call->ranges.items);
    free(call->next.items);
    free(call->matches.items);
    free(call->symbols);
    free(call->heap);
    free(call->best);
}

int tt_tokenize(const struct tt_tokenizer *tokenizer, const char *text, size_t length,
                const struct tt_tokenize_options *options, struct tt_tokens *out, struct tt_error *error)
{
    struct tt_call call = {.tokenizer = tokenizer, .out = out, .error = error};
    size_t first = out->count, valid = tt_utf8_prefix(text, length);
    if (valid < length)
        return tt_fail(error, TT_EINPUT, "the text is not UTF-8 at byte %zu; give it in UTF-8", valid);
    if (length > UINT32_MAX / 16)
        return tt_fail(error, TT_EINPUT, "a text of %zu bytes is too long; give at most %u", length, UINT32_MAX / 16);
    for (size_t i = 0; i < length; i++)
        tt_aligned_add(&call.text, text + i, 1, (uint32_t)i, (uint32_t)i + 1);
    tt_ranges_add(&call.ranges, 0, length, -1, false);
    int failed = put_text(&call, options->plain);
    if (!failed)
        failed = put_ends(tokenizer, length, options->ends, out, first, error);
    call_free(&call);
    return failed;
}

/* ---- asking ---- */

const char *tt_tokenizer_path(const struct tt_tokenizer *tokenizer)
{
    return tokenizer->path;
}

const char *tt_tokenizer_kind(const struct tt_tokenizer *tokenizer)
{
    return tokenizer->kind;
}

const char *tt_token_piece(const struct tt_tokenizer *tokenizer, int32_t id, size_t *length)
{
    const struct tt_vocabulary *v = &tokenizer->vocabulary;
    bool helper = v->size && id >= 0 && (size_t)id >= v->size;
    return helper ? NULL : tt_vocabulary_piece(v, id, length);
}

bool tt_token_is_special(const struct tt_tokenizer *t, int32_t id)
{
    size_t length;
    const char *piece = tt_token_piece(t, id, &length);
    for (size_t i = 0; i < t->added.count; i++)
        if (t->added.items[i].id == id)
            return true;
    return piece && ((length == 6 && memcmp(piece, "<0x", 3) == 0) || t->vocabulary.pieces[id].type == TT_PIECE_UNUSED);
}

int32_t tt_token_of_piece(const struct tt_tokenizer *tokenizer, const char *piece)
{
    size_t length = strlen(piece);
    for (size_t i = 0; i < tokenizer->added.count; i++)
        if (strcmp(tokenizer->added.items[i].content, piece) == 0)
            return tokenizer->added.items[i].id;
    return tt_vocabulary_find(&tokenizer->vocabulary, piece, length);
}

bool tt_text_is_assigned(const char *text, size_t length)
{
    for (size_t at = 0; at < length;)
        if (!tt_is_assigned(tt_utf8_next(text, length, &at)))
            return false;
    return true;
}

/* ---- opening ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* The tokenizer.json that a name means by itself, the caller's; NULL: it has to be asked as a model. */
static char *tokenizer_file(const char *name)
{
    struct stat status;
    if (ends_with(name, ".json") && !ends_with(name, ".index.json"))
        return tt_strdup(name);
    char *inside = tt_format("%s/tokenizer.json", name);
    if (stat(name, &status) == 0 && S_ISDIR(status.st_mode) && access(inside, R_OK) == 0)
        return inside;
    free(inside);
    return NULL;
}

static int load_model(struct tt_tokenizer *t, const struct tt_model *model, const char *data, struct tt_error *error)
{
    if (strcmp(tt_model_scheme(model), "gguf") == 0)
        return tt_tokenizer_load_gguf(t, model, data, error);
    char *beside = tt_path_beside(tt_model_path(model), "tokenizer.json");
    int failed = access(beside, R_OK) != 0;
    if (failed)
        tt_fail(error, TT_EINPUT, "%s: no tokenizer.json beside this model; give ids with --tokens", tt_model_path(model));
    else
        failed = tt_tokenizer_load_json(t, beside, error);
    free(beside);
    return failed ? -1 : 0;
}

static int load(struct tt_tokenizer *t, const char *name, const char *data, struct tt_error *error)
{
    char *file = tokenizer_file(name);
    if (file) {
        int failed = tt_tokenizer_load_json(t, file, error);
        free(file);
        return failed;
    }
    struct tt_model *model = tt_model_open(name, error);
    if (!model)
        return -1;
    int failed = load_model(t, model, data, error);
    tt_model_close(model);
    return failed;
}

struct tt_tokenizer *tt_tokenizer_open(const char *name, const char *data, struct tt_error *error)
{
    struct tt_tokenizer *t = tt_alloc(sizeof *t);
    t->bos = t->unknown = -1;
    if (load(t, name, data, error) == 0)
        return t;
    tt_tokenizer_free(t);
    return NULL;
}

void tt_tokenizer_free(struct tt_tokenizer *t)
{
    if (!t)
        return;
    tt_vocabulary_free(&t->vocabulary);
    tt_added_free(&t->added);
    tt_steps_free(&t->normalize);
    tt_steps_free(&t->split);
    tt_decoders_free(&t->decoders);
    tt_map_free(&t->merge_of);
    tt_trie_free(&t->words);
    free(t->merges);
    free(t->template);
    free(t->prefix);
    free(t->suffix);
    free(t->path);
    free(t->kind);
    free(t);
}
