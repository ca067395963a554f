/* SPDX-License-Identifier: Apache-2.0
 *
 * A growing text, and JSON written into it. Running out of memory sets `failed` and keeps what is there.
 */
#ifndef TT_RECORD_TEXT_H
#define TT_RECORD_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct tt_text {
    char *bytes; /* always terminated once something was added */
    size_t length, capacity;
    bool failed;
};

void tt_text_add(struct tt_text *text, const char *bytes, size_t nbytes);
void tt_text_put(struct tt_text *text, const char *string);
void tt_text_format(struct tt_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Quoted and escaped; bytes that are not UTF-8 become U+FFFD. NULL becomes null. */
void tt_text_json(struct tt_text *text, const char *string);
void tt_text_free(struct tt_text *text);

#endif
