/* SPDX-License-Identifier: Apache-2.0
 *
 * Small text tools. Nothing here knows of options, captures or terminals.
 */
#include "base/text.h"

#include <errno.h>
#include <fnmatch.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"

#define LONGEST_WORD 64 /* longer words are not suggested for */

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Edit distance with neighbouring letters swapped counted as one edit (optimal string alignment). */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][LONGEST_WORD + 1];
    size_t la = strlen(a), lb = strlen(b);
    if (la > LONGEST_WORD || lb > LONGEST_WORD)
        return SIZE_MAX;
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= lb; j++)
        last[j] = j;
    for (size_t i = 1; i <= la; i++) {
        now[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            now[j] = smallest(last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
        size_t *freed = before;
        before = last, last = now, now = freed;
    }
    return last[lb];
}

const char *tt_nearest(const char *word, const char *const *words, size_t count)
{
    const char *best = NULL;
    size_t length = strlen(word), best_distance = length / 3 + 2; /* "md" may become "me", not "ls" */
    if (length < 3)
        best_distance = 2;
    for (size_t i = 0; i < count; i++) {
        if (!words[i])
            continue;
        bool prefix = length >= 2 && strncmp(word, words[i], length) == 0;
        size_t distance = prefix ? 0 : edit_distance(word, words[i]);
        if (distance < best_distance && distance < strlen(words[i])) {
            best = words[i];
            best_distance = distance;
        }
    }
    return best;
}

bool tt_glob(const char *pattern, const char *text)
{
    return fnmatch(pattern, text, 0) == 0;
}

bool tt_parse_integer(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    long long parsed = strtoll(text, &end, 10);
    if (end == text || *end || errno)
        return false;
    *value = parsed;
    return true;
}

bool tt_parse_number(const char *text, double *value)
{
    char *end;
    double parsed = strtod(text, &end);
    if (end == text || *end || !isfinite(parsed))
        return false;
    *value = parsed;
    return true;
}

bool tt_parse_size(const char *text, uint64_t *bytes)
{
    static const char suffixes[] = "kmgt";
    char *end;
    double parsed = strtod(text, &end);
    if (end == text || !isfinite(parsed) || parsed < 0)
        return false;
    const char *suffix = *end ? strchr(suffixes, *end | 0x20) : NULL;
    if (suffix) {
        parsed = ldexp(parsed, 10 * (int)(suffix - suffixes + 1));
        end++;
        if (strcasecmp(end, "iB") == 0)
            end += 2;
    }
    if (strcasecmp(end, "B") == 0)
        end++;
    if (*end || parsed >= 0x1p63)
        return false;
    *bytes = (uint64_t)parsed;
    return true;
}

static void reserve(struct tt_string *text, size_t more)
{
    size_t needed = text->length + more + 1;
    if (needed <= text->capacity)
        return;
    text->capacity = needed < 64 ? 64 : needed + needed / 2;
    text->text = tt_grow(text->text, text->capacity, 1);
}

void tt_string_add_bytes(struct tt_string *text, const char *bytes, size_t count)
{
    reserve(text, count);
    memcpy(text->text + text->length, bytes, count);
    text->length += count;
    text->text[text->length] = 0;
}

void tt_string_add(struct tt_string *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    if (length > 0) {
        reserve(text, (size_t)length);
        vsnprintf(text->text + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
    va_end(arguments);
}

void tt_string_free(struct tt_string *text)
{
    free(text->text);
    *text = (struct tt_string){0};
}

void tt_print_wrapped(FILE *out, const char *text, int column, int width)
{
    int at = column;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (at > column && at + 1 + (int)word > width) {
            fprintf(out, "\n%*s", column, "");
            at = column;
        } else if (at > column) {
            fputc(' ', out);
            at++;
        }
        fwrite(text, 1, word, out);
        at += (int)word;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}
