/* SPDX-License-Identifier: Apache-2.0
 *
 * From Oniguruma's Ruby syntax, which tokenizer.json is written in, to PCRE2's. Both read most patterns alike; what they
 * read differently is rewritten here: classes of white space and words, `^ $` (at lines), `(?m)` (dot matches all),
 * `{n,m}+` (repeats again, is not possessive), `\h \v \u`, nested classes and `&&`, properties (by script). What has no
 * counterpart is refused.
 * Source: Oniguruma's doc/RE and doc/SYNTAX.md; pcre2pattern(3).
 */
#include <stdlib.h>
#include <string.h>

#include "tokenizer/private.h"

#define SPACES "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define LETTERLIKE "\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"
#define WORD_IN_CLASS "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}" LETTERLIKE
/* Outside of classes \w has the numbers of Latin-1 too: a table of its own decides about the first 256 characters. */
#define WORD WORD_IN_CLASS "\\xb2\\xb3\\xb9\\xbc-\\xbe"
#define MAX_GROUPS 64

struct reader {
    const char *at;
    bool scripts; /* \p{Name} of no category is a script, not a script extension */
    struct tt_error *error;
};

static int refuse(struct reader *r, const char *what)
{
    return tt_fail(r->error, TT_EINPUT, "%s is not supported, at '%.*s'", what, tt_utf8_cut(r->at, 20), r->at);
}

/* ---- properties ---- */

static bool is_category(const char *name, size_t length)
{
    static const char *const one = "CLMNPSZ";
    static const char *const two[] = {"Cc", "Cf", "Cn", "Co", "Cs", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl",
                                      "No", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs"};
    if (length == 1)
        return strchr(one, *name) != NULL;
    for (size_t i = 0; length == 2 && i < sizeof two / sizeof *two; i++)
        if (memcmp(two[i], name, 2) == 0)
            return true;
    return false;
}

static const char *category_of(const char *name, size_t length)
{
    static const char *const names[][2] = {{"Letter", "L"},          {"Mark", "M"},           {"Number", "N"},
                                           {"Punctuation", "P"},     {"Symbol", "S"},         {"Separator", "Z"},
                                           {"Uppercase_Letter", "Lu"}, {"Lowercase_Letter", "Ll"}, {"Titlecase_Letter", "Lt"},
                                           {"Modifier_Letter", "Lm"}, {"Other_Letter", "Lo"},  {"Nonspacing_Mark", "Mn"},
                                           {"Decimal_Number", "Nd"}, {"Letter_Number", "Nl"}, {"Other_Number", "No"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i][0]) == length && strncmp(names[i][0], name, length) == 0)
            return names[i][1];
    return NULL;
}

/* At the letter p or P of \p{…}. */
static int property(struct reader *r, struct tt_string *out)
{
    bool negative = *r->at == 'P';
    const char *name = r->at + 2, *end = r->at[1] == '{' ? strchr(name, '}') : NULL;
    if (!end)
        return refuse(r, "a property without braces");
    if (*name == '^') {
        negative = !negative;
        name++;
    }
    size_t length = (size_t)(end - name);
    const char *category = category_of(name, length);
    tt_string_add(out, "\\%c{%s%.*s}", negative ? 'P' : 'p', r->scripts && !category && !is_category(name, length) ? "sc:" : "",
                  category ? (int)strlen(category) : (int)length, category ? category : name);
    r->at = end + 1;
    return 0;
}

/* ---- escapes ---- */

struct meaning {
    char letter;
    const char *outside; /* of a class */
    const char *inside;  /* of a class: items, or an alternative of its own in brackets; NULL: as outside */
};

