/* SPDX-License-Identifier: Apache-2.0
 *
 * --prompt and --tokens of every command.
 */
#include "commands/prompt.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "commands/analysis.h"

#define SHOWN 64 /* ids on standard error */

int tt_prompt_options(struct tt_context *context, struct tt_tokenize_options *how)
{
    bool bos = tt_option_flag(context->options, "bos"), none = tt_option_flag(context->options, "no-bos");
    if (bos && none)
        return tt_fail(&context->error, TT_EINPUT, "--bos and --no-bos contradict each other; give one of them");
    how->ends = bos ? TT_ENDS_BOS : none ? TT_ENDS_NONE : TT_ENDS_AS_FILE;
    how->plain = tt_option_flag(context->options, "no-special");
    return 0;
}

char *tt_tokens_text(const int32_t *tokens, int64_t count)
{
    struct tt_string text = {0};
    for (int64_t i = 0; i < count; i++)
        tt_string_add(&text, i ? ",%" PRId32 : "%" PRId32, tokens[i]);
    return text.text ? text.text : tt_strdup("");
}

static void tell(const struct tt_context *context, const int32_t *tokens, int64_t count)
{
    char *text = tt_tokens_text(tokens, count < SHOWN ? count : SHOWN);
    tt_note(context, "the prompt is %" PRId64 " token%s: %s%s", count, count == 1 ? "" : "s", text, count > SHOWN ? ",…" : "");
    free(text);
}

static void take(const struct tt_tokens *found, int32_t **tokens, int64_t *count)
{
    *tokens = tt_alloc_array(found->count + 1, sizeof **tokens);
    *count = (int64_t)found->count;
    for (size_t i = 0; i < found->count; i++)
        (*tokens)[i] = found->items[i].id;
}

int tt_prompt_tokens(struct tt_context *context, const char *model, const char *text, const struct tt_tokenize_options *how,
                     int32_t **tokens, int64_t *count)
{
    struct tt_tokens found = {0};
    struct tt_tokenize_options as_file = {0};
    struct tt_tokenizer *tokenizer = tt_tokenizer_open(model, tt_data_directory(), &context->error);
    int failed = tokenizer ? tt_tokenize(tokenizer, text, strlen(text), how ? how : &as_file, &found, &context->error) : -1;
    if (!failed && !found.count)
        failed = tt_fail(&context->error, TT_EINPUT, "--prompt '%.60s' has no token; give a longer text", text);
    if (!failed) {
        take(&found, tokens, count);
        tell(context, *tokens, *count);
        if (found.dropped)
            tt_note(context, "%zu bytes of the prompt have no token in this vocabulary and are left out, as its file says",
                    found.dropped);
    }
    free(found.items);
    tt_tokenizer_free(tokenizer);
    return failed;
}

int tt_given_prompt(struct tt_context *context, const char *model, int32_t **tokens, int64_t *count)
{
    const char *ids = tt_option_text(context->options, "tokens"), *text = tt_option_text(context->options, "prompt");
    struct tt_tokenize_options how = {0};
    *tokens = NULL;
    *count = 0;
    if (ids && text)
        return tt_fail(&context->error, TT_EINPUT, "--prompt and --tokens are both given; give one of them");
    if (tt_prompt_options(context, &how))
        return -1;
    if (ids)
        return tt_parse_tokens(ids, tokens, count, &context->error);
    return text ? tt_prompt_tokens(context, model, text, &how, tokens, count) : 0;
}
