/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of a tokenizer.json as steps: one table a kind of part, one row a type. A type that has no row, and a member
 * that a row does not list, are refused: they would change ids.
 */
#include <stdlib.h>
#include <string.h>

#include "tokenizer/private.h"

/* ---- reading members ---- */

static bool is_word_of(const char *word, const char *words)
{
    size_t length = strlen(word);
    for (const char *at = words; *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");
        if (n == length && memcmp(at, word, n) == 0)
            return true;
        at += n;
    }
    return false;
}

int tt_json_members(struct tt_json_parts *parts, const cJSON *item, const char *where, const char *known)
{
    const cJSON *member;
    if (!cJSON_IsObject(item))
        return tt_fail(parts->error, TT_EINPUT, "%s: %s is no object", parts->path, where);
    cJSON_ArrayForEach (member, item)
        if (!cJSON_IsNull(member) && !is_word_of(member->string, known))
            return tt_fail(parts->error, TT_EINPUT, "%s: '%s' of %s is not supported; ids could differ. Give them with --tokens",
                           parts->path, member->string, where);
    return 0;
}

const char *tt_json_word(const cJSON *item, const char *name, const char *fallback)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, name));
    return text ? text : fallback;
}

bool tt_json_flag(const cJSON *item, const char *name, bool fallback)
{
    const cJSON *flag = cJSON_GetObjectItemCaseSensitive(item, name);
    return cJSON_IsBool(flag) ? cJSON_IsTrue(flag) : fallback;
}

static int number_of(const cJSON *item, const char *name, int fallback)
{
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(item, name);
    return cJSON_IsNumber(number) ? number->valueint : fallback;
}

/* "pattern": {"String": …} or {"Regex": …} */
static struct tt_pattern *pattern_of(struct tt_json_parts *parts, const cJSON *item, const char *type)
{
    const cJSON *pattern = cJSON_GetObjectItemCaseSensitive(item, "pattern");
    const char *literal = tt_json_word(pattern, "String", NULL), *expression = tt_json_word(pattern, "Regex", NULL);
    struct tt_error reason = {0};
    struct tt_pattern *made = literal || expression ? tt_pattern_new(literal ? literal : expression, literal != NULL, &reason)
                                                    : NULL;
    if (!made)
        tt_fail(parts->error, TT_EINPUT, "%s: %s: %s", parts->path, type,
                reason.message[0] ? reason.message : "no pattern that is a String or a Regex");
    return made;
}

static struct tt_pattern *own_pattern(const char *text, bool literal)
{
    return tt_pattern_new(text, literal, NULL);
}

/* ---- tables ---- */

struct part { /* a row */
    const char *type, *members;
    int (*make)(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out);
    struct tt_step step; /* where there is nothing to read */
};

static int make_part(struct tt_json_parts *parts, const cJSON *item, const struct part *table, const char *what,
                     struct tt_steps *out)
{
    const char *type = tt_json_word(item, "type", "?");
    const struct part *row = table;
    while (row->type && strcmp(row->type, type) != 0)
        row++;
    if (!row->type)
        return tt_fail(parts->error, TT_EINPUT, "%s: %s '%s' is not supported; give ids with --tokens", parts->path, what, type);
    if (tt_json_members(parts, item, type, row->members))
        return -1;
    if (row->make)
        return row->make(parts, item, out);
    tt_steps_add(out, &row->step);
    return 0;
}

static int make_all(struct tt_json_parts *parts, const cJSON *list, struct tt_steps *out,
                    int (*make)(struct tt_json_parts *, const cJSON *, struct tt_steps *))
{
    const cJSON *item;
    int failed = 0;
    cJSON_ArrayForEach (item, list)
        if (!failed)
            failed = make(parts, item, out);
    return failed;
}

/* ---- normalizers ---- */

static int normalizer(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out);

static int make_normalizers(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out)
{
    return make_all(parts, cJSON_GetObjectItemCaseSensitive(item, "normalizers"), out, normalizer);
}

