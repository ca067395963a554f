/* SPDX-License-Identifier: Apache-2.0
 *
 * The prompt of a command: ids as given, or text made ids by the model's own tokenizer.
 */
#ifndef TT_COMMANDS_PROMPT_H
#define TT_COMMANDS_PROMPT_H

#include "commands/command.h"
#include "tokenizer/tokenizer.h"

/* How text becomes ids; for tables of options, read by tt_prompt_options. */
#define TT_PROMPT_OPTIONS                                                                                              \
    {"bos", 0, TT_OPTION_FLAG, NULL, "a BOS token in front even where the tokenizer adds none", NULL, NULL},           \
        {"no-bos", 0, TT_OPTION_FLAG, NULL, "no tokens that the tokenizer adds around a text (BOS, EOS, [CLS])", NULL, NULL}, \
        {"no-special", 0, TT_OPTION_FLAG, NULL, "names of special tokens in the text are ordinary text", NULL, NULL}

/* 0, or -1 with context->error: --bos and --no-bos together. The command has to have TT_PROMPT_OPTIONS. */
int tt_prompt_options(struct tt_context *context, struct tt_tokenize_options *how);

/* `text` as ids of `model` (whatever names one); the ids are told on standard error. `how` NULL: as the tokenizer's file
 * says. 0 with *tokens, the caller's, and *count; -1 with context->error. */
int tt_prompt_tokens(struct tt_context *context, const char *model, const char *text, const struct tt_tokenize_options *how,
                     int32_t **tokens, int64_t *count);

/* What --tokens or --prompt say, for a command with TT_PROMPT_OPTIONS. *tokens NULL: neither is given. */
int tt_given_prompt(struct tt_context *context, const char *model, int32_t **tokens, int64_t *count);

/* "1,15043,29871", the caller's. */
char *tt_tokens_text(const int32_t *tokens, int64_t count);

#endif
