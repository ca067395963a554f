/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the manifest with tolerance: it may come from another version, or be cut by a kill.
 */
#include "commands/summary.h"

#include <string.h>

#include "base/error.h"
#include "base/text.h"

const char *tt_manifest_text(const struct tt_capture *capture, const char *key, const char *fallback)
{
    const char *text =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tt_capture_manifest(capture), key));
    return text && *text ? text : fallback;
}

static void add_word(struct tt_string *line, const char *word)
{
    bool plain = *word && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                       "_-+=./,:@%") == strlen(word);
    if (line->length)
        tt_string_add_bytes(line, " ", 1);
    if (plain) {
        tt_string_add(line, "%s", word);
        return;
    }
    tt_string_add_bytes(line, "'", 1);
    for (; *word; word++) {
        if (*word == '\'')
            tt_string_add(line, "'\\''");
        else if ((unsigned char)*word < ' ') /* a prompt with line ends must not break the display */
            tt_string_add_bytes(line, " ", 1);
        else
            tt_string_add_bytes(line, word, 1);
    }
    tt_string_add_bytes(line, "'", 1);
}

char *tt_manifest_command(const struct tt_capture *capture)
{
    const cJSON *words = cJSON_GetObjectItemCaseSensitive(tt_capture_manifest(capture), "command");
    const cJSON *word;
    struct tt_string line = {0};
    if (cJSON_IsString(words))
        return tt_strdup(words->valuestring);
    cJSON_ArrayForEach (word, words)
        if (cJSON_IsString(word))
            add_word(&line, word->valuestring);
    return line.text ? line.text : tt_strdup("");
}