static int make_bert(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out)
{
    bool lower = tt_json_flag(item, "lowercase", true);
    (void)parts;
    if (tt_json_flag(item, "clean_text", true))
        tt_steps_add(out, &(struct tt_step){.rewrite = tt_rewrite_each, .each = tt_each_clean});
    if (tt_json_flag(item, "handle_chinese_chars", true))
        tt_steps_add(out, &(struct tt_step){.rewrite = tt_rewrite_each, .each = tt_each_spaced});
    if (tt_json_flag(item, "strip_accents", lower)) {
        tt_steps_add(out, &(struct tt_step){.rewrite = tt_rewrite_unicode, .number = TT_NFD});
        tt_steps_add(out, &(struct tt_step){.rewrite = tt_rewrite_each, .each = tt_each_without_nonspacing});
    }
    if (lower)
        tt_steps_add(out, &(struct tt_step){.rewrite = tt_rewrite_each, .each = tt_each_lower});
    return 0;
}

static int make_strip(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out)
{
    (void)parts;
    tt_steps_add(out, &(struct tt_step){.rewrite = tt_rewrite_strip,
                                        .left = tt_json_flag(item, "strip_left", true),
                                        .right = tt_json_flag(item, "strip_right", true)});
    return 0;
}

static int make_replace(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out)
{
    struct tt_pattern *pattern = pattern_of(parts, item, "Replace");
    if (!pattern)
        return -1;
    tt_steps_add(out, &(struct tt_step){.rewrite = tt_rewrite_replace,
                                        .pattern = pattern,
                                        .content = tt_strdup(tt_json_word(item, "content", ""))});
    return 0;
}

static int make_prepend(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out)
{
    (void)parts;
    tt_steps_add(out, &(struct tt_step){.rewrite = tt_rewrite_prepend, .content = tt_strdup(tt_json_word(item, "prepend", ""))});
    return 0;
}

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Bytes of base64 text, the caller's; *count of them. */
static uint8_t *base64(const char *text, size_t *count)
{
    uint8_t *bytes = tt_alloc(strlen(text) / 4 * 3 + 4);
    uint32_t bits = 0;
    int held = 0;
    *count = 0;
    for (; *text; text++) {
        int digit = base64_digit(*text);
        if (digit < 0)
            continue;
        bits = bits << 6 | (uint32_t)digit;
        held += 6;
        if (held >= 8)
            bytes[(*count)++] = (uint8_t)(bits >> (held -= 8));
    }
    return bytes;
}

static int make_precompiled(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out)
{
    size_t count;
    struct tt_error reason = {0};
    const char *text = tt_json_word(item, "precompiled_charsmap", "");
    if (!*text)
        return 0;
    uint8_t *bytes = base64(text, &count);
    struct tt_charsmap *map = tt_charsmap_new(bytes, count, &reason);
    free(bytes);
    if (!map)
        return tt_fail(parts->error, TT_EINPUT, "%s: %s", parts->path, reason.message);
    tt_steps_add(out, &(struct tt_step){.rewrite = tt_rewrite_charsmap, .charsmap = map});
    return 0;
}

#define EACH(function) {.rewrite = tt_rewrite_each, .each = function}
#define FORM(form)     {.rewrite = tt_rewrite_unicode, .number = form}

static const struct part normalizers[] = {
    {"Sequence", "type normalizers", make_normalizers, {0}},
    {"BertNormalizer", "type clean_text handle_chinese_chars strip_accents lowercase", make_bert, {0}},
    {"NFC", "type", NULL, FORM(TT_NFC)},
    {"NFD", "type", NULL, FORM(TT_NFD)},
    {"NFKC", "type", NULL, FORM(TT_NFKC)},
    {"NFKD", "type", NULL, FORM(TT_NFKD)},
    {"Lowercase", "type", NULL, EACH(tt_each_lower)},
    {"StripAccents", "type", NULL, EACH(tt_each_without_marks)},
    {"Nmt", "type", NULL, EACH(tt_each_nmt)},
    {"ByteLevel", "type", NULL, {.rewrite = tt_rewrite_bytes}},
    {"Strip", "type strip_left strip_right", make_strip, {0}},
    {"Replace", "type pattern content", make_replace, {0}},
    {"Prepend", "type prepend", make_prepend, {0}},
    {"Precompiled", "type precompiled_charsmap", make_precompiled, {0}},
    {0},
};

