/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8 and classes of characters as normalisers and splitters ask for them.
 */
#ifndef TT_TOKENIZER_CHARACTERS_H
#define TT_TOKENIZER_CHARACTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TT_UTF8_MAX 4

/* Bytes before the first one that is not UTF-8; `length`: all of it is. */
size_t tt_utf8_prefix(const char *text, size_t length);
/* The character at *at of valid text; *at moves behind it. */
int32_t tt_utf8_next(const char *text, size_t length, size_t *at);
/* Bytes written, at most TT_UTF8_MAX. */
size_t tt_utf8_put(int32_t character, char *out);
/* Bytes of the character that begins with this one, as its first byte says. */
size_t tt_utf8_length(unsigned char first);
/* At most `most` bytes of the text's beginning, no character cut: for messages. */
int tt_utf8_cut(const char *text, int most);
size_t tt_utf8_count(const char *text, size_t length);

typedef bool tt_class(int32_t character);
tt_class tt_is_space;         /* White_Space */
tt_class tt_is_number;        /* N */
tt_class tt_is_punctuation;   /* P, and ASCII's symbols */
tt_class tt_is_ideograph;     /* the blocks that BERT puts spaces around */
tt_class tt_is_mark;          /* M */
tt_class tt_is_nonspacing;    /* Mn */
tt_class tt_is_other;         /* C without unassigned ones */
tt_class tt_is_word;          /* \w of Rust's regex: letters, marks, digits, connectors, joiners */
tt_class tt_is_assigned;
tt_class tt_folds_to_several; /* characters, where case is ignored */

int32_t tt_lower(int32_t character); /* its simple mapping */

/* The character that stands for a byte in byte-level vocabularies, and back (-1: none). */
int32_t tt_byte_character(unsigned char byte);
int tt_character_byte(int32_t character);

#endif
