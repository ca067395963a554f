/* SPDX-License-Identifier: Apache-2.0
 *
 * Parsing and applying selections. A selection is a list of terms; each term has items of one kind.
 */
#include "base/select.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum comparison { EQUAL, UNEQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL };

struct item {
    int64_t first, last; /* number keys, inclusive; open end: INT64_MAX */
    char *glob;          /* word keys */
};

struct term {
    enum tt_select_key key;
    enum comparison comparison;
    struct item *items;
    size_t nitems;
};

struct tt_select {
    struct term *terms;
    size_t nterms;
    uint32_t mentions;
};

static const struct {
    const char *name;
    bool words;
} keys[] = {
#define X(key, name, words) [TT_SELECT_##key] = {name, words},
    TT_SELECT_KEYS(X)
#undef X
};

/* Two-letter operators before their first letters. */
static const struct {
    const char *text;
    enum comparison comparison;
} operators[] = {
    {"!=", UNEQUAL}, {"<=", LESS_EQUAL}, {">=", GREATER_EQUAL}, {"=", EQUAL}, {"<", LESS}, {">", GREATER},
};

struct parser {
    const char *text; /* whole selection */
    const char *at;
    struct tt_select *select;
    struct tt_error *error;
};

static int fail_at(const struct parser *parser, const char *place, const char *what)
{
    return tt_fail(parser->error, TT_EINPUT, "selection '%s', at character %d: %s", parser->text,
                   (int)(place - parser->text) + 1, what);
}

static int unknown_key(const struct parser *parser, size_t length)
{
    const char *names[TT_SELECT_KEY_COUNT];
    char *word = tt_format("%.*s", (int)length, parser->at);
    for (int i = 0; i < TT_SELECT_KEY_COUNT; i++)
        names[i] = keys[i].name;
    const char *near = tt_nearest(word, names, TT_SELECT_KEY_COUNT);
    char *what = near ? tt_format("no key '%s'; did you mean %s?", word, near)
                      : tt_format("no key '%s'; known are pass layer component op token phase seq pos head "
                                  "dtype size role thread tap epoch call routine expert rank kept",
                                  word);
    fail_at(parser, parser->at, what);
    free(what);
    free(word);
    return -1;
}

/* Reads one integer at *at; sizes take a suffix. */
static bool take_number(const char **at, enum tt_select_key key, int64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoll(*at, &end, 10);
    if (end == *at || errno || isspace((unsigned char)**at))
        return false;
    if (key == TT_SELECT_SIZE) {
        uint64_t bytes;
        size_t length = strcspn(*at, "-+|,");
        char *word = tt_format("%.*s", (int)length, *at);
        bool parsed = tt_parse_size(word, &bytes);
        free(word);
        if (!parsed)
            return false;
        *value = (int64_t)bytes;
        end = (char *)*at + length;
    }
    *at = end;
    return true;
}

static bool ends_item(char c)
{
    return c == 0 || c == ',' || c == '+' || c == '|';
}

static int parse_range(struct parser *parser, enum tt_select_key key, struct item *item)
{
    const char *start = parser->at;
    if (!take_number(&parser->at, key, &item->first))
        return fail_at(parser, start,
                       key == TT_SELECT_SIZE ? "a size like 64K was expected"
                                             : "a number or a range like 0-3 was expected");
    item->last = item->first;
    if (*parser->at == '-') {
        parser->at++;
        if (ends_item(*parser->at))
            item->last = INT64_MAX;
        else if (!take_number(&parser->at, key, &item->last))
            return fail_at(parser, parser->at, "a number was expected after '-'");
    }
    if (!ends_item(*parser->at))
        return fail_at(parser, parser->at, "unexpected character after the number");
    if ((item->first < 0) == (item->last < 0) && item->first > item->last)
        return fail_at(parser, start, "the range runs backwards");
    return 0;
}

static int parse_glob(struct parser *parser, struct item *item)
{
    size_t length = strcspn(parser->at, "+|,");
    if (!length)
        return fail_at(parser, parser->at, "a name or pattern was expected");
    item->glob = tt_format("%.*s", (int)length, parser->at);
    parser->at += length;
    return 0;
}

