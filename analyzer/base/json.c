/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and writing JSON with errors that say where.
 */
#include "base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static int read_whole(const char *path, struct tt_string *text, struct tt_error *error)
{
    char block[65536];
    size_t count;
    FILE *file = fopen(path, "rb");
    if (!file)
        return tt_fail(error, TT_EINPUT, "%s: %s", path, strerror(errno));
    while ((count = fread(block, 1, sizeof block, file)) > 0)
        tt_string_add_bytes(text, block, count);
    int failed = ferror(file);
    int reason = errno;
    fclose(file);
    return failed ? tt_fail(error, TT_EINPUT, "%s: %s", path, strerror(reason)) : 0;
}

static int line_of(const char *text, const char *place)
{
    int line = 1;
    for (; text < place && *text; text++)
        line += *text == '\n';
    return line;
}

/* People comment the files they write. Comments as in C become blanks, so that lines keep their numbers; strings are left
 * alone. */
static void blank_comments(char *text)
{
    bool string = false;
    for (char *at = text; *at; at++) {
        if (string || *at != '/' || (at[1] != '/' && at[1] != '*')) {
            string = string != (*at == '"');
            at += string && *at == '\\' && at[1];
            continue;
        }
        const char *last = at[1] == '/' ? strchr(at, '\n') : strstr(at + 2, "*/");
        char *end = !last ? at + strlen(at) : at + (last - at) + (at[1] == '/' ? 0 : 2);
        for (; at < end; at++)
            *at = *at == '\n' ? '\n' : ' ';
        at--;
    }
}

cJSON *tt_json_read(const char *path, struct tt_error *error)
{
    struct tt_string text = {0};
    const char *end = NULL;
    cJSON *document = NULL;
    if (read_whole(path, &text, error) != 0)
        goto done;
    if (text.text)
        blank_comments(text.text);
    document = cJSON_ParseWithLengthOpts(text.text ? text.text : "", text.length + 1, &end, 1);
    if (!document && !text.length)
        tt_fail(error, TT_EINPUT, "%s: empty, JSON was expected", path);
    else if (!document)
        tt_fail(error, TT_EINPUT, "%s:%d: not valid JSON", path, line_of(text.text, end));
done:
    tt_string_free(&text);
    return document;
}

/* Bytes of the UTF-8 character that `text` begins with; 0: none that is valid. */
static int character_length(const unsigned char *text)
{
    static const struct {
        unsigned char mask, lead;
        unsigned least; /* smaller ones would have been shorter */
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (int i = 0; i < 4; i++) {
        if ((text[0] & forms[i].mask) != forms[i].lead)
            continue;
        unsigned code = text[0] & (unsigned char)~forms[i].mask;
        for (int j = 1; j <= i; j++) {
            if ((text[j] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | (text[j] & 0x3f);
        }
        return code < forms[i].least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : i + 1;
    }
    return 0;
}

/* Names from a damaged capture may hold any bytes; a JSON document may not. */
static void put_valid(FILE *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text, *from = at;
    while (*at) {
        int length = character_length(at);
        if (length) {
            at += length;
            continue;
        }
        fwrite(from, 1, (size_t)(at - from), out);
        fputs("\\ufffd", out);
        from = ++at;
    }
    fwrite(from, 1, (size_t)(at - from), out);
}

int tt_json_print(FILE *out, const cJSON *document, int compact, struct tt_error *error)
{
    char *text = compact ? cJSON_PrintUnformatted(document) : cJSON_Print(document);
    if (!text)
        return tt_fail(error, TT_ESYSTEM, "out of memory while writing JSON");
    put_valid(out, text);
    fputc('\n', out);
    cJSON_free(text);
    return 0;
}

cJSON *tt_json_document(const char *name)
{
    cJSON *document = cJSON_CreateObject();
    char *schema = tt_format("tensortap.%s/1", name);
    cJSON_AddStringToObject(document, "schema", schema);
    free(schema);
    return document;
}

void tt_json_add_number(cJSON *object, const char *name, double value)
{
    if (isfinite(value)) {
        cJSON_AddNumberToObject(object, name, value);
        return;
    }
    cJSON *nonfinite = cJSON_GetObjectItemCaseSensitive(object, "nonfinite");
    if (!nonfinite)
        nonfinite = cJSON_AddObjectToObject(object, "nonfinite");
    cJSON_AddNullToObject(object, name);
    cJSON_AddStringToObject(nonfinite, name, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
}

void tt_json_add_u64(cJSON *object, const char *name, uint64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    cJSON_AddRawToObject(object, name, digits);
}

void tt_json_add_i64(cJSON *object, const char *name, int64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRId64, value);
    cJSON_AddRawToObject(object, name, digits);
}

void tt_json_add_shape(cJSON *object, const char *name, const int64_t *shape, int rank)
{
    cJSON *array = cJSON_AddArrayToObject(object, name);
    for (int i = 0; i < rank; i++)
        cJSON_AddItemToArray(array, cJSON_CreateNumber((double)shape[i]));
}
