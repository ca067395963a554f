/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: parse JSON that others wrote and find values in it. Invariant: the parser sees a private copy that
 * ends in zeros (releases of cJSON look one byte past an unterminated buffer).
 */
#include "model/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/file.h"

#define SLACK 16 /* zero bytes after the text */
#define LARGEST_JSON                                                                                         \
    (100ull << 20) /* bytes; the reference implementation of safetensors has the same limit */

static bool only_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t' || *at == '\0'))
        at++;
    return at == end;
}

static cJSON *parse_copy(const char *text, size_t length, const char *what, struct tt_error *error)
{
    const char *end = NULL;
    cJSON *json = cJSON_ParseWithLengthOpts(text, length + 1, &end, 0);

    if (json && only_space(end, text + length))
        return json;
    cJSON_Delete(json);
    tt_fail(error, TT_EINPUT,
            "%s is not valid JSON at byte %zu of it: it is damaged or truncated; download it again", what,
            end ? (size_t)(end - text) : 0);
    return NULL;
}

cJSON *tt_json_parse_bytes(const void *bytes, size_t length, const char *what, struct tt_error *error)
{
    if (length > LARGEST_JSON) {
        tt_fail(error, TT_EINPUT, "%s has %zu bytes of JSON, more than the %llu that any real one has", what,
                length, LARGEST_JSON);
        return NULL;
    }
    if (!tt_utf8_valid(bytes, length)) {
        tt_fail(error, TT_EINPUT, "%s is not UTF-8 text: it is damaged; download it again", what);
        return NULL;
    }
    char *text = tt_alloc(length + SLACK);
    if (length > 0)
        memcpy(text, bytes, length);
    cJSON *json = parse_copy(text, length, what, error);
    free(text);
    return json;
}

static const cJSON *child(const cJSON *parent, const char *name, size_t length)
{
    size_t index = 0;
    const cJSON *item;

    cJSON_ArrayForEach (item, parent) {
        char number[24];
        const char *key = item->string;
        if (cJSON_IsArray(parent)) {
            snprintf(number, sizeof number, "%zu", index++);
            key = number;
        }
        if (key && strlen(key) == length && memcmp(key, name, length) == 0)
            return item;
    }
    return NULL;
}

const cJSON *tt_config_at(const cJSON *root, const char *path)
{
    const cJSON *whole = child(root, path, strlen(path));

    if (whole)
        return whole;
    for (;;) {
        size_t length = strcspn(path, ".");
        root = child(root, path, length);
        if (!root || path[length] == '\0')
            return root;
        path += length + 1;
    }
}
