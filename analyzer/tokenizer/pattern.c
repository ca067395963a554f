/* SPDX-License-Identifier: Apache-2.0
 *
 * Patterns of tokenizer files, matched by PCRE2 with its compiler to machine code where there is one.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/private.h"

struct tt_pattern {
    pcre2_code *code;
    pcre2_match_data *found;
};

static pcre2_code *compile(const char *text, bool literal, struct tt_error *error)
{
    int reason;
    PCRE2_SIZE place;
    PCRE2_UCHAR message[160];
    uint32_t flags = literal ? PCRE2_LITERAL | PCRE2_UTF : PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, flags, &reason, &place, context);
    pcre2_compile_context_free(context);
    if (!code) {
        pcre2_get_error_message(reason, message, sizeof message);
        while (place && ((unsigned char)text[place] & 0xc0) == 0x80)
            place--;
        tt_fail(error, TT_EINPUT, "%s, at '%.*s'", (char *)message, tt_utf8_cut(text + place, 20), text + place);
    }
    return code;
}

/* Names in \p{…} are scripts first, other properties (Alphabetic) where there is no such script. */
static pcre2_code *compile_translated(const char *text, struct tt_error *error)
{
    pcre2_code *code = NULL;
    for (int scripts = 1; scripts >= 0 && !code; scripts--) {
        char *translated = tt_pattern_translate(text, scripts, error);
        if (!translated)
            return NULL;
        code = compile(translated, false, error);
        free(translated);
    }
    return code;
}

struct tt_pattern *tt_pattern_new(const char *text, bool literal, struct tt_error *error)
{
    struct tt_error reason = {0};
    pcre2_code *code = literal ? compile(text, true, &reason) : compile_translated(text, &reason);
    if (!code) {
        tt_fail(error, TT_EINPUT, "pattern '%.*s': %s", tt_utf8_cut(text, 200), text, reason.message);
        return NULL;
    }
    struct tt_pattern *pattern = tt_alloc(sizeof *pattern);
    pattern->code = code;
    pattern->found = pcre2_match_data_create_from_pattern(code, NULL);
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* without it the interpreter matches */
    return pattern;
}

void tt_pattern_free(struct tt_pattern *pattern)
{
    if (!pattern)
        return;
    pcre2_match_data_free(pattern->found);
    pcre2_code_free(pattern->code);
    free(pattern);
}

/* 1: matched, 0: not, -1 with *error. */
static int match_from(const struct tt_pattern *pattern, const char *text, size_t length, size_t at, struct tt_error *error)
{
    int result = pcre2_match(pattern->code, (PCRE2_SPTR)text, length, at, PCRE2_NO_UTF_CHECK, pattern->found, NULL);
    PCRE2_UCHAR message[160];
    if (result >= 0 || result == PCRE2_ERROR_NOMATCH)
        return result >= 0;
    pcre2_get_error_message(result, message, sizeof message);
    return tt_fail(error, TT_EINPUT, "a split pattern cannot be matched on %zu bytes of text: %s", length, (char *)message);
}

/* An empty match right behind the one before does not count: the search goes on one character further. */
int tt_pattern_find(const struct tt_pattern *pattern, const char *text, size_t length, struct tt_matches *out,
                    struct tt_error *error)
{
    const PCRE2_SIZE *place = pcre2_get_ovector_pointer(pattern->found);
    size_t at = 0, last = SIZE_MAX, covered = 0;
    int matched = 0;
    while (at <= length && (matched = match_from(pattern, text, length, at, error)) > 0) {
        size_t from = place[0], to = place[1];
        if (from == to && to == last) {
            at += at < length ? tt_utf8_length((unsigned char)text[at]) : 1;
            continue;
        }
        if (covered != from)
            tt_matches_add(out, covered, from, false);
        tt_matches_add(out, from, to, true);
        at = last = covered = to;
    }
    if (covered != length)
        tt_matches_add(out, covered, length, false);
    return matched < 0 ? -1 : 0;
}
