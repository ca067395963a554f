/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids back to text: a chain of decoders, each of which makes new texts of the tokens' texts.
 */
#include <stdlib.h>
#include <string.h>

#include "tokenizer/private.h"

struct parts {
    struct tt_string *items;
    size_t count;
};

struct tt_decoder_kind {
    const char *name;
    int (*run)(const struct tt_decoder *decoder, struct parts *parts, struct tt_error *error);
};

static struct tt_string *new_part(struct parts *parts)
{
    parts->items = tt_grow(parts->items, parts->count + 1, sizeof *parts->items);
    parts->items[parts->count] = (struct tt_string){0};
    tt_string_add_bytes(&parts->items[parts->count], "", 0);
    return &parts->items[parts->count++];
}

static void parts_free(struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++)
        tt_string_free(&parts->items[i]);
    free(parts->items);
    *parts = (struct parts){0};
}

static void replace_part(struct tt_string *part, struct tt_string with)
{
    tt_string_free(part);
    if (!with.text)
        tt_string_add_bytes(&with, "", 0);
    *part = with;
}

/* Every `what` becomes `with`. */
static void replace_all(struct tt_string *part, const char *what, const char *with)
{
    struct tt_string out = {0};
    size_t length = strlen(what);
    const char *at = part->text, *end = part->text + part->length, *hit;
    if (!length || !memmem(part->text, part->length, what, length))
        return;
    for (; (hit = memmem(at, (size_t)(end - at), what, length)); at = hit + length) {
        tt_string_add_bytes(&out, at, (size_t)(hit - at));
        tt_string_add(&out, "%s", with);
    }
    tt_string_add_bytes(&out, at, (size_t)(end - at));
    replace_part(part, out);
}

static void fuse(struct parts *parts)
{
    struct parts one = {0};
    struct tt_string *all = new_part(&one);
    for (size_t i = 0; i < parts->count; i++)
        tt_string_add_bytes(all, parts->items[i].text, parts->items[i].length);
    parts_free(parts);
    *parts = one;
}

/* ---- the decoders ---- */

static int run_fuse(const struct tt_decoder *decoder, struct parts *parts, struct tt_error *error)
{
    (void)decoder;
    (void)error;
    fuse(parts);
    return 0;
}

/* A token with a character that stands for no byte is taken as it is. */
static void to_bytes(struct tt_string *part)
{
    struct tt_string out = {0};
    for (size_t at = 0; at < part->length;) {
        int byte = tt_character_byte(tt_utf8_next(part->text, part->length, &at));
        if (byte < 0) {
            tt_string_free(&out);
            return;
        }
        char c = (char)byte;
        tt_string_add_bytes(&out, &c, 1);
    }
    replace_part(part, out);
}

static int run_byte_level(const struct tt_decoder *decoder, struct parts *parts, struct tt_error *error)
{
    (void)decoder;
    (void)error;
    for (size_t i = 0; i < parts->count; i++)
        to_bytes(&parts->items[i]);
    fuse(parts);
    return 0;
}

/* content: the mark; flag: the first token's marks are dropped. */
static int run_metaspace(const struct tt_decoder *decoder, struct parts *parts, struct tt_error *error)
{
    (void)error;
    for (size_t i = 0; i < parts->count; i++)
        replace_all(&parts->items[i], decoder->content, i == 0 && decoder->flag ? "" : " ");
    return 0;
}

