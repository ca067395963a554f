/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap tokenize: text as a model's tokenizer sees it, and ids back to text.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "commands/analysis.h"
#include "commands/prompt.h"
#include "report/sheet.h"
#include "tokenizer/characters.h"

/* ---- pieces as people see them ---- */

static char escape_of(unsigned char c)
{
    static const char pairs[][2] = {{'\n', 'n'}, {'\t', 't'}, {'\r', 'r'}, {'\\', '\\'}, {'\'', '\''}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if ((unsigned char)pairs[i][0] == c)
            return pairs[i][1];
    return 0;
}

static void add_visible(struct tt_string *out, const char *text, size_t length)
{
    for (size_t at = 0; at < length; at++) {
        unsigned char c = (unsigned char)text[at];
        if (escape_of(c))
            tt_string_add(out, "\\%c", escape_of(c));
        else if (c < 0x20 || c == 0x7f)
            tt_string_add(out, "\\x%02x", c);
        else
            tt_string_add_bytes(out, text + at, 1);
    }
}

/* In quotes; controls and bytes that are no character are spelt out. The caller's. */
static char *visible(const char *text, size_t length)
{
    struct tt_string out = {0};
    tt_string_add(&out, "'");
    for (size_t at = 0; at < length;) {
        size_t good = tt_utf8_prefix(text + at, length - at);
        add_visible(&out, text + at, good);
        at += good;
        if (at < length)
            tt_string_add(&out, "\\x%02x", (unsigned char)text[at++]);
    }
    tt_string_add(&out, "'");
    return out.text;
}

/* ---- one text ---- */

static cJSON *token_json(const struct tt_tokenizer *tokenizer, const struct tt_token *token)
{
    size_t length = 0;
    const char *piece = tt_token_piece(tokenizer, token->id, &length);
    cJSON *object = cJSON_CreateObject();
    char *text = tt_format("%.*s", (int)length, piece ? piece : "");
    cJSON_AddNumberToObject(object, "id", token->id);
    cJSON_AddStringToObject(object, "piece", text);
    cJSON_AddNumberToObject(object, "start", token->start);
    cJSON_AddNumberToObject(object, "end", token->end);
    cJSON_AddBoolToObject(object, "special", token->special);
    free(text);
    return object;
}

static cJSON *ids_json(const struct tt_tokens *tokens)
{
    cJSON *ids = cJSON_CreateArray();
    for (size_t i = 0; i < tokens->count; i++)
        cJSON_AddItemToArray(ids, cJSON_CreateNumber(tokens->items[i].id));
    return ids;
}

static cJSON *document_of(const struct tt_tokenizer *tokenizer)
{
    cJSON *document = tt_json_document("tokens");
    cJSON_AddStringToObject(document, "tokenizer", tt_tokenizer_path(tokenizer));
    cJSON_AddStringToObject(document, "kind", tt_tokenizer_kind(tokenizer));
    return document;
}

static int show_json(struct tt_context *context, const struct tt_tokenizer *tokenizer, const struct tt_tokens *tokens)
{
    cJSON *document = document_of(tokenizer), *list;
    cJSON_AddItemToObject(document, "ids", ids_json(tokens));
    list = cJSON_AddArrayToObject(document, "tokens");
    for (size_t i = 0; i < tokens->count; i++)
        cJSON_AddItemToArray(list, token_json(tokenizer, &tokens->items[i]));
    tt_json_add_u64(document, "dropped_bytes", tokens->dropped);
    return tt_emit_json(context, document, 0);
}

static const struct tt_column columns[] = {
    {"", TT_RIGHT, TT_DIM, false},       {"id", TT_RIGHT, TT_BOLD, false},    {"piece", TT_LEFT, TT_PLAIN, false},
    {"bytes", TT_RIGHT, TT_DIM, false},  {"text", TT_LEFT, TT_CYAN, false},   {"special", TT_LEFT, TT_YELLOW, false},
};

static void show_sheet(struct tt_context *context, const struct tt_tokenizer *tokenizer, const char *text,
                       const struct tt_tokens *tokens)
{
    struct tt_term term = tt_term_open(context->out, context->color, context->md);
    struct tt_sheet *sheet = tt_sheet_new(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < tokens->count; i++) {
        const struct tt_token *token = &tokens->items[i];
        size_t length = 0;
        const char *piece = tt_token_piece(tokenizer, token->id, &length);
        char *shown = visible(piece ? piece : "", length), *slice = visible(text + token->start, token->end - token->start);
        tt_sheet_cell(sheet, "%zu", i);
        tt_sheet_cell(sheet, "%d", token->id);
        tt_sheet_cell(sheet, "%s", shown);
        tt_sheet_cell(sheet, "%u-%u", token->start, token->end);
        tt_sheet_cell(sheet, "%s", slice);
        tt_sheet_cell(sheet, "%s", token->special ? "special" : "");
        free(shown);
        free(slice);
    }
    tt_sheet_print(sheet, &term);
    tt_sheet_free(sheet);
}

/* ---- standard input ---- */

static int read_input(struct tt_context *context, struct tt_string *text)
{
    char block[65536];
    size_t count;
    tt_string_add_bytes(text, "", 0);
    while ((count = fread(block, 1, sizeof block, stdin)) > 0)
        tt_string_add_bytes(text, block, count);
    return ferror(stdin) ? tt_fail(&context->error, TT_ESYSTEM, "standard input: %s", strerror(errno)) : 0;
}

struct batch {
    cJSON *texts; /* NULL: ids are printed at once */
    size_t count;
};

static int add_text(struct tt_context *context, const struct tt_tokenizer *tokenizer, const struct tt_tokenize_options *how,
                    const char *text, size_t length, struct batch *batch)
{
    struct tt_tokens tokens = {0};
    struct tt_error reason;
    int failed = tt_tokenize(tokenizer, text, length, how, &tokens, &reason);
    batch->count++;
    if (failed)
        tt_fail(&context->error, reason.code, "text %zu: %.900s", batch->count, reason.message);
    else if (batch->texts)
        cJSON_AddItemToArray(batch->texts, ids_json(&tokens));
    for (size_t i = 0; i < tokens.count && !failed && !batch->texts; i++)
        fprintf(context->out, i ? " %d" : "%d", tokens.items[i].id);
    if (!failed && !batch->texts)
        fputc('\n', context->out);
    free(tokens.items);
    return failed;
}

static int each_text(struct tt_context *context, const struct tt_tokenizer *tokenizer, const struct tt_tokenize_options *how,
                     const char *separator)
{
    struct tt_string input = {0};
    struct batch batch = {.texts = context->json ? cJSON_CreateArray() : NULL};
    char end = strcmp(separator, "line") == 0 ? '\n' : '\0';
    int failed = read_input(context, &input);
    for (size_t at = 0; at < input.length && !failed;) {
        const char *stop = memchr(input.text + at, end, input.length - at);
        size_t length = stop ? (size_t)(stop - input.text) - at : input.length - at;
        failed = add_text(context, tokenizer, how, input.text + at, length, &batch);
        at += length + 1;
    }
    tt_string_free(&input);
    if (failed || !batch.texts) {
        cJSON_Delete(batch.texts);
        return failed;
    }
    cJSON *document = document_of(tokenizer);
    cJSON_AddItemToObject(document, "texts", batch.texts);
    return tt_emit_json(context, document, 0);
}

/* ---- the command ---- */

static int decode(struct tt_context *context, const struct tt_tokenizer *tokenizer, const char *ids)
{
    int32_t *tokens = NULL;
    int64_t count;
    size_t length;
    char *text = NULL;
    int failed = tt_parse_tokens(ids, &tokens, &count, &context->error);
    if (!failed)
        text = tt_detokenize(tokenizer, tokens, (size_t)count, &length, &context->error);
    if (text && context->json) {
        cJSON *document = document_of(tokenizer);
        cJSON_AddStringToObject(document, "text", text);
        failed = tt_emit_json(context, document, 0);
    } else if (text) {
        fwrite(text, 1, length, context->out);
        fputc('\n', context->out);
    }
    failed = text ? failed : -1;
    free(text);
    free(tokens);
    return failed;
}

static int show(struct tt_context *context, const struct tt_tokenizer *tokenizer, const struct tt_tokenize_options *how,
                const char *text, size_t length)
{
    struct tt_tokens tokens = {0};
    int status = tt_tokenize(tokenizer, text, length, how, &tokens, &context->error);
    if (!status && context->json)
        status = show_json(context, tokenizer, &tokens);
    else if (!status)
        show_sheet(context, tokenizer, text, &tokens);
    if (!status && tokens.dropped)
        tt_note(context, "%zu bytes have no token in this vocabulary and are left out, as its file says", tokens.dropped);
    if (!status && !tt_text_is_assigned(text, length))
        tt_note(context, "the text has characters that are newer than this program's Unicode tables; other libraries may "
                         "split or normalise them in another way");
    free(tokens.items);
    return status;
}

static int show_argument(struct tt_context *context, const struct tt_tokenizer *tokenizer, const struct tt_tokenize_options *how)
{
    struct tt_string input = {0};
    const char *text = context->args[1];
    bool from_input = strcmp(text, "-") == 0;
    int status = from_input ? read_input(context, &input) : 0;
    if (!status)
        status = from_input ? show(context, tokenizer, how, input.text, input.length)
                            : show(context, tokenizer, how, text, strlen(text));
    tt_string_free(&input);
    return status;
}

static int check_arguments(struct tt_context *context)
{
    int sources = tt_option_flag(context->options, "decode") + tt_option_flag(context->options, "each") + (context->nargs > 1);
    return sources == 1 ? 0 : tt_fail(&context->error, TT_EINPUT, "give one of: a TEXT, --each line, --decode IDS");
}

static int run_tokenize(struct tt_context *context)
{
    const char *ids = tt_option_text(context->options, "decode"), *each = tt_option_text(context->options, "each");
    struct tt_tokenize_options how = {0};
    if (check_arguments(context) || tt_prompt_options(context, &how))
        return -1;
    struct tt_tokenizer *tokenizer = tt_tokenizer_open(context->args[0], tt_data_directory(), &context->error);
    int status = -1;
    if (tokenizer)
        status = ids ? decode(context, tokenizer, ids)
                     : each ? each_text(context, tokenizer, &how, each) : show_argument(context, tokenizer, &how);
    tt_tokenizer_free(tokenizer);
    return status;
}

static const struct tt_option options[] = {
    TT_PROMPT_OPTIONS,
    {"decode", 0, TT_OPTION_TEXT, "IDS", "the text of these ids instead", NULL, NULL},
    {"each", 0, TT_OPTION_TEXT, "END",
     "standard input holds many texts, each ended by a line end or a zero byte (null); ids only, one text a line", "line|null",
     NULL},
    {0},
};

const struct tt_command tt_command_tokenize = {
    .name = "tokenize",
    .summary = "text as token ids and pieces, and back",
    .usage = "MODEL TEXT\nMODEL -\nMODEL --each line\nMODEL --decode IDS",
    .description = "By the tokenizer that the model brings: tokenizer.json in its folder, or the metadata of its GGUF file. MODEL "
                   "may also be a tokenizer.json alone. Special tokens in the text count as such.\n\nA chat template is not "
                   "applied: give the text as the template makes it.",
    .options = options,
    .min_args = 1,
    .max_args = 2,
    .run = run_tokenize,
};
