/* SPDX-License-Identifier: Apache-2.0
 *
 * Attributes that the weights' order and folding already account for are left out. Numbers agree when a GGUF's f32 does;
 * where settings differ, a node that computes the same all the same has none.
 */
#include "inspect/settings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "inspect/behaviour.h"

#define F32 2e-6 /* relative */

/* ---- values ---- */

static bool same_value(const struct tt_scalar *a, const struct tt_scalar *b)
{
    if (a->is_string || b->is_string)
        return a->is_string == b->is_string && strcmp(a->text, b->text) == 0;
    return a->number == b->number || fabs(a->number - b->number) <= F32 * fmax(fabs(a->number), fabs(b->number)) ||
           (isnan(a->number) && isnan(b->number));
}

static void value_text(const struct tt_scalar *value, char *text, size_t size)
{
    if (value->is_string)
        snprintf(text, size, "%s", value->text);
    else
        snprintf(text, size, "%.7g", value->number); /* 1e-6 of an f32 is 1e-6 */
}

void tt_config_text(const struct tt_graph_config_entry *entry, char *text, size_t size)
{
    struct tt_string out = {0};
    for (int i = 0, run; i < entry->nvalues; i += run) {
        char word[80];
        run = 1;
        while (i + run < entry->nvalues && same_value(&entry->values[i], &entry->values[i + run]))
            run++;
        value_text(&entry->values[i], word, sizeof word);
        bool alone = entry->nvalues == run;
        tt_string_add(&out, alone ? "%s%s" : run > 1 ? "%s%s x%d" : "%s%s", i ? ", " : "", word, run);
    }
    snprintf(text, size, "%s", out.text ? out.text : "");
    tt_string_free(&out);
}

/* ---- attributes of a node, its op's defaults where it says nothing ---- */

struct defaults {
    struct tt_attributes attributes;
    char words[16][64]; /* of its strings */
    int nwords;
};

static int set_default(void *user, const char *name, const struct tt_scalar *value)
{
    struct defaults *defaults = user;
    if (!value->is_string)
        return tt_attributes_set_number(&defaults->attributes, name, value->number);
    if (defaults->nwords == (int)(sizeof defaults->words / sizeof *defaults->words))
        return 0;
    char *word = defaults->words[defaults->nwords++];
    strcpy(word, value->text);
    return tt_attributes_set_string(&defaults->attributes, name, word);
}

static bool own_attribute(const struct tt_attributes *attributes, const char *name, struct tt_scalar *out)
{
    for (int i = attributes->count - 1; i >= 0; i--) {
        const struct tt_attribute_value *item = &attributes->items[i];
        if (strcmp(item->name, name) == 0) {
            *out = item->string ? tt_scalar_string(item->string) : tt_scalar_number(item->number);
            return true;
        }
    }
    return false;
}

static bool attribute(const struct tt_graph *graph, const struct tt_node *node, const char *name, struct tt_scalar *out)
{
    struct defaults defaults = {0};
    struct tt_graph_scope names = {.graph = graph, .attributes = &node->attributes};
    struct tt_scope scope = tt_graph_scope(&names);
    if (own_attribute(&node->attributes, name, out))
        return true;
    if (node->op && node->op->defaults)
        tt_assignments(node->op->defaults, &scope, set_default, &defaults, NULL);
    return own_attribute(&defaults.attributes, name, out);
}

/* ---- the list of differences ---- */

static void add_word(char *list, size_t size, const char *word)
{
    size_t length = strlen(list);
    const char *at = strstr(list, word);
    if (at && (at[strlen(word)] == 0 || at[strlen(word)] == ','))
        return;
    snprintf(list + length, size - length, "%s%s", length ? ", " : "", word);
}

static struct tt_setting_difference *row_of(struct tt_setting_differences *d, const char *name, const char *expected,
                                            const char *found)
{
    for (int i = 0; i < d->count; i++)
        if (strcmp(d->items[i].name, name) == 0 && strcmp(d->items[i].expected, expected) == 0 &&
            strcmp(d->items[i].found, found) == 0)
            return &d->items[i];
    d->items = tt_grow(d->items, (size_t)d->count + 1, sizeof *d->items);
    struct tt_setting_difference *row = &d->items[d->count++];
    *row = (struct tt_setting_difference){.layer = -2};
    snprintf(row->name, sizeof row->name, "%s", name);
    snprintf(row->expected, sizeof row->expected, "%s", expected);
    snprintf(row->found, sizeof row->found, "%s", found);
    return row;
}