static void clean_up(struct tt_string *part)
{
    static const char *const pairs[][2] = {{" .", "."},     {" ?", "?"},     {" !", "!"},           {" ,", ","},
                                           {" ' ", "'"},    {" n't", "n't"}, {" 'm", "'m"},         {" do not", " don't"},
                                           {" 's", "'s"},   {" 've", "'ve"}, {" 're", "'re"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        replace_all(part, pairs[i][0], pairs[i][1]);
}

/* content: the prefix of continuing pieces; flag: blanks before punctuation go. */
static int run_wordpiece(const struct tt_decoder *decoder, struct parts *parts, struct tt_error *error)
{
    size_t prefix = strlen(decoder->content);
    (void)error;
    for (size_t i = 0; i < parts->count; i++) {
        struct tt_string *part = &parts->items[i], out = {0};
        bool continues = part->length >= prefix && memcmp(part->text, decoder->content, prefix) == 0;
        if (i) {
            tt_string_add(&out, "%s", continues ? "" : " ");
            tt_string_add_bytes(&out, part->text + (continues ? prefix : 0), part->length - (continues ? prefix : 0));
            replace_part(part, out);
        }
        if (decoder->flag)
            clean_up(part);
    }
    return 0;
}

/* content: the suffix of a word's last piece */
static int run_bpe(const struct tt_decoder *decoder, struct parts *parts, struct tt_error *error)
{
    (void)error;
    for (size_t i = 0; i < parts->count; i++)
        replace_all(&parts->items[i], decoder->content, i + 1 == parts->count ? "" : " ");
    return 0;
}

static int run_replace(const struct tt_decoder *decoder, struct parts *parts, struct tt_error *error)
{
    struct tt_matches matches = {0};
    int failed = 0;
    for (size_t i = 0; i < parts->count && !failed; i++) {
        struct tt_string *part = &parts->items[i], out = {0};
        matches.count = 0;
        failed = tt_pattern_find(decoder->pattern, part->text, part->length, &matches, error);
        for (size_t j = 0; j < matches.count && !failed; j++) {
            const struct tt_match *m = &matches.items[j];
            if (m->found)
                tt_string_add(&out, "%s", decoder->content);
            else
                tt_string_add_bytes(&out, part->text + m->from, m->to - m->from);
        }
        replace_part(part, out);
    }
    free(matches.items);
    return failed;
}

/* The byte of "<0x41>", -1: another token. */
static int byte_of(const struct tt_string *part)
{
    if (part->length != 6 || memcmp(part->text, "<0x", 3) != 0 || part->text[5] != '>' ||
        strspn(part->text + 3, "0123456789abcdefABCDEF") != 2)
        return -1;
    return (int)strtol(part->text + 3, NULL, 16);
}

/* Bytes that make no UTF-8 together become one U+FFFD each. */
static void flush_bytes(struct tt_string *bytes, struct parts *out)
{
    if (bytes->length && tt_utf8_prefix(bytes->text, bytes->length) == bytes->length)
        tt_string_add_bytes(new_part(out), bytes->text, bytes->length);
    else
        for (size_t i = 0; i < bytes->length; i++)
            tt_string_add(new_part(out), "\xef\xbf\xbd");
    bytes->length = 0;
}

static int run_byte_fallback(const struct tt_decoder *decoder, struct parts *parts, struct tt_error *error)
{
    struct parts out = {0};
    struct tt_string bytes = {0};
    (void)decoder;
    (void)error;
    for (size_t i = 0; i < parts->count; i++) {
        int byte = byte_of(&parts->items[i]);
        char c = (char)byte;
        if (byte >= 0) {
            tt_string_add_bytes(&bytes, &c, 1);
            continue;
        }
        flush_bytes(&bytes, &out);
        tt_string_add_bytes(new_part(&out), parts->items[i].text, parts->items[i].length);
    }
    flush_bytes(&bytes, &out);
    tt_string_free(&bytes);
    parts_free(parts);
    *parts = out;
    return 0;
}

/* content: one character; up to `start` of it go at the beginning of each part, up to `stop` at its end. */
static int run_strip(const struct tt_decoder *decoder, struct parts *parts, struct tt_error *error)
{
    size_t length = strlen(decoder->content);
    (void)error;
    for (size_t i = 0; i < parts->count; i++) {
        struct tt_string *part = &parts->items[i], out = {0};
        size_t from = 0, to = part->length;
        for (int n = 0; n < decoder->start && to - from >= length && memcmp(part->text + from, decoder->content, length) == 0; n++)
            from += length;
        for (int n = 0; n < decoder->stop && to - from >= length && memcmp(part->text + to - length, decoder->content, length) == 0;
             n++)
            to -= length;
        tt_string_add_bytes(&out, part->text + from, to - from);
        replace_part(part, out);
    }
    return 0;
}

static const struct tt_decoder_kind kinds[] = {
    {"Fuse", run_fuse},       {"ByteLevel", run_byte_level}, {"Metaspace", run_metaspace},
    {"WordPiece", run_wordpiece}, {"BPEDecoder", run_bpe},   {"Replace", run_replace},
    {"ByteFallback", run_byte_fallback}, {"Strip", run_strip},
};

bool tt_decoders_add(struct tt_decoders *decoders, const char *name, const struct tt_decoder *settings)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, name) != 0)
            continue;
        decoders->items = tt_grow(decoders->items, decoders->count + 1, sizeof *decoders->items);
        decoders->items[decoders->count] = *settings;
        decoders->items[decoders->count++].kind = &kinds[i];
        return true;
    }
    return false;
}

void tt_decoders_free(struct tt_decoders *decoders)
{
    for (size_t i = 0; i < decoders->count; i++) {
        tt_pattern_free(decoders->items[i].pattern);
        free(decoders->items[i].content);
    }
    free(decoders->items);
    free(decoders->unsupported);
}

/* ---- the chain ---- */

static int pieces_of(const struct tt_tokenizer *t, const int32_t *ids, size_t count, struct parts *parts, struct tt_error *error)
{
    for (size_t i = 0; i < count; i++) {
        size_t length;
        const char *piece = tt_token_piece(t, ids[i], &length);
        if (!piece)
            return tt_fail(error, TT_EINPUT, "token %d is not in the vocabulary of %s", ids[i], t->path);
        tt_string_add_bytes(new_part(parts), piece, length);
    }
    return 0;
}

char *tt_detokenize(const struct tt_tokenizer *t, const int32_t *ids, size_t count, size_t *length, struct tt_error *error)
{
    struct parts parts = {0};
    struct tt_string text = {0};
    int failed = pieces_of(t, ids, count, &parts, error);
    if (!failed && t->decoders.unsupported)
        failed = tt_fail(error, TT_EINPUT, "%s: decoder '%s' is not supported; its tokens cannot be made text", t->path,
                         t->decoders.unsupported);
    for (size_t i = 0; i < t->decoders.count && !failed; i++)
        failed = t->decoders.items[i].kind->run(&t->decoders.items[i], &parts, error);
    tt_string_add_bytes(&text, "", 0);
    for (size_t i = 0; i < parts.count && !failed; i++) {
        if (i && t->joined_by_spaces)
            tt_string_add_bytes(&text, " ", 1);
        tt_string_add_bytes(&text, parts.items[i].text, parts.items[i].length);
    }
    *length = text.length;
    parts_free(&parts);
    if (failed)
        tt_string_free(&text);
    return failed ? NULL : text.text;
}
