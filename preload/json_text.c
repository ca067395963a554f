/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing JSON strings and reading one flat JSON object, see json_text.h and config.h.
 */
#include "json_text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

void tt_json_raw(struct tt_json_text *out, const char *text)
{
    size_t bytes = strlen(text);
    if (bytes >= out->size - out->length)
        return;
    memcpy(out->text + out->length, text, bytes + 1);
    out->length += bytes;
}

/* Length of the well-formed UTF-8 sequence at `s`, 0 when there is none. */
static int utf8_length(const unsigned char *s)
{
    int extra = s[0] < 0x80 ? 0 : s[0] >= 0xC2 && s[0] < 0xE0 ? 1 : (s[0] & 0xF0) == 0xE0 ? 2
                : s[0] >= 0xF0 && s[0] < 0xF5 ? 3 : -1;
    if (extra < 0 || (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
        (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    for (int i = 1; i <= extra; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return extra + 1;
}

void tt_json_string(struct tt_json_text *out, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    char piece[8];
    tt_json_raw(out, "\"");
    while (*s) {
        int bytes = utf8_length(s);
        if (*s == '"' || *s == '\\')
            snprintf(piece, sizeof(piece), "\\%c", *s);
        else if (*s < 0x20 || *s == 0x7F)
            snprintf(piece, sizeof(piece), "\\u%04x", *s);
        else if (bytes == 0)
            strcpy(piece, "\\ufffd");
        else
            snprintf(piece, sizeof(piece), "%.*s", bytes, (const char *)s);
        if (out->size - out->length < sizeof(piece) + 4)
            break; /* leave room for what closes the document */
        tt_json_raw(out, piece);
        s += bytes ? bytes : 1;
    }
    tt_json_raw(out, "\"");
}

struct reader {
    const char *start, *at;
};

static void skip_space(struct reader *in)
{
    while (*in->at && strchr(" \t\r\n", *in->at))
        in->at++;
}

static bool accept(struct reader *in, char expected)
{
    skip_space(in);
    if (*in->at != expected)
        return false;
    in->at++;
    return true;
}

static int read_escape(struct reader *in, char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found = *in->at ? strchr(from, *in->at) : NULL;
    if (!found)
        return -EINVAL; /* \u escapes have no use in these values */
    *out = to[found - from];
    in->at++;
    return 0;
}

static int read_string(struct reader *in, char *out, size_t size)
{
    size_t length = 0;
    if (!accept(in, '"'))
        return -EINVAL;
    while (*in->at && *in->at != '"') {
        char c = *in->at++;
        if (c == '\\' && read_escape(in, &c) < 0)
            return -EINVAL;
        if (length + 1 >= size)
            return -EINVAL;
        out[length++] = c;
    }
    out[length] = '\0';
    return accept(in, '"') ? 0 : -EINVAL;
}

/* A number or a bare word, as text; "null" is the empty text. */
static int read_word(struct reader *in, char *out, size_t size)
{
    size_t length = strcspn(in->at, ",} \t\r\n\"[{:");
    if (length == 0 || length >= size)
        return -EINVAL;
    memcpy(out, in->at, length);
    out[length] = '\0';
    in->at += length;
    if (strcmp(out, "null") == 0)
        out[0] = '\0';
    return 0;
}

static int read_member(struct reader *in, void (*set)(void *, const char *, const char *), void *context)
{
    static char key[256], value[4200]; /* one thread: the configuration is read once */
    int error = read_string(in, key, sizeof(key));
    if (error || !accept(in, ':'))
        return -EINVAL;
    skip_space(in);
    error = *in->at == '"' ? read_string(in, value, sizeof(value)) : read_word(in, value, sizeof(value));
    if (!error)
        set(context, key, value);
    return error;
}

int tt_config_parse(const char *text, void (*set)(void *context, const char *key, const char *value),
                    void *context, unsigned long *where)
{
    struct reader in = {text, text};
    int error = accept(&in, '{') ? 0 : -EINVAL;
    bool more = !error && !accept(&in, '}');
    while (more && !error) {
        error = read_member(&in, set, context);
        more = !error && accept(&in, ',');
        if (!error && !more && !accept(&in, '}'))
            error = -EINVAL;
    }
    skip_space(&in);
    if (!error && *in.at)
        error = -EINVAL;
    *where = (unsigned long)(in.at - in.start);
    return error;
}
