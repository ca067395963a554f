/* SPDX-License-Identifier: Apache-2.0
 *
 * Recursive descent over the text, one function per level of binding strength. Values are computed while
 * parsing: expressions are short and run once per model, so there is no tree.
 */
#include "graph/expression.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 64 /* hostile nesting ends here instead of on the stack */

struct parser {
    const char *text;
    const char *at;
    const struct tt_scope *scope;
    struct tt_error *error;
    int depth;
    bool failed;
};

static struct tt_scalar fail(struct parser *p, const char *what)
{
    if (!p->failed)
        tt_fail(p->error, TT_EINPUT, "expression '%s', column %d: %s", p->text, (int)(p->at - p->text) + 1,
                what);
    p->failed = true;
    return tt_scalar_number(NAN);
}

static bool accept(struct parser *p, const char *token)
{
    while (isspace((unsigned char)*p->at))
        p->at++;
    size_t length = strlen(token);
    if (strncmp(p->at, token, length) != 0)
        return false;
    if (length == 1 && strchr("*=<>!&|", *token) && (p->at[1] == '=' || (p->at[1] == *token && *token != '!')))
        return false; /* the first half of a longer operator */
    p->at += length;
    return true;
}

static bool identifier(struct parser *p, char name[64])
{
    while (isspace((unsigned char)*p->at))
        p->at++;
    size_t n = 0;
    while (isalnum((unsigned char)p->at[n]) || p->at[n] == '_')
        n++;
    if (n == 0 || n >= 64 || isdigit((unsigned char)*p->at))
        return false;
    memcpy(name, p->at, n);
    name[n] = 0;
    p->at += n;
    return true;
}

static double round_bf16(double value)
{
    union {
        float f;
        uint32_t u;
    } bits = {.f = (float)value};
    bits.u += 0x7fff + ((bits.u >> 16) & 1);
    bits.u &= 0xffff0000u;
    return bits.f;
}


static const struct {
    const char *name;
    double (*one)(double);
    double (*two)(double, double);
} functions[] = {
    {"sqrt", sqrt, NULL}, {"floor", floor, NULL}, {"ceil", ceil, NULL}, {"abs", fabs, NULL}, {"log", log, NULL},
    {"exp", exp, NULL},   {"min", NULL, fmin},    {"max", NULL, fmax},  {"round_bf16", round_bf16, NULL},
};

static struct tt_scalar conditional(struct parser *p);

/* has(name): names of weights hold dots, so everything up to the parenthesis is the name. */
static struct tt_scalar has_name(struct parser *p)
{
    char name[64];
    size_t n = strcspn(p->at, ")");
    if (p->at[n] != ')' || n >= sizeof name)
        return fail(p, "has() takes one name");
    memcpy(name, p->at, n);
    name[n] = 0;
    p->at += n + 1;
    struct tt_scalar ignored;
    const struct tt_scope *s = p->scope;
    return tt_scalar_number((s->has && s->has(s->user, name)) || s->lookup(s->user, name, &ignored));
}

static struct tt_scalar call(struct parser *p, const char *name)
{
    if (strcmp(name, "has") == 0)
        return has_name(p);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (strcmp(functions[i].name, name) != 0)
            continue;
        double a = conditional(p).number, b = 0;
        if (functions[i].two) {
            if (!accept(p, ","))
                return fail(p, "expected ',' and a second argument");
            b = conditional(p).number;
        }
        if (!accept(p, ")"))
            return fail(p, "expected ')'");
        return tt_scalar_number(functions[i].two ? functions[i].two(a, b) : functions[i].one(a));
    }
    return fail(p, "unknown function");
}

static struct tt_scalar literal(struct parser *p)
{
    struct tt_scalar out = {.is_string = true};
    const char *end = strchr(p->at, '\'');
    if (!end || (size_t)(end - p->at) >= sizeof out.text)
        return fail(p, "unterminated or over-long string");
    memcpy(out.text, p->at, (size_t)(end - p->at));
    p->at = end + 1;
    return out;
}

static struct tt_scalar primary(struct parser *p)
{
    struct tt_scalar out = {0};
    char name[64], *end;
    if (++p->depth > MAX_DEPTH)
        return fail(p, "nested too deeply");
    if (accept(p, "(")) {
        out = conditional(p);
        if (!accept(p, ")"))
            fail(p, "expected ')'");
    } else if (accept(p, "'")) {
        out = literal(p);
    } else if (identifier(p, name)) {
        if (accept(p, "("))
            out = call(p, name);
        else if (strcmp(name, "nan") == 0)
            out = tt_scalar_number(NAN);
        else if (!p->scope->lookup(p->scope->user, name, &out))
            out = fail(p, "unknown name before this column");
    } else {
        double value = strtod(p->at, &end);
        if (end == p->at)
            return fail(p, "expected a value");
        p->at = end;
        out = tt_scalar_number(value);
    }
    p->depth--;
    return out;
}