static int normalizer(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out)
{
    return make_part(parts, item, normalizers, "normalizer", out);
}

int tt_json_normalizer(struct tt_json_parts *parts, const cJSON *item)
{
    return normalizer(parts, item, &parts->tokenizer->normalize);
}

/* ---- pre-tokenizers ---- */

static int pre_tokenizer(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out);

static int make_pre_tokenizers(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out)
{
    return make_all(parts, cJSON_GetObjectItemCaseSensitive(item, "pretokenizers"), out, pre_tokenizer);
}

static int make_byte_level(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out)
{
    (void)parts;
    if (tt_json_flag(item, "add_prefix_space", true))
        tt_steps_add(out, &(struct tt_step){.rewrite = tt_rewrite_prepend, .content = tt_strdup(" "), .unless_there = true});
    if (tt_json_flag(item, "use_regex", true))
        tt_steps_add(out, &(struct tt_step){.find = tt_find_pattern,
                                            .behavior = TT_ISOLATED,
                                            .pattern = own_pattern("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+|"
                                                                   " ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
                                                                   false)});
    tt_steps_add(out, &(struct tt_step){.rewrite = tt_rewrite_bytes});
    return 0;
}

static int find_word(const char *const *words, const char *word)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    return -1;
}

static int make_metaspace(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out)
{
    static const char *const schemes[] = {"always", "first", "never", NULL};
    const char *mark = tt_json_word(item, "replacement", "\xe2\x96\x81"), *scheme = tt_json_word(item, "prepend_scheme", "always");
    int prepend = find_word(schemes, scheme);
    if (prepend < 0)
        return tt_fail(parts->error, TT_EINPUT, "%s: Metaspace: prepend_scheme '%s' is not supported", parts->path, scheme);
    if (!tt_json_flag(item, "add_prefix_space", true))
        prepend = TT_PREPEND_NEVER;
    tt_steps_add(out, &(struct tt_step){.rewrite = tt_rewrite_replace, .pattern = own_pattern(" ", true), .content = tt_strdup(mark)});
    tt_steps_add(out, &(struct tt_step){.rewrite = tt_rewrite_prepend, .content = tt_strdup(mark), .number = prepend, .unless_there = true});
    if (tt_json_flag(item, "split", true))
        tt_steps_add(out, &(struct tt_step){.find = tt_find_pattern, .behavior = TT_MERGED_WITH_NEXT, .pattern = own_pattern(mark, true)});
    return 0;
}

static int behavior_of(struct tt_json_parts *parts, const cJSON *item, const char *type, enum tt_behavior *behavior)
{
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous", NULL};
    const char *name = tt_json_word(item, "behavior", "Isolated");
    int found = find_word(names, name);
    if (found < 0)
        return tt_fail(parts->error, TT_EINPUT, "%s: %s: behavior '%s' is not supported", parts->path, type, name);
    *behavior = (enum tt_behavior)found;
    return 0;
}

static int make_split(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out)
{
    struct tt_step step = {.find = tt_find_pattern, .invert = tt_json_flag(item, "invert", false)};
    if (behavior_of(parts, item, "Split", &step.behavior) || !(step.pattern = pattern_of(parts, item, "Split")))
        return -1;
    tt_steps_add(out, &step);
    return 0;
}

static int make_punctuation(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out)
{
    struct tt_step step = {.find = tt_find_class, .class = tt_is_punctuation};
    if (behavior_of(parts, item, "Punctuation", &step.behavior))
        return -1;
    tt_steps_add(out, &step);
    return 0;
}

static int make_digits(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out)
{
    bool each = tt_json_flag(item, "individual_digits", false);
    (void)parts;
    tt_steps_add(out, &(struct tt_step){.find = tt_find_class, .class = tt_is_number, .behavior = each ? TT_ISOLATED : TT_CONTIGUOUS});
    return 0;
}

static int make_bert_words(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out)
{
    (void)parts;
    (void)item;
    tt_steps_add(out, &(struct tt_step){.find = tt_find_class, .class = tt_is_space, .behavior = TT_REMOVED});
    tt_steps_add(out, &(struct tt_step){.find = tt_find_class, .class = tt_is_punctuation, .behavior = TT_ISOLATED});
    return 0;
}