static int parse_items(struct parser *parser, struct term *term)
{
    const char *start = parser->at;
    for (;;) {
        struct item item = {0};
        if (keys[term->key].words ? parse_glob(parser, &item) : parse_range(parser, term->key, &item))
            return -1;
        term->items = tt_grow(term->items, term->nitems + 1, sizeof item);
        term->items[term->nitems++] = item;
        if (*parser->at == 0 || *parser->at == ',')
            break;
        parser->at++;
    }
    if (term->comparison >= LESS &&
        (keys[term->key].words || term->nitems != 1 || term->items[0].first != term->items[0].last))
        return fail_at(parser, start, "'<' and '>' compare with one number");
    return 0;
}

/* The term that `key` `comparison` adds to: an earlier '=' of the same key is widened, others are new. */
static struct term *term_for(struct tt_select *select, enum tt_select_key key, enum comparison comparison)
{
    for (size_t i = 0; comparison == EQUAL && i < select->nterms; i++)
        if (select->terms[i].key == key && select->terms[i].comparison == EQUAL)
            return &select->terms[i];
    select->terms = tt_grow(select->terms, select->nterms + 1, sizeof *select->terms);
    struct term *term = &select->terms[select->nterms++];
    *term = (struct term){.key = key, .comparison = comparison};
    select->mentions |= 1u << key;
    return term;
}

static int parse_key(struct parser *parser, enum tt_select_key *key, enum comparison *comparison)
{
    size_t length = strcspn(parser->at, "=!<>,+|");
    int found = -1;
    for (int i = 0; i < TT_SELECT_KEY_COUNT; i++)
        if (strlen(keys[i].name) == length && strncmp(keys[i].name, parser->at, length) == 0)
            found = i;
    if (found < 0)
        return unknown_key(parser, length);
    parser->at += length;
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        size_t width = strlen(operators[i].text);
        if (strncmp(parser->at, operators[i].text, width) == 0) {
            parser->at += width;
            *key = (enum tt_select_key)found;
            *comparison = operators[i].comparison;
            return 0;
        }
    }
    return fail_at(parser, parser->at, "one of = != < <= > >= was expected");
}

static int parse_terms(struct parser *parser)
{
    size_t current = 0; /* index of the term that a bare item continues */
    for (;;) {
        size_t length = strcspn(parser->at, ",");
        bool bare = strcspn(parser->at, "=<>!") >= length;
        struct term *term;
        if (bare && (!parser->select->nterms || parser->select->terms[current].comparison >= LESS)) {
            return fail_at(parser, parser->at, "key=value was expected, as in layer=0-1");
        } else if (bare) {
            term = &parser->select->terms[current];
        } else {
            enum tt_select_key key;
            enum comparison comparison;
            if (parse_key(parser, &key, &comparison) != 0)
                return -1;
            term = term_for(parser->select, key, comparison);
        }
        current = (size_t)(term - parser->select->terms);
        if (parse_items(parser, term) != 0)
            return -1;
        if (*parser->at == 0)
            return 0;
        parser->at++;
    }
}

struct tt_select *tt_select_parse(const char *text, struct tt_error *error)
{
    struct tt_select *select = tt_alloc(sizeof *select);
    struct parser parser = {.text = text, .at = text, .select = select, .error = error};
    if (parse_terms(&parser) == 0)
        return select;
    tt_select_free(select);
    return NULL;
}

void tt_select_free(struct tt_select *select)
{
    for (size_t t = 0; select && t < select->nterms; t++) {
        for (size_t i = 0; i < select->terms[t].nitems; i++)
            free(select->terms[t].items[i].glob);
        free(select->terms[t].items);
    }
    if (select)
        free(select->terms);
    free(select);
}

uint32_t tt_select_mentions(const struct tt_select *select)
{
    return select ? select->mentions : 0;
}

const char *tt_select_key_name(enum tt_select_key key)
{
    return keys[key].name;
}

static void add_item(struct tt_string *text, const struct item *item)
{
    if (item->glob)
        tt_string_add(text, "%s", item->glob);
    else if (item->last == item->first)
        tt_string_add(text, "%" PRId64, item->first);
    else if (item->last == INT64_MAX)
        tt_string_add(text, "%" PRId64 "-", item->first);
    else
        tt_string_add(text, "%" PRId64 "-%" PRId64, item->first, item->last);
}

