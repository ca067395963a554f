/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokenizer in a GGUF file's metadata. Which kind it is, where it splits and what it adds is data:
 * tokenizers/gguf.json. Four kinds: merges by score (SentencePiece's BPE), merges by rank behind split patterns, words by
 * their longest pieces, and Unigram.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "model/model.h"
#include "tokenizer/private.h"

#define SPACE_MARK "\xe2\x96\x81"
#define KEY(name)  "tokenizer.ggml." name

enum token_type { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE }; /* as in the file */

struct loader {
    struct tt_tokenizer *t;
    const struct tt_model *model;
    const cJSON *data; /* gguf.json */
    const cJSON *kind; /* its entry for tokenizer.ggml.model */
    const cJSON *pre;  /* its entry for tokenizer.ggml.pre, NULL */
    struct tt_error *error;
};

#define FAIL(l, format, ...) \
    tt_fail((l)->error, TT_EINPUT, "%s: " format "; give ids with --tokens", tt_model_path((l)->model), ##__VA_ARGS__)

/* ---- metadata with the data file's defaults ---- */

static const cJSON *setting(const struct loader *l, const char *name)
{
    const cJSON *own = l->pre ? cJSON_GetObjectItemCaseSensitive(l->pre, name) : NULL;
    return own ? own : cJSON_GetObjectItemCaseSensitive(l->kind, name);
}

static bool flag_of(const struct loader *l, const char *key, const char *name)
{
    double value;
    return key && tt_model_number(l->model, key, &value) ? value != 0 : cJSON_IsTrue(setting(l, name));
}

/* -1: none, or none that is in the vocabulary. */
static int32_t id_of(const struct loader *l, const char *key, const char *name)
{
    double value;
    const cJSON *fallback = setting(l, name);
    double id = cJSON_IsNumber(fallback) ? fallback->valuedouble : -1;
    if (!(id < (double)l->t->vocabulary.size))
        id = -1;
    if (tt_model_number(l->model, key, &value) && value >= 0 && value < (double)l->t->vocabulary.size)
        id = value;
    return (int32_t)id;
}

static bool is_listed(const cJSON *list, const char *word)
{
    const cJSON *item;
    cJSON_ArrayForEach (item, list)
        if (cJSON_IsString(item) && strcmp(item->valuestring, word) == 0)
            return true;
    return false;
}

/* Whether `text` contains one of the words, in either case. */
static bool contains_any(const char *text, const cJSON *list)
{
    const cJSON *item;
    cJSON_ArrayForEach (item, list)
        if (text && cJSON_IsString(item) && strcasestr(text, item->valuestring))
            return true;
    return false;
}

/* ---- vocabulary ---- */

static int read_piece(struct loader *l, size_t index)
{
    struct tt_vocabulary *v = &l->t->vocabulary;
    const char *text;
    size_t length;
    char empty[32];
    double type = NORMAL, score = 0;
    if (!tt_model_array_string(l->model, KEY("tokens"), index, &text, &length))
        return FAIL(l, "token %zu is no text", index);
    if (!length) {
        length = (size_t)snprintf(empty, sizeof empty, "[EMPTY_%zu]", index);
        text = empty;
    }
    if (tt_vocabulary_find(v, text, length) >= 0)
        return FAIL(l, "tokens %d and %zu are the same, '%.*s'", tt_vocabulary_find(v, text, length), index,
                    length < 60 ? (int)length : tt_utf8_cut(text, 60), text);
    if (tt_vocabulary_add(v, (int64_t)index, text, length))
        return FAIL(l, "more than %d tokens", TT_MAX_TOKENS);
    tt_model_array_number(l->model, KEY("token_type"), index, &type);
    tt_model_array_number(l->model, KEY("scores"), index, &score);
    v->pieces[index].type = (uint8_t)(type >= 0 && type <= BYTE ? type : 0);
    v->pieces[index].score = isfinite(score) ? score : 0;
    return 0;
}

static int read_vocabulary(struct loader *l)
{
    size_t count = tt_model_array_length(l->model, KEY("tokens"));
    if (!count)
        return FAIL(l, "the file has no tokens");
    for (size_t i = 0; i < count; i++)
        if (read_piece(l, i))
            return -1;
    l->t->vocabulary.size = count;
    tt_find_byte_tokens(l->t);
    return 0;
}

/* Tokens whose names tell what they are, whatever their type says. */
static void correct_types(struct loader *l)
{
    static const struct {
        const char *list;
        enum token_type type;
    } lists[] = {{"control", CONTROL}, {"user_defined", USER_DEFINED}};
    const cJSON *item;
    for (size_t i = 0; i < 2; i++) {
        cJSON_ArrayForEach (item, cJSON_GetObjectItemCaseSensitive(l->data, lists[i].list)) {
            const char *name = cJSON_GetStringValue(item);
            int32_t id = name ? tt_vocabulary_find(&l->t->vocabulary, name, strlen(name)) : -1;
            if (id >= 0)
                l->t->vocabulary.pieces[id].type = (uint8_t)lists[i].type;
        }
    }
}

/* ---- special tokens ---- */

static bool strip_applies(const struct loader *l, const cJSON *rule)
{
    static const char *const members[][2] = {{"pre", KEY("pre")}, {"architecture", "general.architecture"}, {"name", "general.name"}};
    for (size_t i = 0; i < 3; i++) {
        const char *text = NULL;
        tt_model_string(l->model, members[i][1], &text);
        if (contains_any(text, cJSON_GetObjectItemCaseSensitive(rule, members[i][0])))
            return true;
    }
    return false;
}

static bool names_token(const cJSON *rule, const char *side, const char *token)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(rule, side);
    return (is_listed(list, token) || is_listed(list, "*")) &&
           !is_listed(cJSON_GetObjectItemCaseSensitive(rule, "except"), token);
}

static void add_special(struct loader *l, int32_t id)
{
    size_t length;
    const char *piece = tt_vocabulary_piece(&l->t->vocabulary, id, &length);
    int type = l->t->vocabulary.pieces[id].type;
    struct tt_added_token token = {.content = memcpy(tt_alloc(length + 1), piece, length), /* may hold zero bytes */
                                   .length = length,
                                   .id = id,
                                   .special = type != USER_DEFINED,
                                   .in_text = type == USER_DEFINED};
    const cJSON *rule;
    cJSON_ArrayForEach (rule, cJSON_GetObjectItemCaseSensitive(l->data, "strip")) {
        bool applies = strip_applies(l, rule);
        token.lstrip = token.lstrip || (applies && names_token(rule, "left", token.content));
        token.rstrip = token.rstrip || (applies && names_token(rule, "right", token.content));
    }
    tt_trie_add(&l->t->added.before, token.content, length, (int32_t)l->t->added.count);
    tt_added_add(&l->t->added, &token);
}

static void read_special(struct loader *l)
{
    correct_types(l);
    l->t->added.longest_first = true;
    for (size_t i = 0; i < l->t->vocabulary.size; i++) {
        int type = l->t->vocabulary.pieces[i].type;
        if (type == CONTROL || type == USER_DEFINED || type == UNKNOWN)
            add_special(l, (int32_t)i);
    }
}

/* ---- the kinds ---- */

static void add_decoder(struct loader *l, const char *name, const char *content, bool flag)
{
    tt_decoders_add(&l->t->decoders, name, &(struct tt_decoder){.content = content ? tt_strdup(content) : NULL, .flag = flag, .start = 1});
}

static void add_replace(struct loader *l, const char *what, const char *with)
{
    tt_steps_add(&l->t->split, &(struct tt_step){.rewrite = tt_rewrite_replace,
                                                 .pattern = tt_pattern_new(what, true, NULL),
                                                 .content = tt_strdup(with)});
}

static int read_scores(struct loader *l)
{
    bool prefix = flag_of(l, KEY("add_space_prefix"), "add_space_prefix");
    if (prefix)
        tt_steps_add(&l->t->split, &(struct tt_step){.rewrite = tt_rewrite_prepend,
                                                     .content = tt_strdup(" "),
                                                     .number = TT_PREPEND_AFTER_TOKEN});
    add_replace(l, " ", SPACE_MARK);
    add_decoder(l, "ByteFallback", NULL, false);
    add_decoder(l, "Metaspace", SPACE_MARK, false);
    add_decoder(l, "Fuse", NULL, false);
    if (prefix)
        add_decoder(l, "Strip", " ", false);
    l->t->raw_bytes = true;
    l->t->pieces = tt_pieces_scores;
    return 0;
}

static const cJSON *find_pre(const cJSON *data, const char *name)
{
    const cJSON *entry;
    cJSON_ArrayForEach (entry, cJSON_GetObjectItemCaseSensitive(data, "pre"))
        if (is_listed(cJSON_GetObjectItemCaseSensitive(entry, "names"), name))
            return entry;
    return NULL;
}

static int read_splits(struct loader *l, const char *pre)
{
    const cJSON *item;
    cJSON_ArrayForEach (item, cJSON_GetObjectItemCaseSensitive(l->pre, "split")) {
        struct tt_error reason = {0};
        struct tt_pattern *pattern = tt_pattern_new(item->valuestring, false, &reason);
        if (!pattern)
            return FAIL(l, "tokenizer.ggml.pre '%s': %s", pre, reason.message);
        tt_steps_add(&l->t->split, &(struct tt_step){.find = tt_find_pattern, .pattern = pattern, .behavior = TT_ISOLATED});
    }
    return 0;
}

/* "left right"; a piece may itself begin with a blank, so the search starts behind the first byte. */
static int read_merges(struct loader *l)
{
    size_t count = tt_model_array_length(l->model, KEY("merges"));
    if (!count)
        return FAIL(l, "the file has no merges");
    l->t->merges = tt_alloc_array(count + 1, sizeof *l->t->merges);
    for (size_t i = 0; i < count; i++) {
        const char *text, *blank;
        size_t length;
        if (!tt_model_array_string(l->model, KEY("merges"), i, &text, &length) || length < 3 ||
            !(blank = memchr(text + 1, ' ', length - 1)) || blank + 1 == text + length)
            return FAIL(l, "merge %zu is no pair of pieces", i);
        if (!tt_add_merge(l->t, text, (size_t)(blank - text), blank + 1, length - (size_t)(blank + 1 - text), true, true))
            return FAIL(l, "more than %d pieces in tokens and merges", TT_MAX_TOKENS);
        l->t->merges[l->t->nmerges - 1].rank = (uint32_t)i;
    }
    return 0;
}

static int read_ranks(struct loader *l)
{
    const char *pre = cJSON_GetStringValue(setting(l, "pre"));
    if (!pre && !tt_model_string(l->model, KEY("pre"), &pre))
        pre = "";
    l->pre = find_pre(l->data, pre);
    if (!l->pre)
        return FAIL(l, "tokenizer.ggml.pre '%s' is not known", pre);
    free(l->t->kind);
    l->t->kind = tt_format("merges, pre '%s'", pre);
    l->t->raw_bytes = cJSON_IsTrue(setting(l, "raw"));
    if (l->t->raw_bytes)
        add_replace(l, " ", SPACE_MARK);
    if (read_splits(l, pre))
        return -1;
    if (!l->t->raw_bytes)
        tt_steps_add(&l->t->split, &(struct tt_step){.rewrite = tt_rewrite_bytes});
    l->t->ignore_merges = cJSON_IsTrue(setting(l, "ignore_merges"));
    l->t->whole_newlines = cJSON_IsTrue(setting(l, "newlines"));
    l->t->pieces = tt_pieces_bpe_gguf;
    add_decoder(l, l->t->raw_bytes ? "ByteFallback" : "ByteLevel", NULL, false);
    if (l->t->raw_bytes)
        add_decoder(l, "Metaspace", SPACE_MARK, false);
    return read_merges(l);
}

static void add_each(struct loader *l, tt_each *each)
{
    tt_steps_add(&l->t->split, &(struct tt_step){.rewrite = tt_rewrite_each, .each = each});
}

static void add_class(struct loader *l, tt_class *class, enum tt_behavior behavior)
{
    tt_steps_add(&l->t->split, &(struct tt_step){.find = tt_find_class, .class = class, .behavior = behavior});
}

static int read_words(struct loader *l)
{
    double lower = 1, strip;
    tt_model_number(l->model, KEY("normalizer.lowercase"), &lower);
    if (!tt_model_number(l->model, KEY("normalizer.strip_accents"), &strip))
        strip = lower;
    if (strip != 0)
        add_each(l, tt_each_base);
    add_each(l, tt_each_word_clean);
    if (strip != 0)
        add_each(l, tt_each_without_marks);
    add_class(l, tt_is_space, TT_REMOVED);
    if (lower != 0)
        add_each(l, tt_each_simple_lower);
    add_class(l, tt_is_punctuation, TT_ISOLATED);
    add_class(l, tt_is_ideograph, TT_ISOLATED);
    tt_steps_add(&l->t->split, &(struct tt_step){.rewrite = tt_rewrite_prepend, .content = tt_strdup(SPACE_MARK)});
    add_decoder(l, "Metaspace", SPACE_MARK, true);
    l->t->pieces = tt_pieces_greedy;
    return 0;
}

static int read_charsmap(struct loader *l, struct tt_charsmap **map)
{
    size_t count = tt_model_array_length(l->model, KEY("precompiled_charsmap"));
    struct tt_error reason = {0};
    if (!count)
        return 0;
    uint8_t *bytes = tt_alloc(count);
    for (size_t i = 0; i < count; i++) {
        double byte = 0;
        tt_model_array_number(l->model, KEY("precompiled_charsmap"), i, &byte);
        bytes[i] = (uint8_t)(int)byte;
    }
    *map = tt_charsmap_new(bytes, count, &reason);
    free(bytes);
    return *map ? 0 : FAIL(l, "%s", reason.message);
}

static int read_unigram(struct loader *l)
{
    struct tt_vocabulary *v = &l->t->vocabulary;
    struct tt_step step = {.rewrite = tt_rewrite_unigram_text, .content = tt_strdup(SPACE_MARK)};
    bool suffix = flag_of(l, KEY("treat_whitespace_as_suffix"), "suffix");
    double least = INFINITY;
    for (size_t i = 0; i < v->size; i++) {
        struct tt_piece *piece = &v->pieces[i];
        if (piece->type == NORMAL)
            least = fmin(least, piece->score);
        if (piece->type == USER_DEFINED)
            piece->score = 0;
        if (piece->type == NORMAL || piece->type == USER_DEFINED || piece->type == UNUSED)
            tt_trie_add(&l->t->words, v->text.text + piece->offset, piece->length, (int32_t)i);
    }
    l->t->unknown_score = (isfinite(least) ? least : 0) - 10;
    step.left = !suffix && flag_of(l, KEY("add_space_prefix"), "add_space_prefix");
    step.right = suffix && flag_of(l, KEY("add_space_prefix"), "add_space_prefix");
    step.number = flag_of(l, KEY("remove_extra_whitespaces"), "remove_extra_whitespaces");
    int failed = read_charsmap(l, &step.charsmap);
    tt_steps_add(&l->t->split, &step);
    add_decoder(l, "Metaspace", SPACE_MARK, false);
    add_decoder(l, "Fuse", NULL, false);
    if (step.left)
        add_decoder(l, "Strip", " ", false);
    l->t->pieces = tt_pieces_unigram;
    return failed;
}

/* ---- what is put around a text ---- */

static void read_template(struct loader *l)
{
    struct tt_tokenizer *t = l->t;
    int32_t separator = id_of(l, KEY("seperator_token_id"), "separator"); /* spelt so in the format */
    int32_t eos = separator >= 0 && setting(l, "separator") ? separator : id_of(l, KEY("eos_token_id"), "eos");
    bool always = setting(l, "separator") != NULL;
    t->bos = id_of(l, KEY("bos_token_id"), "bos");
    t->unknown = id_of(l, KEY("unknown_token_id"), "unknown");
    t->template = tt_alloc_array(3, sizeof *t->template);
    if (t->bos >= 0 && (always || flag_of(l, cJSON_IsTrue(setting(l, "newlines")) ? NULL : KEY("add_bos_token"), "add_bos")))
        t->template[t->ntemplate++] = t->bos;
    t->template[t->ntemplate++] = TT_TEMPLATE_TEXT;
    if (eos >= 0 && (always || flag_of(l, KEY("add_eos_token"), "add_eos")))
        t->template[t->ntemplate++] = eos;
}

static const struct {
    const char *name;
    int (*read)(struct loader *l);
} kinds[] = {{"scores", read_scores}, {"merges", read_ranks}, {"words", read_words}, {"unigram", read_unigram}};

static int read_kind(struct loader *l, const char *name)
{
    const char *wanted = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(l->kind, "kind"));
    for (size_t i = 0; wanted && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, wanted) == 0)
            return kinds[i].read(l);
    return FAIL(l, "tokenizer.ggml.model '%s' is not supported", name);
}

static int read_all(struct loader *l)
{
    const char *name = NULL;
    if (!tt_model_string(l->model, KEY("model"), &name))
        return FAIL(l, "the file has no tokenizer");
    l->kind = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(l->data, "models"), name);
    l->t->kind = tt_strdup(name);
    if (read_vocabulary(l) || read_kind(l, name))
        return -1;
    read_special(l);
    read_template(l);
    return 0;
}

int tt_tokenizer_load_gguf(struct tt_tokenizer *t, const struct tt_model *model, const char *data, struct tt_error *error)
{
    char *path = tt_format("%s/tokenizers/gguf.json", data);
    struct loader l = {.t = t, .model = model, .data = tt_json_read(path, error), .error = error};
    free(path);
    t->path = tt_strdup(tt_model_path(model));
    int failed = l.data ? read_all(&l) : -1;
    cJSON_Delete((cJSON *)l.data);
    return failed;
}