static const struct meaning meanings[] = {
    {'s', "[" SPACES "]", SPACES},
    {'S', "[^" SPACES "]", NULL},
    {'w', "[" WORD "]", WORD_IN_CLASS},
    {'W', "[^" WORD "]", "[^" WORD_IN_CLASS "]"},
    {'d', "\\p{Nd}", "\\p{Nd}"},
    {'D', "\\P{Nd}", "\\P{Nd}"},
    {'h', "[0-9A-Fa-f]", "0-9A-Fa-f"},
    {'H', "[^0-9A-Fa-f]", NULL},
    {'v', "\\x0b", "\\x0b"},
    {'n', "\\n", "\\n"},
    {'r', "\\r", "\\r"},
    {'t', "\\t", "\\t"},
    {'f', "\\f", "\\f"},
    {'a', "\\a", "\\a"},
    {'e', "\\e", "\\e"},
};

static const struct meaning assertions[] = {
    {'b', "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))", "\\x08"},
    {'B', "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))", ""},
    {'A', "\\A", ""},
    {'z', "\\z", ""},
    {'Z', "\\Z", ""},
};

static const struct meaning *meaning_of(const struct meaning *table, size_t count, char letter)
{
    for (size_t i = 0; i < count; i++)
        if (table[i].letter == letter)
            return &table[i];
    return NULL;
}
#define MEANING(table, letter) meaning_of(table, sizeof(table) / sizeof *(table), letter)

static int hexadecimal(struct reader *r, struct tt_string *out)
{
    const char *digits = r->at + 1;
    size_t want = *r->at == 'u' ? 4 : 2, n = strspn(digits, "0123456789abcdefABCDEF");
    if (*r->at == 'x' && *digits == '{') {
        n = strspn(digits + 1, "0123456789abcdefABCDEF");
        if (digits[1 + n] != '}')
            return refuse(r, "this form of \\x{…}");
        tt_string_add(out, "\\x{%.*s}", (int)n, digits + 1);
        r->at = digits + n + 2;
        return 0;
    }
    if (n < want)
        return refuse(r, "this escape");
    tt_string_add(out, "\\x{%.*s}", (int)want, digits);
    r->at = digits + want;
    return 0;
}

