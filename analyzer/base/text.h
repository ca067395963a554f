/* SPDX-License-Identifier: Apache-2.0
 *
 * Small text tools: the nearest word, globs, numbers with suffixes, a growing string.
 */
#ifndef TT_BASE_TEXT_H
#define TT_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The entry of words[0…count) that `word` most likely means, NULL when none is near. NULL entries are
 * skipped. */
const char *tt_nearest(const char *word, const char *const *words, size_t count);

/* Shell pattern (* ? […]) against the whole text. */
bool tt_glob(const char *pattern, const char *text);

/* Bytes: "4096", "64K", "1.5G", "2GiB"; suffixes are binary. */
bool tt_parse_size(const char *text, uint64_t *bytes);
bool tt_parse_integer(const char *text, int64_t *value);
bool tt_parse_number(const char *text, double *value); /* finite only */

/* A string that grows. Zero-initialise; `text` is NULL until the first addition. */
struct tt_string {
    char *text;
    size_t length, capacity;
};
void tt_string_add(struct tt_string *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tt_string_add_bytes(struct tt_string *text, const char *bytes, size_t count);
void tt_string_free(struct tt_string *text);

/* Prints one paragraph and a line end, breaking at blanks before `width`; the cursor stands at `column`,
 * where further lines start too. */
void tt_print_wrapped(FILE *out, const char *text, int column, int width);

#endif