static void add_difference(struct tt_setting_differences *d, const struct tt_node *node, const char *name,
                           const char *expected, const char *found)
{
    struct tt_setting_difference *row = row_of(d, name, expected, found);
    if (row->layer == -2)
        row->layer = node->layer;
    row->nlayers = node->layer >= 0 && node->layer - row->layer + 1 > row->nlayers ? node->layer - row->layer + 1 : row->nlayers;
    add_word(row->components, sizeof row->components, node->blame);
}

static bool same_attribute(const struct tt_graph *a, const struct tt_node *in_a, const struct tt_graph *b,
                           const struct tt_node *in_b, const char *name, struct tt_scalar *one, struct tt_scalar *other)
{
    bool has_a = attribute(a, in_a, name, one), has_b = attribute(b, in_b, name, other);
    if (!has_a)
        *one = tt_scalar_string("not set");
    if (!has_b)
        *other = tt_scalar_string("not set");
    return tt_accounted_for(in_a, name) || same_value(one, other);
}

static void compare_attribute(const struct tt_graph *a, const struct tt_node *in_a, const struct tt_graph *b,
                              const struct tt_node *in_b, const char *name, struct tt_setting_differences *d)
{
    struct tt_scalar one, other;
    char expected[64], found[64];
    if (same_attribute(a, in_a, b, in_b, name, &one, &other))
        return;
    value_text(&one, expected, sizeof expected);
    value_text(&other, found, sizeof found);
    add_difference(d, in_a, name, expected, found);
}

static bool differs(const struct tt_graph *a, const struct tt_node *in_a, const struct tt_graph *b, const struct tt_node *in_b)
{
    struct tt_scalar one, other;
    for (int i = 0; i < in_a->attributes.count; i++)
        if (!same_attribute(a, in_a, b, in_b, in_a->attributes.items[i].name, &one, &other))
            return true;
    for (int i = 0; i < in_b->attributes.count; i++)
        if (!same_attribute(a, in_a, b, in_b, in_b->attributes.items[i].name, &one, &other))
            return true;
    return false;
}

static void compare_attributes(struct tt_graph *a, const struct tt_node *in_a, struct tt_graph *b, const struct tt_node *in_b,
                               struct tt_setting_differences *d)
{
    struct tt_scalar known;
    if (!differs(a, in_a, b, in_b) || tt_same_behaviour(a, in_a, b, in_b))
        return;
    for (int i = 0; i < in_a->attributes.count; i++)
        compare_attribute(a, in_a, b, in_b, in_a->attributes.items[i].name, d);
    for (int i = 0; i < in_b->attributes.count; i++)
        if (!own_attribute(&in_a->attributes, in_b->attributes.items[i].name, &known))
            compare_attribute(a, in_a, b, in_b, in_b->attributes.items[i].name, d);
}

static void compare_axes(const struct tt_node *in_a, const struct tt_node *in_b, struct tt_setting_differences *d)
{
    for (int i = 0; i < in_a->rank && i < in_b->rank; i++) {
        char expected[64], found[64];
        if (in_a->axes[i] == in_b->axes[i])
            continue;
        snprintf(expected, sizeof expected, "%lld", (long long)in_a->axes[i]);
        snprintf(found, sizeof found, "%lld", (long long)in_b->axes[i]);
        add_difference(d, in_a, "axis", expected, found);
    }
}

static bool is_product(const char *op)
{
    return strcmp(op, "linear") == 0 || strcmp(op, "bias") == 0;
}

static void compare_nodes(struct tt_graph *a, const struct tt_node *in_a, struct tt_graph *b,
                          const struct tt_node *in_b, struct tt_setting_differences *d)
{
    const char *op_a = in_a->op ? in_a->op->name : "cache", *op_b = in_b->op ? in_b->op->name : "cache";
    if (is_product(op_a) && is_product(op_b) && strcmp(op_a, op_b) != 0)
        return; /* one has a bias, the other none: told by the weights */
    if (strcmp(op_a, op_b) != 0) {
        add_difference(d, in_a, "op", op_a, op_b);
        return;
    }
    compare_axes(in_a, in_b, d);
    if (in_a->op)
        compare_attributes(a, in_a, b, in_b, d);
}

/* ---- the entries behind a difference ---- */

static const struct tt_graph_config_entry *entry_named(const struct tt_graph *graph, const char *name,
                                                       struct tt_graph_config_entry *out)
{
    for (int i = 0; i < tt_graph_nconfig(graph); i++) {
        *out = tt_graph_config_at(graph, i);
        if (strcmp(out->name, name) == 0)
            return out;
    }
    return NULL;
}

