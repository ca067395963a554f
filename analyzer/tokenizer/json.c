/* SPDX-License-Identifier: Apache-2.0
 *
 * tokenizer.json: vocabulary, merges, added tokens, template. tokenizer_config.json beside it names the BOS
 * token and no more: its add_bos_token changes nothing where there is a tokenizer.json, as in transformers.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "model/locate.h"
#include "tokenizer/private.h"

#define FAIL(parts, ...) tt_fail((parts)->error, TT_EINPUT, __VA_ARGS__)

static const cJSON *at(const cJSON *item, const char *name)
{
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(item, name);
    return cJSON_IsNull(found) ? NULL : found;
}

/* ---- vocabularies ---- */

static int add_piece(struct tt_json_parts *parts, double id, const char *piece)
{
    struct tt_vocabulary *v = &parts->tokenizer->vocabulary;
    if (!(id >= 0 && id < TT_MAX_TOKENS) || id != floor(id))
        return FAIL(parts, "%s: token '%.*s' has id %g; expected a number from 0 to %d", parts->path, tt_utf8_cut(piece, 60), piece, id, TT_MAX_TOKENS - 1);
    if ((size_t)id < v->count && v->pieces[(size_t)id].present)
        return FAIL(parts, "%s: two tokens have id %d, '%.*s' is one of them", parts->path, (int)id, tt_utf8_cut(piece, 60), piece);
    return tt_vocabulary_add(v, (int64_t)id, piece, strlen(piece));
}

static int read_vocabulary(struct tt_json_parts *parts, const cJSON *model)
{
    const cJSON *item, *vocabulary = at(model, "vocab");
    if (!cJSON_IsObject(vocabulary))
        return FAIL(parts, "%s: the model has no vocab", parts->path);
    cJSON_ArrayForEach (item, vocabulary)
        if (!cJSON_IsNumber(item) ? FAIL(parts, "%s: token '%.*s' has no number as its id", parts->path, tt_utf8_cut(item->string, 60), item->string)
                                  : add_piece(parts, item->valuedouble, item->string))
            return -1;
    return 0;
}

/* [[piece, score], …] */
static int read_scores(struct tt_json_parts *parts, const cJSON *model)
{
    struct tt_tokenizer *t = parts->tokenizer;
    const cJSON *item;
    double least = INFINITY;
    int64_t id = 0;
    cJSON_ArrayForEach (item, at(model, "vocab")) {
        const char *piece = cJSON_GetStringValue(cJSON_GetArrayItem(item, 0));
        const cJSON *score = cJSON_GetArrayItem(item, 1);
        if (!piece || !cJSON_IsNumber(score))
            return FAIL(parts, "%s: entry %d of vocab is no pair of a piece and a score", parts->path, (int)id);
        if (add_piece(parts, (double)id, piece))
            return -1;
        tt_trie_add(&t->words, piece, strlen(piece), (int32_t)id);
        t->vocabulary.pieces[id++].score = score->valuedouble;
        least = fmin(least, score->valuedouble);
    }
    t->unknown_score = least - 10;
    return 0;
}

static int read_merge(struct tt_json_parts *parts, const cJSON *item)
{
    const char *both = cJSON_GetStringValue(item), *left = both, *right = both ? strchr(both, ' ') : NULL;
    size_t nleft = right ? (size_t)(right - left) : 0;
    if (right)
        right++;
    if (cJSON_IsArray(item)) {
        left = cJSON_GetStringValue(cJSON_GetArrayItem(item, 0));
        right = cJSON_GetStringValue(cJSON_GetArrayItem(item, 1));
        nleft = left ? strlen(left) : 0;
    }
    if (!left || !right)
        return FAIL(parts, "%s: merge %zu is no pair of pieces", parts->path, parts->tokenizer->nmerges);
    if (!tt_add_merge(parts->tokenizer, left, nleft, right, strlen(right), false, false))
        return FAIL(parts, "%s: merge %zu ('%.*s' and '%.*s') is not in the vocabulary", parts->path, parts->tokenizer->nmerges,
                    (int)nleft, left, tt_utf8_cut(right, 60), right);
    return 0;
}

/* ---- models ---- */

static int unknown_of(struct tt_json_parts *parts, const cJSON *model, const char *fallback)
{
    const char *name = tt_json_word(model, "unk_token", fallback);
    parts->tokenizer->unknown = name ? tt_vocabulary_find(&parts->tokenizer->vocabulary, name, strlen(name)) : -1;
    return 0;
}

