/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps that rewrite a text: Unicode's normal forms, per character, strip, replace, prepend, bytes as characters.
 */
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "tokenizer/private.h"

/* ---- normal forms ---- */

static utf8proc_option_t options_of(int form)
{
    static const int options[] = {[TT_NFD] = UTF8PROC_DECOMPOSE,
                                  [TT_NFC] = UTF8PROC_COMPOSE,
                                  [TT_NFKD] = UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
                                  [TT_NFKC] = UTF8PROC_COMPOSE | UTF8PROC_COMPAT};
    return (utf8proc_option_t)(options[form] | UTF8PROC_STABLE);
}

/* Whether nothing before a character can change what becomes of it: neither reordering nor composition. */
static bool begins_segment(int32_t character)
{
    utf8proc_int32_t first[64];
    int class = 0;
    if (character < 0x80)
        return true;
    if (utf8proc_decompose_char(character, first, 64, options_of(TT_NFKD), &class) < 1)
        return true;
    const utf8proc_property_t *property = utf8proc_get_property(first[0]);
    return property->combining_class == 0 && property->boundclass != UTF8PROC_BOUNDCLASS_EXTEND &&
           property->boundclass != UTF8PROC_BOUNDCLASS_SPACINGMARK && property->boundclass != UTF8PROC_BOUNDCLASS_V &&
           property->boundclass != UTF8PROC_BOUNDCLASS_T;
}

static int add_normal_form(const struct tt_aligned *text, size_t from, size_t to, int form, struct tt_aligned *out,
                           struct tt_error *error)
{
    utf8proc_option_t options = options_of(form);
    const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)text->text + from;
    utf8proc_ssize_t n = utf8proc_decompose(bytes, (utf8proc_ssize_t)(to - from), NULL, 0, options);
    utf8proc_int32_t *characters = tt_alloc_array(n < 0 ? 1 : (size_t)n + 1, sizeof *characters);
    if (n >= 0)
        n = utf8proc_decompose(bytes, (utf8proc_ssize_t)(to - from), characters, n, options);
    if (n >= 0)
        n = utf8proc_normalize_utf32(characters, n, options);
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        char encoded[TT_UTF8_MAX];
        tt_aligned_add(out, encoded, tt_utf8_put(characters[i], encoded), text->start[from], text->end[to - 1]);
    }
    free(characters);
    return n < 0 ? tt_fail(error, TT_ESYSTEM, "cannot normalise the text: %s", utf8proc_errmsg(n)) : 0;
}

int tt_rewrite_unicode(const struct tt_step *step, const struct tt_view *in, struct tt_aligned *out, struct tt_error *error)
{
    const struct tt_aligned *text = in->text;
    int failed = 0;
    for (size_t at = in->from; at < in->to && !failed;) {
        size_t from = at;
        bool ascii = (unsigned char)text->text[at] < 0x80;
        tt_utf8_next(text->text, in->to, &at);
        for (size_t next = at; next < in->to && !begins_segment(tt_utf8_next(text->text, in->to, &next)); at = next)
            ascii = false;
        if (ascii)
            tt_aligned_copy(out, text, from, at);
        else
            failed = add_normal_form(text, from, at, step->number, out, error);
    }
    return failed;
}

/* ---- per character ---- */

int tt_rewrite_each(const struct tt_step *step, const struct tt_view *in, struct tt_aligned *out, struct tt_error *error)
{
    (void)error;
    for (size_t at = in->from; at < in->to;) {
        size_t from = at;
        char bytes[16];
        size_t count = step->each(tt_utf8_next(in->text->text, in->to, &at), bytes);
        tt_aligned_add(out, bytes, count, in->text->start[from], in->text->end[at - 1]);
    }
    return 0;
}

size_t tt_each_lower(int32_t c, char *out)
{
    if (c == 0x130) { /* the one capital with two characters below it */
        memcpy(out, "i\xcc\x87", 3);
        return 3;
    }
    return tt_utf8_put(tt_lower(c), out);
}

/* Controls go, whatever white space becomes a blank. */
size_t tt_each_clean(int32_t c, char *out)
{
    if (tt_is_space(c) && (c == '\t' || c == '\n' || c == '\r' || !tt_is_other(c)))
        c = ' ';
    if (c == 0 || c == 0xfffd || (tt_is_other(c) && c != ' '))
        return 0;
    return tt_utf8_put(c, out);
}

size_t tt_each_spaced(int32_t c, char *out)
{
    size_t n = 0;
    if (!tt_is_ideograph(c))
        return tt_utf8_put(c, out);
    out[n++] = ' ';
    n += tt_utf8_put(c, out + n);
    out[n++] = ' ';
    return n;
}

size_t tt_each_without_marks(int32_t c, char *out)
{
    return tt_is_mark(c) ? 0 : tt_utf8_put(c, out);
}

