/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokens that `ref` runs when no capture tells them.
 */
#ifndef TT_COMMANDS_REF_PROMPT_H
#define TT_COMMANDS_REF_PROMPT_H

#include "commands/analysis.h"
#include "commands/prompt.h"

struct tt_ref_prompt {
    int32_t *tokens; /* [count], the caller's */
    int64_t count;
    int64_t decode;  /* greedy steps behind them, where nobody says otherwise */
    char *text;      /* that they were made of, NULL: none. The caller's */
};

struct tt_ref_prompts { /* a sequence each */
    struct tt_ref_prompt *items; /* [count] */
    size_t count;
};

/* Each --tokens or each --prompt, --probe, or none of them: one token, "What", with nothing in front. 0 or -1 with
 * context->error; to be freed in both cases. */
int tt_ref_prompts(struct tt_context *context, const struct tt_analysis *model, struct tt_ref_prompts *out);
void tt_ref_prompts_free(struct tt_ref_prompts *prompts);
/* {"text", "tokens"}, of several an array of these; the caller's (cJSON_free). */
char *tt_ref_prompts_json(const struct tt_ref_prompts *prompts);

/* Says which causes these passes cannot show, if they are few tokens; the list too goes to `document`, if there is one. */
void tt_ref_tell_unseen(struct tt_context *context, const struct tt_analysis *model, const struct tt_trace *inputs,
                        int64_t decode, cJSON *document);

#endif