static struct tt_scalar unary(struct parser *p)
{
    if (++p->depth > MAX_DEPTH)
        return fail(p, "nested too deeply");
    struct tt_scalar out;
    if (accept(p, "-"))
        out = tt_scalar_number(-unary(p).number);
    else if (accept(p, "!"))
        out = tt_scalar_number(unary(p).number == 0);
    else
        out = primary(p);
    if (accept(p, "**"))
        out = tt_scalar_number(pow(out.number, unary(p).number));
    p->depth--;
    return out;
}

static struct tt_scalar product(struct parser *p)
{
    struct tt_scalar left = unary(p);
    for (;;) {
        if (accept(p, "*"))
            left = tt_scalar_number(left.number * unary(p).number);
        else if (accept(p, "/"))
            left = tt_scalar_number(left.number / unary(p).number);
        else if (accept(p, "%"))
            left = tt_scalar_number(fmod(left.number, unary(p).number));
        else
            return left;
    }
}

static struct tt_scalar sum(struct parser *p)
{
    struct tt_scalar left = product(p);
    for (;;) {
        if (accept(p, "+"))
            left = tt_scalar_number(left.number + product(p).number);
        else if (accept(p, "-"))
            left = tt_scalar_number(left.number - product(p).number);
        else
            return left;
    }
}

static bool equal(const struct tt_scalar *a, const struct tt_scalar *b)
{
    if (a->is_string != b->is_string)
        return false;
    return a->is_string ? strcmp(a->text, b->text) == 0 : a->number == b->number;
}

static struct tt_scalar comparison(struct parser *p)
{
    struct tt_scalar left = sum(p), right;
    static const char *const operators[] = {"==", "!=", "<=", ">=", "<", ">"};
    for (int i = 0; i < 6; i++) {
        if (!accept(p, operators[i]))
            continue;
        right = sum(p);
        double a = left.number, b = right.number;
        bool truth[] = {equal(&left, &right), !equal(&left, &right), a <= b, a >= b, a < b, a > b};
        return tt_scalar_number(truth[i]);
    }
    return left;
}

static struct tt_scalar conjunction(struct parser *p)
{
    struct tt_scalar left = comparison(p);
    while (accept(p, "&&")) {
        double right = comparison(p).number;
        left = tt_scalar_number(left.number != 0 && right != 0);
    }
    return left;
}

static struct tt_scalar disjunction(struct parser *p)
{
    struct tt_scalar left = conjunction(p);
    while (accept(p, "||")) {
        double right = conjunction(p).number;
        left = tt_scalar_number(left.number != 0 || right != 0);
    }
    return left;
}

static struct tt_scalar conditional(struct parser *p)
{
    struct tt_scalar test = disjunction(p);
    if (!accept(p, "?"))
        return test;
    struct tt_scalar yes = conditional(p);
    if (!accept(p, ":"))
        return fail(p, "expected ':'");
    struct tt_scalar no = conditional(p);
    return test.number != 0 ? yes : no;
}

/* One expression from p->at; leaves p->at behind it. */
static int parse(struct parser *p, struct tt_scalar *out)
{
    struct tt_scalar value = conditional(p);
    if (p->failed)
        return -1;
    *out = value;
    while (isspace((unsigned char)*p->at))
        p->at++;
    return 0;
}

int tt_expression(const char *text, const struct tt_scope *scope, struct tt_scalar *out, struct tt_error *error)
{
    struct parser p = {.text = text, .at = text, .scope = scope, .error = error};
    if (parse(&p, out))
        return -1;
    if (*p.at) {
        fail(&p, "unexpected text");
        return -1;
    }
    return 0;
}

int tt_assignments(const char *text, const struct tt_scope *scope,
                   int (*set)(void *user, const char *name, const struct tt_scalar *value), void *user,
                   struct tt_error *error)
{
    struct parser p = {.text = text, .at = text, .scope = scope, .error = error};
    do {
        char name[64];
        struct tt_scalar value;
        if (!identifier(&p, name) || !accept(&p, "=")) {
            fail(&p, "expected name=value");
            return -1;
        }
        if (parse(&p, &value))
            return -1;
        if (set(user, name, &value))
            return -1;
    } while (accept(&p, ","));
    if (*p.at) {
        fail(&p, "unexpected text");
        return -1;
    }
    return 0;
}