static int make_delimiter(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out)
{
    (void)parts;
    tt_steps_add(out, &(struct tt_step){.find = tt_find_pattern,
                                        .behavior = TT_REMOVED,
                                        .pattern = own_pattern(tt_json_word(item, "delimiter", " "), true)});
    return 0;
}

static int make_fixed(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out)
{
    int length = number_of(item, "length", 5);
    if (length < 1)
        return tt_fail(parts->error, TT_EINPUT, "%s: FixedLength: a length of %d", parts->path, length);
    tt_steps_add(out, &(struct tt_step){.find = tt_find_fixed, .behavior = TT_ISOLATED, .number = length});
    return 0;
}

static const struct part pre_tokenizers[] = {
    {"Sequence", "type pretokenizers", make_pre_tokenizers, {0}},
    {"ByteLevel", "type add_prefix_space trim_offsets use_regex", make_byte_level, {0}},
    {"Metaspace", "type replacement prepend_scheme add_prefix_space split str_rep", make_metaspace, {0}},
    {"Split", "type pattern behavior invert", make_split, {0}},
    {"Punctuation", "type behavior", make_punctuation, {0}},
    {"Digits", "type individual_digits", make_digits, {0}},
    {"BertPreTokenizer", "type", make_bert_words, {0}},
    {"Whitespace", "type", NULL, {.find = tt_find_words, .behavior = TT_REMOVED}},
    {"WhitespaceSplit", "type", NULL, {.find = tt_find_class, .class = tt_is_space, .behavior = TT_REMOVED}},
    {"CharDelimiterSplit", "type delimiter", make_delimiter, {0}},
    {"FixedLength", "type length", make_fixed, {0}},
    {0},
};

static int pre_tokenizer(struct tt_json_parts *parts, const cJSON *item, struct tt_steps *out)
{
    return make_part(parts, item, pre_tokenizers, "pre_tokenizer", out);
}

int tt_json_pre_tokenizer(struct tt_json_parts *parts, const cJSON *item)
{
    return pre_tokenizer(parts, item, &parts->tokenizer->split);
}

/* ---- decoders: what is not known is told when something is decoded ---- */

static char *decoder_content(const cJSON *item, const char *type)
{
    static const char *const members[][3] = {{"Metaspace", "replacement", "\xe2\x96\x81"}, {"WordPiece", "prefix", "##"},
                                             {"BPEDecoder", "suffix", "</w>"},            {"Replace", "content", ""},
                                             {"Strip", "content", " "}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (strcmp(members[i][0], type) == 0)
            return tt_strdup(tt_json_word(item, members[i][1], members[i][2]));
    return NULL;
}

int tt_json_decoder(struct tt_json_parts *parts, const cJSON *item)
{
    struct tt_decoders *decoders = &parts->tokenizer->decoders;
    const char *type = tt_json_word(item, "type", "?");
    const cJSON *inner;
    int failed = 0;
    if (strcmp(type, "Sequence") == 0) {
        cJSON_ArrayForEach (inner, cJSON_GetObjectItemCaseSensitive(item, "decoders"))
            failed = failed ? failed : tt_json_decoder(parts, inner);
        return failed;
    }
    bool never = strcmp(tt_json_word(item, "prepend_scheme", "always"), "never") == 0;
    struct tt_decoder settings = {.content = decoder_content(item, type),
                                  .start = number_of(item, "start", 0),
                                  .stop = number_of(item, "stop", 0),
                                  .flag = strcmp(type, "Metaspace") == 0 ? !never && tt_json_flag(item, "add_prefix_space", true)
                                                                         : tt_json_flag(item, "cleanup", true)};
    if (strcmp(type, "Replace") == 0 && !(settings.pattern = pattern_of(parts, item, type)))
        failed = -1;
    if (!failed && tt_decoders_add(decoders, type, &settings))
        return 0;
    free(settings.content);
    tt_pattern_free(settings.pattern);
    if (!failed && !decoders->unsupported)
        decoders->unsupported = tt_strdup(type);
    return failed;
}
