/* SPDX-License-Identifier: Apache-2.0
 *
 * Model files written byte by byte, and what opening them says.
 */
#ifndef TT_TESTS_MODEL_BYTES_H
#define TT_TESTS_MODEL_BYTES_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/model.h"
#include "checks.h"

static char folder[] = "/tmp/tensortap-model-XXXXXX"; /* made by main */

struct bytes {
    unsigned char at[4096];
    size_t count;
};

static inline void put(struct bytes *bytes, const void *from, size_t count)
{
    memcpy(bytes->at + bytes->count, from, count);
    bytes->count += count;
}

static inline void put_u32(struct bytes *bytes, uint32_t value)
{
    put(bytes, &value, sizeof value);
}

static inline void put_u64(struct bytes *bytes, uint64_t value)
{
    put(bytes, &value, sizeof value);
}

static inline void put_string(struct bytes *bytes, const char *text)
{
    put_u64(bytes, strlen(text));
    put(bytes, text, strlen(text));
}

static inline const char *write_file(const char *name, const struct bytes *bytes)
{
    static char path[256];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "wb");
    fwrite(bytes->at, 1, bytes->count, file);
    fclose(file);
    return path;
}

/* Opening must fail with a line that has the given words and the file's name. */
static inline void expect_refused(const char *name, const struct bytes *bytes, const char *words)
{
    struct tt_error error = {0};
    const char *path = write_file(name, bytes);
    struct tt_model *model = tt_model_open(path, &error);

    if (model || !strstr(error.message, words) || !strstr(error.message, name) ||
        strchr(error.message, '\n')) {
        fprintf(stderr, "%s: expected '%s', got: %s\n", name, words, model ? "a model" : error.message);
        failures++;
    }
    tt_model_close(model);
    unlink(path);
}

#endif