/* Behind a backslash: p P u x, or a character that means itself. */
static int other_escape(struct reader *r, struct tt_string *out)
{
    char letter = *r->at;
    if (letter == 'p' || letter == 'P')
        return property(r, out);
    if (letter == 'u' || letter == 'x')
        return hexadecimal(r, out);
    if (!letter || (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z'))
        return refuse(r, "this escape");
    size_t length = tt_utf8_length((unsigned char)letter);
    tt_string_add(out, letter & 0x80 ? "%.*s" : "\\%.*s", (int)length, r->at);
    r->at += length;
    return 0;
}

/* ---- classes: [a-z], [^…], [a[bc]], [a-z&&[^aeiou]] ---- */

struct class_operand {
    struct tt_string plain; /* items of one bracket */
    struct tt_string parts; /* further alternatives, each after a bar */
};

static int class(struct reader *r, struct tt_string *out);

static int class_escape(struct reader *r, struct class_operand *set)
{
    r->at++;
    const struct meaning *m = MEANING(meanings, *r->at);
    if (!m && *r->at == 'b')
        m = MEANING(assertions, 'b');
    if (!m)
        return other_escape(r, &set->plain);
    const char *inside = m->inside ? m->inside : m->outside;
    tt_string_add(*inside == '[' ? &set->parts : &set->plain, *inside == '[' ? "|%s" : "%s", inside);
    r->at++;
    return 0;
}

static int class_item(struct reader *r, struct class_operand *set)
{
    if (*r->at == '\\')
        return class_escape(r, set);
    if (*r->at == '[') {
        if (r->at[1] == ':')
            return refuse(r, "a POSIX bracket");
        tt_string_add(&set->parts, "|");
        return class(r, &set->parts);
    }
    size_t length = tt_utf8_length((unsigned char)*r->at);
    tt_string_add_bytes(&set->plain, r->at, length);
    r->at += length;
    return 0;
}

/* One operand as an expression that matches one character; `negated` only where there is nothing but items. */
static void put_operand(const struct class_operand *set, bool negated, struct tt_string *out)
{
    const char *parts = set->parts.text ? set->parts.text : "";
    if (!*parts)
        tt_string_add(out, "[%s%s]", negated ? "^" : "", set->plain.text ? set->plain.text : "");
    else if (set->plain.length)
        tt_string_add(out, "(?:[%s]%s)", set->plain.text, parts);
    else
        tt_string_add(out, "(?:%s)", parts + 1);
}

static void end_operand(struct class_operand *set, struct tt_string *conditions)
{
    tt_string_add(conditions, "(?=");
    put_operand(set, false, conditions);
    tt_string_add(conditions, ")");
    tt_string_free(&set->plain);
    tt_string_free(&set->parts);
    *set = (struct class_operand){0};
}

static int class_items(struct reader *r, struct class_operand *set, struct tt_string *conditions)
{
    bool first = true;
    for (; *r->at && (*r->at != ']' || first); first = false) {
        if (*r->at == ']') {
            tt_string_add(&set->plain, "\\]");
            r->at++;
        } else if (strncmp(r->at, "&&", 2) == 0) {
            end_operand(set, conditions);
            r->at += 2;
        } else if (class_item(r, set)) {
            return -1;
        }
    }
    if (*r->at != ']')
        return refuse(r, "a class without its end");
    r->at++;
    return set->plain.length || set->parts.length ? 0 : refuse(r, "an empty class");
}

static void put_class(const struct class_operand *set, const struct tt_string *conditions, bool negated, struct tt_string *out)
{
    bool simple = !conditions->length && !set->parts.length;
    if (simple) {
        put_operand(set, negated, out);
        return;
    }
    tt_string_add(out, negated ? "(?:(?!%s" : "(?:%s", conditions->text ? conditions->text : "");
    put_operand(set, false, out);
    tt_string_add(out, negated ? ")(?s:.))" : ")");
}

/* At '['. */
static int class(struct reader *r, struct tt_string *out)
{
    struct class_operand set = {0};
    struct tt_string conditions = {0};
    r->at++;
    bool negated = *r->at == '^';
    r->at += negated;
    int failed = class_items(r, &set, &conditions);
    if (!failed)
        put_class(&set, &conditions, negated, out);
    tt_string_free(&set.plain);
    tt_string_free(&set.parts);
    tt_string_free(&conditions);
    return failed;
}

/* ---- ignoring case: PCRE2 compares character by character, Oniguruma also "ss" with "ß" ---- */

static bool folds_to_several(const char *text)
{
    static const char *const pairs[] = {"ss", "st", "ff", "fi", "fl"};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (strcasestr(text, pairs[i]))
            return true;
    for (size_t at = 0, length = strlen(text); at < length;)
        if (tt_folds_to_several(tt_utf8_next(text, length, &at)))
            return true;
    return false;
}

/* At "(?". */
static int check_case(struct reader *r)
{
    size_t flags = strspn(r->at + 2, "im-"), on = strcspn(r->at + 2, "-:)");
    bool ignores = memchr(r->at + 2, 'i', on < flags ? on : flags) != NULL;
    return ignores && folds_to_several(r->at + 2) ? refuse(r, "ignoring case where one letter may equal two") : 0;
}

/* ---- the rest ---- */

/* At "(?": what stands before the group's content. */
static int group_head(struct reader *r, struct tt_string *out)
{
    static const char *const heads[] = {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        size_t length = strlen(heads[i]);
        if (strncmp(r->at, heads[i], length) == 0) {
            tt_string_add(out, "%s", heads[i]);
            r->at += length;
            return 0;
        }
    }
    size_t n = strspn(r->at + 2, "im-");
    if (!n || !strchr(":)", r->at[2 + n]) || !r->at[2 + n])
        return refuse(r, "this kind of group");
    if (check_case(r))
        return -1;
    tt_string_add(out, "(?");
    for (size_t i = 0; i < n; i++)
        tt_string_add(out, "%c", r->at[2 + i] == 'm' ? 's' : r->at[2 + i]);
    tt_string_add(out, "%c", r->at[2 + n]);
    r->at += 3 + n;
    return 0;
}

/* Length of {n}, {n,}, {,m}, {n,m} at `at`; 0: these braces mean themselves. */
static size_t interval(const char *at, bool *fixed)
{
    size_t first = strspn(at + 1, "0123456789"), i = 1 + first, second = 0;
    bool comma = at[i] == ',';
    if (comma) {
        second = strspn(at + i + 1, "0123456789");
        i += 1 + second;
    }
    *fixed = !comma;
    return at[i] == '}' && (first || second) ? i + 1 : 0;
}

static void insert(struct tt_string *out, size_t at, const char *text)
{
    size_t length = strlen(text), tail = out->length - at;
    tt_string_add(out, "%s", text);
    memmove(out->text + at + length, out->text + at, tail);
    memcpy(out->text + at, text, length);
}

/* {n,m}+ repeats the repetition and {n}? makes it optional, where PCRE2 means possessive and lazy. */
static bool braces(struct reader *r, struct tt_string *out, size_t atom)
{
    bool fixed;
    size_t length = interval(r->at, &fixed);
    if (!length)
        return false;
    char after = r->at[length];
    bool again = after == '+' || (after == '?' && fixed);
    if (again)
        insert(out, atom, "(?:");
    tt_string_add(out, r->at[1] == ',' ? "{0%.*s" : "{%.*s", (int)length - 1, r->at + 1);
    if (again)
        tt_string_add(out, ")");
    r->at += length;
    return true;
}

static int escape(struct reader *r, struct tt_string *out)
{
    r->at++;
    const struct meaning *m = MEANING(meanings, *r->at);
    m = m ? m : MEANING(assertions, *r->at);
    if (!m)
        return other_escape(r, out);
    tt_string_add(out, "%s", m->outside);
    r->at++;
    return 0;
}

struct groups {
    size_t start[MAX_GROUPS]; /* in the translation */
    int depth;
};

static int open_group(struct reader *r, struct tt_string *out, struct groups *groups)
{
    if (groups->depth == MAX_GROUPS)
        return refuse(r, "so deep a nesting");
    groups->start[groups->depth++] = out->length;
    if (r->at[1] != '?') {
        tt_string_add(out, "(");
        r->at++;
        return 0;
    }
    if (group_head(r, out))
        return -1;
    if (r->at[-1] == ')') /* (?i) alone: no group */
        groups->depth--;
    return 0;
}

/* One element; *atom becomes its place in the translation where a quantifier may follow. */
static int element(struct reader *r, struct tt_string *out, struct groups *groups, size_t *atom)
{
    size_t start = out->length;
    if (*r->at == '(')
        return open_group(r, out, groups);
    if (*r->at == '{' && braces(r, out, *atom))
        return 0;
    if (strchr("*+?|^$", *r->at)) {
        tt_string_add_bytes(out, r->at++, 1);
        return 0;
    }
    *atom = start;
    if (*r->at == '[')
        return class(r, out);
    if (*r->at == '\\')
        return escape(r, out);
    if (*r->at == ')' && groups->depth)
        *atom = groups->start[--groups->depth];
    size_t length = tt_utf8_length((unsigned char)*r->at);
    tt_string_add(out, strchr("{}]", *r->at) ? "\\%.*s" : "%.*s", (int)length, r->at);
    r->at += length;
    return 0;
}

char *tt_pattern_translate(const char *text, bool scripts, struct tt_error *error)
{
    struct reader r = {text, scripts, error};
    struct tt_string out = {0};
    struct groups groups = {.depth = 0};
    size_t atom = 0;
    while (*r.at)
        if (element(&r, &out, &groups, &atom)) {
            tt_string_free(&out);
            return NULL;
        }
    return out.text ? out.text : tt_strdup("");
}