size_t tt_each_without_nonspacing(int32_t c, char *out)
{
    return tt_is_nonspacing(c) ? 0 : tt_utf8_put(c, out);
}

size_t tt_each_nmt(int32_t c, char *out)
{
    bool dropped = (c >= 1 && c <= 8) || c == 0x0b || (c >= 0x0e && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f;
    bool blank = c == 9 || c == 0x0a || c == 0x0c || c == 0x0d || c == 0x1680 || (c >= 0x200b && c <= 0x200f) || c == 0x2028 ||
                 c == 0x2029 || c == 0x2581 || c == 0xfeff || c == 0xfffd;
    return dropped ? 0 : tt_utf8_put(blank ? ' ' : c, out);
}

/* White space stays what it is: it is split at. */
size_t tt_each_word_clean(int32_t c, char *out)
{
    bool dropped = !tt_is_space(c) && (c == 0 || c == 0xfffd || tt_is_other(c));
    return dropped ? 0 : tt_utf8_put(c, out);
}

/* The first character of what it decomposes into. */
size_t tt_each_base(int32_t c, char *out)
{
    utf8proc_int32_t parts[64];
    int class = 0;
    if (c >= 0x80 && utf8proc_decompose_char(c, parts, 64, options_of(TT_NFD), &class) > 0)
        c = parts[0];
    return tt_utf8_put(c, out);
}

size_t tt_each_simple_lower(int32_t c, char *out)
{
    return tt_utf8_put(tt_lower(c), out);
}

/* ---- texts ---- */

int tt_rewrite_strip(const struct tt_step *step, const struct tt_view *in, struct tt_aligned *out, struct tt_error *error)
{
    size_t from = in->from, to = in->from;
    (void)error;
    for (size_t at = in->from; at < in->to;) {
        size_t begin = at;
        bool space = tt_is_space(tt_utf8_next(in->text->text, in->to, &at));
        if (space && step->left && begin == from && to == from)
            from = to = at;
        else if (!space || !step->right)
            to = at;
    }
    tt_aligned_copy(out, in->text, from, to);
    return 0;
}

/* What is put in stands for the last character of what was there, as in the library that defines the format. */
static void add_replacement(const struct tt_step *step, const struct tt_aligned *text, size_t to, struct tt_aligned *out)
{
    uint32_t start = to ? text->start[to - 1] : 0, end = to ? text->end[to - 1] : 0;
    for (size_t first = to; first-- > 0;) {
        start = text->start[first];
        if (((unsigned char)text->text[first] & 0xc0) != 0x80)
            break;
    }
    tt_aligned_add(out, step->content, strlen(step->content), start, end);
}

int tt_rewrite_replace(const struct tt_step *step, const struct tt_view *in, struct tt_aligned *out, struct tt_error *error)
{
    struct tt_matches matches = {0};
    int failed = tt_pattern_find(step->pattern, in->text->text + in->from, in->to - in->from, &matches, error);
    for (size_t i = 0; i < matches.count && !failed; i++) {
        const struct tt_match *m = &matches.items[i];
        if (m->found)
            add_replacement(step, in->text, in->from + m->to, out);
        else
            tt_aligned_copy(out, in->text, in->from + m->from, in->from + m->to);
    }
    free(matches.items);
    return failed;
}

static bool wanted(const struct tt_step *step, const struct tt_view *in)
{
    size_t length = strlen(step->content);
    bool there = in->to - in->from >= length && memcmp(in->text->text + in->from, step->content, length) == 0;
    switch (step->number) {
    case TT_PREPEND_FIRST:
        return !there && in->text->start[in->from] == 0;
    case TT_PREPEND_AFTER_TOKEN:
        return in->after_token;
    case TT_PREPEND_NEVER:
        return false;
    default:
        return !(step->unless_there && there);
    }
}

int tt_rewrite_prepend(const struct tt_step *step, const struct tt_view *in, struct tt_aligned *out, struct tt_error *error)
{
    (void)error;
    if (in->from < in->to && wanted(step, in))
        tt_aligned_add(out, step->content, strlen(step->content), in->text->start[in->from], in->text->start[in->from]);
    tt_aligned_copy(out, in->text, in->from, in->to);
    return 0;
}

int tt_rewrite_bytes(const struct tt_step *step, const struct tt_view *in, struct tt_aligned *out, struct tt_error *error)
{
    static char characters[256][2];
    static unsigned char lengths[256];
    (void)step;
    (void)error;
    for (int byte = 0; byte < 256 && !lengths[255]; byte++)
        lengths[byte] = (unsigned char)tt_utf8_put(tt_byte_character((unsigned char)byte), characters[byte]);
    for (size_t at = in->from; at < in->to; at++) {
        unsigned char byte = (unsigned char)in->text->text[at];
        tt_aligned_add(out, characters[byte], lengths[byte], in->text->start[at], in->text->end[at]);
    }
    return 0;
}