char *tt_select_plain(const struct tt_select *select)
{
    static const char *const spelled[] = {"=", "!=", "<", "<=", ">", ">="};
    struct tt_string text = {0};
    for (size_t t = 0; t < select->nterms; t++) {
        const struct term *term = &select->terms[t];
        tt_string_add(&text, "%s%s%s", t ? "," : "", keys[term->key].name, spelled[term->comparison]);
        for (size_t i = 0; i < term->nitems; i++) {
            tt_string_add(&text, "%s", i ? "," : "");
            add_item(&text, &term->items[i]);
        }
    }
    return text.text;
}

bool tt_select_from_end(const struct tt_select *select, enum tt_select_key key)
{
    for (size_t t = 0; select && t < select->nterms; t++)
        for (size_t i = 0; select->terms[t].key == key && i < select->terms[t].nitems; i++)
            if (select->terms[t].items[i].first < 0 || select->terms[t].items[i].last < 0)
                return true;
    return false;
}

/* Bound of an item with negative numbers counted from the end; false when there is no end to count from. */
static bool resolve(int64_t bound, int64_t total, int64_t *resolved)
{
    *resolved = bound < 0 ? bound + total : bound;
    return bound >= 0 || total > 0;
}

static bool term_holds_number(const struct term *term, int64_t value, int64_t total)
{
    bool inside = false;
    int64_t first, last;
    if (term->comparison >= LESS) {
        if (!resolve(term->items[0].first, total, &first))
            return false;
        return term->comparison == LESS         ? value < first
               : term->comparison == LESS_EQUAL ? value <= first
               : term->comparison == GREATER    ? value > first
                                                : value >= first;
    }
    for (size_t i = 0; i < term->nitems && !inside; i++)
        inside = resolve(term->items[i].first, total, &first) && resolve(term->items[i].last, total, &last) &&
                 value >= first && value <= last;
    return inside == (term->comparison == EQUAL);
}

static bool term_holds_word(const struct term *term, const char *word)
{
    bool inside = false;
    for (size_t i = 0; i < term->nitems && !inside; i++)
        inside = word && tt_glob(term->items[i].glob, word);
    return inside == (term->comparison == EQUAL);
}

bool tt_select_number(const struct tt_select *select, enum tt_select_key key, int64_t value, int64_t total)
{
    for (size_t i = 0; select && i < select->nterms; i++)
        if (select->terms[i].key == key && !term_holds_number(&select->terms[i], value, total))
            return false;
    return true;
}

bool tt_select_word(const struct tt_select *select, enum tt_select_key key, const char *word)
{
    for (size_t i = 0; select && i < select->nterms; i++)
        if (select->terms[i].key == key && !term_holds_word(&select->terms[i], word))
            return false;
    return true;
}

void tt_select_set_number(struct tt_select_subject *subject, enum tt_select_key key, int64_t value,
                          int64_t total)
{
    subject->known |= 1u << key;
    subject->numbers[key] = value;
    subject->totals[key] = total;
}

void tt_select_set_word(struct tt_select_subject *subject, enum tt_select_key key, const char *word)
{
    subject->known |= 1u << key;
    subject->words[key] = word;
}

bool tt_select_match(const struct tt_select *select, const struct tt_select_subject *subject)
{
    for (size_t i = 0; select && i < select->nterms; i++) {
        const struct term *term = &select->terms[i];
        if (!(subject->known & (1u << term->key)))
            continue;
        if (keys[term->key].words
                ? !term_holds_word(term, subject->words[term->key])
                : !term_holds_number(term, subject->numbers[term->key], subject->totals[term->key]))
            return false;
    }
    return true;
}

char *tt_select_unknown(const struct tt_select *select, uint32_t known)
{
    struct tt_string list = {0};
    uint32_t missing = tt_select_mentions(select) & ~known;
    for (int key = 0; key < TT_SELECT_KEY_COUNT; key++)
        if (missing & (1u << key))
            tt_string_add(&list, "%s%s", list.length ? ", " : "", keys[key].name);
    return list.text;
}