static bool same_entry(const struct tt_graph_config_entry *a, const struct tt_graph_config_entry *b)
{
    int most = a->nvalues > b->nvalues ? a->nvalues : b->nvalues;
    for (int i = 0; i < most; i++)
        if (!same_value(&a->values[i < a->nvalues ? i : a->nvalues - 1], &b->values[i < b->nvalues ? i : b->nvalues - 1]))
            return false;
    return true;
}

static bool has_value(const struct tt_graph_config_entry *entry, const char *text)
{
    char value[80];
    for (int i = 0; i < entry->nvalues; i++) {
        value_text(&entry->values[i], value, sizeof value);
        if (strcmp(value, text) == 0)
            return true;
    }
    return false;
}

/* Entries that differ; of a row first those that have its two values. */
static void name_entries(const struct tt_graph *a, const struct tt_graph *b, struct tt_setting_difference *row, bool exactly)
{
    for (int i = 0; i < tt_graph_nconfig(a); i++) {
        struct tt_graph_config_entry one = tt_graph_config_at(a, i), other;
        size_t length = strlen(row->evidence);
        char text_a[64], text_b[64];
        if (!entry_named(b, one.name, &other) || same_entry(&one, &other) || length > sizeof row->evidence - 40 ||
            (exactly && (!has_value(&one, row->expected) || !has_value(&other, row->found))))
            continue;
        tt_config_text(&one, text_a, sizeof text_a);
        tt_config_text(&other, text_b, sizeof text_b);
        snprintf(row->evidence + length, sizeof row->evidence - length, "%s%s: %s (%s) against %s (%s)", length ? "; " : "",
                 one.name, text_a, one.source, text_b, other.source);
    }
}

/* A number that one of the files does not state, or that belongs to its kind of file, is no difference between two models. */
static bool is_stated(const struct tt_graph_config_entry *entry)
{
    static const char *const other[] = {"defined by the family", "default", "length of an array", "shape of a tensor"};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (strcmp(entry->source, other[i]) == 0)
            return false;
    return true;
}

static bool is_named(const struct tt_setting_differences *d, const char *name)
{
    char words[64];
    snprintf(words, sizeof words, "%s: ", name);
    for (int i = 0; i < d->count; i++)
        if (strstr(d->items[i].evidence, words))
            return true;
    return false;
}

static void add_unused(const struct tt_graph *a, const struct tt_graph *b, struct tt_setting_differences *d)
{
    for (int i = 0; i < tt_graph_nconfig(a); i++) {
        struct tt_graph_config_entry one = tt_graph_config_at(a, i), other;
        if (!entry_named(b, one.name, &other) || same_entry(&one, &other) || !is_stated(&one) ||
            !is_stated(&other) || is_named(d, one.name))
            continue;
        d->unused = tt_grow(d->unused, (size_t)d->nunused + 1, sizeof *d->unused);
        struct tt_setting_difference *row = &d->unused[d->nunused++];
        *row = (struct tt_setting_difference){.layer = -1};
        snprintf(row->name, sizeof row->name, "%s", one.name);
        tt_config_text(&one, row->expected, sizeof row->expected);
        tt_config_text(&other, row->found, sizeof row->found);
    }
}

/* Nodes are the same work in both: those that one family has more are told as missing parts. */
static void add_missing(const struct tt_graph *from, const struct tt_graph *in, bool in_b, struct tt_setting_differences *d)
{
    for (int i = 0; i < tt_graph_nnodes(from); i++) {
        const struct tt_node *node = tt_graph_node(from, i);
        if (!node->internal && !node->optional_end && tt_graph_find_at(in, node->component, node->layer, node->iteration) < 0)
            add_difference(d, node, "part", in_b ? "there" : "none", in_b ? "none" : "there");
    }
}

struct tt_setting_differences tt_compare_settings(struct tt_graph *a, struct tt_graph *b)
{
    struct tt_setting_differences d = {0};
    for (int i = 0; i < tt_graph_nnodes(a); i++) {
        const struct tt_node *in_a = tt_graph_node(a, i);
        int at = tt_graph_find_at(b, in_a->component, in_a->layer, in_a->iteration);
        if (at >= 0)
            compare_nodes(a, in_a, b, tt_graph_node(b, at), &d);
    }
    add_missing(a, b, true, &d);
    add_missing(b, a, false, &d);
    for (int i = 0; i < d.count; i++) {
        name_entries(a, b, &d.items[i], true);
        if (!d.items[i].evidence[0])
            name_entries(a, b, &d.items[i], false);
    }
    add_unused(a, b, &d);
    return d;
}

void tt_setting_differences_free(struct tt_setting_differences *d)
{
    free(d->items);
    free(d->unused);
    *d = (struct tt_setting_differences){0};
}
