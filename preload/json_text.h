/* SPDX-License-Identifier: Apache-2.0
 *
 * The little JSON that the preload library writes and reads itself, so that it needs no JSON library in
 * somebody else's process. Fixed buffers, no allocation.
 */
#ifndef TT_PRELOAD_JSON_TEXT_H
#define TT_PRELOAD_JSON_TEXT_H

#include <stddef.h>

struct tt_json_text {
    char *text;    /* zero-terminated after each call */
    size_t size;   /* of the buffer */
    size_t length; /* bytes used; what no longer fits is left out */
};

void tt_json_raw(struct tt_json_text *out, const char *text);
/* Quoted and escaped; bytes that are no UTF-8 become U+FFFD, so that the document stays valid. */
void tt_json_string(struct tt_json_text *out, const char *text);

#endif