static char *own_word(const cJSON *model, const char *name)
{
    const char *word = tt_json_word(model, name, "");
    return *word ? tt_strdup(word) : NULL;
}

static int read_bpe(struct tt_json_parts *parts, const cJSON *model)
{
    struct tt_tokenizer *t = parts->tokenizer;
    const cJSON *item, *merges = at(model, "merges");
    if (read_vocabulary(parts, model))
        return -1;
    if (!cJSON_IsArray(merges))
        return FAIL(parts, "%s: the model has no merges", parts->path);
    t->prefix = own_word(model, "continuing_subword_prefix");
    t->suffix = own_word(model, "end_of_word_suffix");
    t->merges = tt_alloc_array((size_t)cJSON_GetArraySize(merges) + 1, sizeof *t->merges);
    cJSON_ArrayForEach (item, merges)
        if (read_merge(parts, item))
            return -1;
    tt_find_byte_tokens(t);
    t->fuse_unknown = tt_json_flag(model, "fuse_unk", false);
    t->byte_fallback = tt_json_flag(model, "byte_fallback", false);
    t->ignore_merges = tt_json_flag(model, "ignore_merges", false);
    if (t->byte_fallback && (t->prefix || t->suffix))
        return FAIL(parts, "%s: byte_fallback with marks of continuing pieces is not supported; give ids with --tokens", parts->path);
    t->pieces = tt_pieces_bpe;
    return unknown_of(parts, model, NULL);
}

static int read_wordpiece(struct tt_json_parts *parts, const cJSON *model)
{
    const cJSON *most = at(model, "max_input_chars_per_word");
    if (read_vocabulary(parts, model))
        return -1;
    parts->tokenizer->prefix = tt_strdup(tt_json_word(model, "continuing_subword_prefix", "##"));
    parts->tokenizer->max_characters = cJSON_IsNumber(most) && most->valuedouble >= 0 ? (size_t)most->valuedouble : 100;
    parts->tokenizer->pieces = tt_pieces_wordpiece;
    return unknown_of(parts, model, "[UNK]");
}

static int read_words(struct tt_json_parts *parts, const cJSON *model)
{
    parts->tokenizer->pieces = tt_pieces_whole;
    return read_vocabulary(parts, model) || unknown_of(parts, model, "<unk>") ? -1 : 0;
}

static int read_unigram(struct tt_json_parts *parts, const cJSON *model)
{
    struct tt_tokenizer *t = parts->tokenizer;
    const cJSON *unknown = at(model, "unk_id");
    if (read_scores(parts, model))
        return -1;
    if (unknown && !(cJSON_IsNumber(unknown) && unknown->valueint >= 0 && (size_t)unknown->valueint < t->vocabulary.count))
        return FAIL(parts, "%s: unk_id is not in the vocabulary", parts->path);
    t->unknown = unknown ? unknown->valueint : -1;
    tt_find_byte_tokens(t);
    t->byte_fallback = tt_json_flag(model, "byte_fallback", false);
    t->by_text = true;
    t->pieces = tt_pieces_unigram;
    return 0;
}

static const struct {
    const char *type, *members, *sign; /* a member that tells the type where the file does not */
    int (*read)(struct tt_json_parts *parts, const cJSON *model);
} models[] = {
    {"BPE",
     "type dropout unk_token continuing_subword_prefix end_of_word_suffix fuse_unk byte_fallback ignore_merges vocab merges",
     "merges", read_bpe},
    {"WordPiece", "type unk_token continuing_subword_prefix max_input_chars_per_word vocab", "max_input_chars_per_word",
     read_wordpiece},
    {"Unigram", "type unk_id vocab byte_fallback", "unk_id", read_unigram},
    {"WordLevel", "type vocab unk_token", "vocab", read_words},
};

static int read_model(struct tt_json_parts *parts, const cJSON *model)
{
    const char *type = tt_json_word(model, "type", NULL);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (type ? strcmp(type, models[i].type) != 0 : !cJSON_HasObjectItem(model, models[i].sign))
            continue;
        parts->tokenizer->kind = tt_strdup(models[i].type);
        return tt_json_members(parts, model, models[i].type, models[i].members) ? -1 : models[i].read(parts, model);
    }
    return FAIL(parts, "%s: model '%s' is not supported; give ids with --tokens", parts->path, type ? type : "?");
}

/* ---- added tokens ---- */

