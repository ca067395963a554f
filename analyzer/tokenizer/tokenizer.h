/* SPDX-License-Identifier: Apache-2.0
 *
 * Text to token ids and back, by what a model brings with it: `tokenizer.json` (the pipeline of Hugging Face's
 * tokenizers: normalise, split, model, template) or the tokenizer metadata of a GGUF file (as llama.cpp reads them).
 * What a file asks for and this room does not know is refused with one line, never done otherwise.
 */
#ifndef TT_TOKENIZER_H
#define TT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct tt_tokenizer;

struct tt_token {
    int32_t id;
    uint32_t start, end; /* bytes of the text that it stands for; equal where it was added */
    bool special;
};

/* Zero-initialise; free `items`. */
struct tt_tokens {
    struct tt_token *items;
    size_t count, capacity;
    size_t dropped; /* bytes of the normalised text for which the vocabulary has nothing: the file's own rules drop them */
};

enum tt_added_ends {
    TT_ENDS_AS_FILE, /* BOS, EOS, [CLS], [SEP] where the file says so */
    TT_ENDS_NONE,
    TT_ENDS_BOS      /* as the file says, and a BOS in front if that brings none */
};

struct tt_tokenize_options {
    bool plain; /* names of special tokens in the text are ordinary text */
    enum tt_added_ends ends;
};

/* `name`: a tokenizer.json, a folder with one, a GGUF file, or anything else that names a model. `data`: the folder of
 * installed data. NULL with one line in *error. */
struct tt_tokenizer *tt_tokenizer_open(const char *name, const char *data, struct tt_error *error);
void tt_tokenizer_free(struct tt_tokenizer *tokenizer); /* NULL is allowed */

/* The file that it was read from, and what is in there: "BPE", "Unigram", "gpt2 (qwen2)". */
const char *tt_tokenizer_path(const struct tt_tokenizer *tokenizer);
const char *tt_tokenizer_kind(const struct tt_tokenizer *tokenizer);

/* Adds to *out. `text` has to be UTF-8. */
int tt_tokenize(const struct tt_tokenizer *tokenizer, const char *text, size_t length,
                const struct tt_tokenize_options *options, struct tt_tokens *out, struct tt_error *error);

/* The vocabulary's own spelling of a token; NULL: no such id. */
const char *tt_token_piece(const struct tt_tokenizer *tokenizer, int32_t id, size_t *length);
/* Special, added, a byte or unused: not an ordinary piece of text. */
bool tt_token_is_special(const struct tt_tokenizer *tokenizer, int32_t id);
/* The id of exactly this piece; -1: none. */
int32_t tt_token_of_piece(const struct tt_tokenizer *tokenizer, const char *piece);

/* Text of `count` tokens, terminated, the caller's; may hold bytes that are not UTF-8. NULL with *error. */
char *tt_detokenize(const struct tt_tokenizer *tokenizer, const int32_t *ids, size_t count, size_t *length,
                    struct tt_error *error);

/* Whether every character is one that the tables used here know; newer ones may be of another class elsewhere. */
bool tt_text_is_assigned(const char *text, size_t length);

#endif
