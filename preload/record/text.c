/* SPDX-License-Identifier: Apache-2.0
 *
 * Growing text and JSON strings (text.h).
 */
#include "record/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(struct tt_text *text, size_t more)
{
    size_t need = text->length + more + 1;
    if (need <= text->capacity)
        return true;
    size_t capacity = need + need / 2 + 64;
    char *bytes = realloc(text->bytes, capacity);
    if (!bytes) {
        text->failed = true;
        return false;
    }
    text->bytes = bytes;
    text->capacity = capacity;
    return true;
}

void tt_text_add(struct tt_text *text, const char *bytes, size_t nbytes)
{
    if (!reserve(text, nbytes))
        return;
    memcpy(text->bytes + text->length, bytes, nbytes);
    text->length += nbytes;
    text->bytes[text->length] = 0;
}

void tt_text_put(struct tt_text *text, const char *string)
{
    tt_text_add(text, string, strlen(string));
}

void tt_text_format(struct tt_text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length >= 0 && reserve(text, (size_t)length)) {
        vsnprintf(text->bytes + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
}

/* Bytes of the UTF-8 sequence at `at`, 0 when it is none. */
static int sequence_length(const unsigned char *at)
{
    int length = at[0] < 0x80                     ? 1
                 : at[0] >= 0xC2 && at[0] < 0xE0  ? 2
                 : at[0] >= 0xE0 && at[0] < 0xF0  ? 3
                 : at[0] >= 0xF0 && at[0] <= 0xF4 ? 4
                                                  : 0;
    for (int i = 1; i < length; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    if (length > 2) { /* overlong forms, surrogates, beyond U+10FFFF */
        unsigned high = (unsigned)at[0] << 8 | at[1];
        if (high < 0xE0A0 || (high >= 0xEDA0 && high < 0xEE00) || (high >= 0xF000 && high < 0xF090) ||
            high > 0xF48F)
            return 0;
    }
    return length;
}

void tt_text_json(struct tt_text *text, const char *string)
{
    if (!string) {
        tt_text_put(text, "null");
        return;
    }
    tt_text_put(text, "\"");
    for (const unsigned char *at = (const unsigned char *)string; *at;) {
        int length = sequence_length(at);
        if (length == 0)
            tt_text_put(text, "\\ufffd");
        else if (*at == '"' || *at == '\\')
            tt_text_format(text, "\\%c", *at);
        else if (*at < 0x20)
            tt_text_format(text, "\\u%04x", *at);
        else
            tt_text_add(text, (const char *)at, (size_t)length);
        at += length ? length : 1;
    }
    tt_text_put(text, "\"");
}

void tt_text_free(struct tt_text *text)
{
    free(text->bytes);
    memset(text, 0, sizeof *text);
}
