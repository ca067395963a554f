/* SPDX-License-Identifier: Apache-2.0
 *
 * Parsing and applying selection expressions (select.h).
 */
#include "record/select.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enum tt_select_key key;
} keys[] = {
    {"op", TT_SELECT_OP},         {"role", TT_SELECT_ROLE}, {"dtype", TT_SELECT_DTYPE},
    {"thread", TT_SELECT_THREAD}, {"pass", TT_SELECT_PASS}, {"epoch", TT_SELECT_PASS},
    {"size", TT_SELECT_SIZE},
};

static enum tt_select_key key_of(const char *name)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(keys[i].name, name) == 0)
            return keys[i].key;
    return TT_SELECT_UNKNOWN;
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t length = strlen(text);
    while (length && strchr(" \t", text[length - 1]))
        text[--length] = 0;
    return text;
}

/* Splits "key<=value" in place; *value NULL when there is no operator. */
static char split_term(char *piece, char **value)
{
    char *at = strpbrk(piece, "=<>!");
    *value = NULL;
    if (!at)
        return 0;
    char comparison = *at;
    *at++ = 0;
    if (*at == '=') {
        comparison = comparison == '<' ? 'l' : comparison == '>' ? 'g' : comparison;
        at++;
    }
    if (comparison == '=' && *at == '!') {
        comparison = '!';
        at++;
    }
    *value = trim(at);
    return comparison;
}

static int add_piece(struct tt_selection *selection, char *piece)
{
    char *value, comparison = split_term(piece, &value);
    struct tt_term *term;
    if (comparison) {
        if (selection->nterms == TT_MOST_TERMS)
            return -EINVAL;
        term = &selection->terms[selection->nterms++];
        term->name = trim(piece);
        term->key = key_of(term->name);
        term->comparison = comparison;
        selection->by_pass |= term->key == TT_SELECT_PASS;
    } else {
        if (selection->nterms == 0)
            return -EINVAL;
        term = &selection->terms[selection->nterms - 1];
        value = trim(piece);
    }
    if (term->nvalues == TT_MOST_VALUES)
        return -EINVAL;
    term->values[term->nvalues++] = value;
    return 0;
}

int tt_selection_parse(struct tt_selection *selection, const char *expression)
{
    memset(selection, 0, sizeof *selection);
    if (!expression || !*expression)
        return 0;
    selection->text = strdup(expression);
    int status = selection->text ? 0 : -ENOMEM;
    char *rest, *piece = status ? NULL : strtok_r(selection->text, ",", &rest);
    for (; piece && status == 0; piece = strtok_r(NULL, ",", &rest))
        status = add_piece(selection, piece);
    if (status)
        tt_selection_free(selection);
    return status;
}

void tt_selection_free(struct tt_selection *selection)
{
    free(selection->text);
    memset(selection, 0, sizeof *selection);
}

/* Glob with * and ?, without recursion. */
static bool glob(const char *pattern, const char *text)
{
    const char *star = NULL, *retry = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            retry = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++retry;
        } else {
            return false;
        }
    }
    return pattern[strspn(pattern, "*")] == 0;
}

/* `text` is "7", "2-5" or "3-"; reads one of them. */
static bool range_contains(const char *text, uint64_t value)
{
    char *end;
    uint64_t first = strtoull(text, &end, 10), last = first;
    if (end == text)
        return false;
    if (*end == '-')
        last = end[1] >= '0' && end[1] <= '9' ? strtoull(end + 1, NULL, 10) : UINT64_MAX;
    return value >= first && value <= last;
}

bool tt_ranges_contain(const char *ranges, uint64_t value)
{
    for (const char *at = ranges; at && *at; at = strchr(at, ',')) {
        at += strspn(at, ", ");
        if (range_contains(at, value))
            return true;
    }
    return false;
}

static bool number_matches(const struct tt_term *term, uint64_t value)
{
    uint64_t bound = strtoull(term->values[0], NULL, 10);
    bool listed = false;
    switch (term->comparison) {
    case '<': return value < bound;
    case '>': return value > bound;
    case 'l': return value <= bound;
    case 'g': return value >= bound;
    default:
        for (int i = 0; i < term->nvalues; i++)
            listed |= range_contains(term->values[i], value);
        return listed == (term->comparison == '=');
    }
}

static bool name_matches(const struct tt_term *term, const char *name)
{
    bool listed = false;
    for (int i = 0; i < term->nvalues; i++)
        listed |= glob(term->values[i], name);
    return listed == (term->comparison != '!');
}

bool tt_selection_call(const struct tt_selection *selection, const char *op, uint32_t thread)
{
    bool chosen = true;
    for (int i = 0; i < selection->nterms && chosen; i++) {
        const struct tt_term *term = &selection->terms[i];
        if (term->key == TT_SELECT_OP)
            chosen = name_matches(term, op);
        else if (term->key == TT_SELECT_THREAD)
            chosen = number_matches(term, thread);
    }
    return chosen;
}

bool tt_selection_pass(const struct tt_selection *selection, uint64_t epoch)
{
    bool chosen = true;
    for (int i = 0; i < selection->nterms && chosen; i++)
        if (selection->terms[i].key == TT_SELECT_PASS)
            chosen = number_matches(&selection->terms[i], epoch);
    return chosen;
}

bool tt_selection_operand(const struct tt_selection *selection, const char *role, const char *dtype,
                          uint64_t nbytes)
{
    bool chosen = true;
    for (int i = 0; i < selection->nterms && chosen; i++) {
        const struct tt_term *term = &selection->terms[i];
        if (term->key == TT_SELECT_ROLE)
            chosen = name_matches(term, role);
        else if (term->key == TT_SELECT_DTYPE)
            chosen = name_matches(term, dtype);
        else if (term->key == TT_SELECT_SIZE)
            chosen = number_matches(term, nbytes);
    }
    return chosen;
}