static int add_token(struct tt_json_parts *parts, const cJSON *item)
{
    struct tt_tokenizer *t = parts->tokenizer;
    const char *content = tt_json_word(item, "content", "");
    const cJSON *number = at(item, "id");
    int32_t known = tt_vocabulary_find(&t->vocabulary, content, strlen(content));
    bool special = tt_json_flag(item, "special", false);
    if (!*content)
        return 0;
    if (known < 0 && (!cJSON_IsNumber(number) || tt_vocabulary_name(&t->vocabulary, number->valueint, content, strlen(content))))
        return FAIL(parts, "%s: added token '%.*s' has no usable id", parts->path, tt_utf8_cut(content, 60), content);
    tt_added_add(&t->added, &(struct tt_added_token){.content = tt_strdup(content),
                                                     .length = strlen(content),
                                                     .id = known >= 0 ? known : number->valueint,
                                                     .lstrip = tt_json_flag(item, "lstrip", false),
                                                     .rstrip = tt_json_flag(item, "rstrip", false),
                                                     .single_word = tt_json_flag(item, "single_word", false),
                                                     .normalized = tt_json_flag(item, "normalized", !special),
                                                     .special = special});
    return 0;
}

/* Names that are looked for in normalised text are normalised too. */
static int normalized_name(struct tt_json_parts *parts, const struct tt_added_token *token, struct tt_aligned *out)
{
    struct tt_aligned other = {0};
    const struct tt_steps *steps = &parts->tokenizer->normalize;
    int failed = 0;
    tt_aligned_add(out, token->content, token->length, 0, 0);
    for (size_t i = 0; i < steps->count && !failed && out->length; i++) {
        other.length = 0;
        failed = steps->items[i].rewrite(&steps->items[i], &(struct tt_view){out, 0, out->length, true}, &other, parts->error);
        struct tt_aligned swap = *out;
        *out = other;
        other = swap;
    }
    tt_aligned_free(&other);
    return failed;
}

static int index_added(struct tt_json_parts *parts)
{
    struct tt_added *added = &parts->tokenizer->added;
    int failed = 0;
    for (size_t i = 0; i < added->count && !failed; i++) {
        const struct tt_added_token *token = &added->items[i];
        struct tt_aligned name = {0};
        if (!token->normalized)
            tt_trie_add(&added->before, token->content, token->length, (int32_t)i);
        else if (!(failed = normalized_name(parts, token, &name)) && name.length)
            tt_trie_add(&added->after, name.text, name.length, (int32_t)i);
        tt_aligned_free(&name);
    }
    return failed;
}

static int read_added(struct tt_json_parts *parts, const cJSON *list)
{
    const cJSON *item;
    cJSON_ArrayForEach (item, list)
        if (add_token(parts, item))
            return -1;
    return index_added(parts);
}

/* ---- templates ---- */

static void add_to(int32_t **list, size_t *count, int32_t id)
{
    *list = tt_grow(*list, *count + 1, sizeof **list);
    (*list)[(*count)++] = id;
}

/* The text's place in `outer` is taken by what there is already. */
static void nest_template(struct tt_tokenizer *t, const int32_t *outer, size_t nouter)
{
    static const int32_t text[] = {TT_TEMPLATE_TEXT};
    const int32_t *inner = t->ntemplate ? t->template : text;
    size_t ninner = t->ntemplate ? t->ntemplate : 1, count = 0;
    int32_t *all = NULL;
    for (size_t i = 0; i < nouter; i++) {
        if (outer[i] != TT_TEMPLATE_TEXT)
            add_to(&all, &count, outer[i]);
        for (size_t j = 0; j < ninner && outer[i] == TT_TEMPLATE_TEXT; j++)
            add_to(&all, &count, inner[j]);
    }
    free(t->template);
    t->template = all;
    t->ntemplate = count;
}

/* {"special_tokens": {"<s>": {"ids": […]}}, "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]} */
static int read_template(struct tt_json_parts *parts, const cJSON *item)
{
    const cJSON *piece, *id;
    int32_t *list = NULL;
    size_t count = 0;
    int failed = 0;
    cJSON_ArrayForEach (piece, at(item, "single")) {
        const char *name = tt_json_word(at(piece, "SpecialToken"), "id", NULL);
        const cJSON *token = name ? at(at(item, "special_tokens"), name) : NULL;
        if (at(piece, "Sequence"))
            add_to(&list, &count, TT_TEMPLATE_TEXT);
        else if (!token)
            failed = FAIL(parts, "%s: the template names a token that it does not define", parts->path);
        cJSON_ArrayForEach (id, at(token, "ids"))
            add_to(&list, &count, id->valueint < 0 ? 0 : id->valueint);
    }
    if (!failed)
        nest_template(parts->tokenizer, list, count);
    free(list);
    return failed;
}

/* "cls": ["[CLS]", 101], "sep": ["[SEP]", 102] */
static int read_pair(struct tt_json_parts *parts, const cJSON *item)
{
    const cJSON *first = cJSON_GetArrayItem(at(item, "cls"), 1), *last = cJSON_GetArrayItem(at(item, "sep"), 1);
    if (!cJSON_IsNumber(first) || !cJSON_IsNumber(last) || first->valueint < 0 || last->valueint < 0)
        return FAIL(parts, "%s: the post_processor's cls and sep are no pairs of a name and an id", parts->path);
    nest_template(parts->tokenizer, (int32_t[]){first->valueint, TT_TEMPLATE_TEXT, last->valueint}, 3);
    return 0;
}

static int read_nothing(struct tt_json_parts *parts, const cJSON *item)
{
    (void)parts;
    (void)item;
    return 0;
}

static int read_processors(struct tt_json_parts *parts, const cJSON *item);

static const struct {
    const char *type, *members;
    int (*read)(struct tt_json_parts *parts, const cJSON *item);
} processors[] = {
    {"TemplateProcessing", "type single pair special_tokens", read_template},
    {"BertProcessing", "type sep cls", read_pair},
    {"RobertaProcessing", "type sep cls trim_offsets add_prefix_space", read_pair},
    {"ByteLevel", "type add_prefix_space trim_offsets use_regex", read_nothing}, /* it moves offsets, no ids */
    {"Sequence", "type processors", read_processors},
};

static int read_processor(struct tt_json_parts *parts, const cJSON *item)
{
    const char *type = tt_json_word(item, "type", "?");
    for (size_t i = 0; i < sizeof processors / sizeof *processors; i++)
        if (strcmp(processors[i].type, type) == 0)
            return tt_json_members(parts, item, type, processors[i].members) ? -1 : processors[i].read(parts, item);
    return FAIL(parts, "%s: post_processor '%s' is not supported; give ids with --tokens", parts->path, type);
}

static int read_processors(struct tt_json_parts *parts, const cJSON *item)
{
    const cJSON *inner;
    cJSON_ArrayForEach (inner, at(item, "processors"))
        if (read_processor(parts, inner))
            return -1;
    return 0;
}

/* ---- tokenizer_config.json ---- */

/* A token is its name, or an object with it as content. */
static int32_t named_token(const struct tt_tokenizer *t, const cJSON *config, const char *name)
{
    const cJSON *token = at(config, name);
    const char *content = cJSON_IsObject(token) ? tt_json_word(token, "content", NULL) : cJSON_GetStringValue(token);
    return content ? tt_token_of_piece(t, content) : -1;
}

static int read_beside(struct tt_json_parts *parts)
{
    char *path = tt_path_beside(parts->path, "tokenizer_config.json");
    bool there = access(path, R_OK) == 0;
    cJSON *config = there ? tt_json_read(path, parts->error) : NULL;
    if (config)
        parts->tokenizer->bos = named_token(parts->tokenizer, config, "bos_token");
    free(path);
    cJSON_Delete(config);
    return there && !config ? -1 : 0;
}

/* ---- all ---- */

static int read_document(struct tt_json_parts *parts, const cJSON *document)
{
    const cJSON *normalizer = at(document, "normalizer"), *pre = at(document, "pre_tokenizer"), *decoder = at(document, "decoder"),
                *processor = at(document, "post_processor");
    if (tt_json_members(parts, document, "a tokenizer",
                        "version truncation padding added_tokens normalizer pre_tokenizer post_processor decoder model"))
        return -1;
    if (!at(document, "model"))
        return FAIL(parts, "%s: no tokenizer.json, it has no model", parts->path);
    if (read_model(parts, at(document, "model")) || (normalizer && tt_json_normalizer(parts, normalizer)) ||
        (pre && tt_json_pre_tokenizer(parts, pre)) || (processor && read_processor(parts, processor)) ||
        (decoder && tt_json_decoder(parts, decoder)) || read_added(parts, at(document, "added_tokens")))
        return -1;
    parts->tokenizer->joined_by_spaces = !decoder;
    return read_beside(parts);
}

int tt_tokenizer_load_json(struct tt_tokenizer *t, const char *path, struct tt_error *error)
{
    struct tt_json_parts parts = {t, path, error};
    cJSON *document = tt_json_read(path, error);
    if (!document)
        return -1;
    t->path = tt_strdup(path);
    int failed = read_document(&parts, document);
    cJSON_Delete(document);
    return failed;
}
