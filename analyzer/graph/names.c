/* SPDX-License-Identifier: Apache-2.0
 *
 * Which value a name in an architecture file means, from the place where it stands.
 */
#include <stdio.h>
#include <string.h>

#include "graph/private.h"

/* The latest node of that component in this repetition; -1: none. */
static int find_in(const struct tt_graph *graph, const char *component, int layer, int iteration)
{
    for (int i = graph->nnodes - 1; i >= 0; i--) {
        const struct tt_node *node = &graph->nodes[i];
        if (node->layer == layer && node->iteration == iteration && strcmp(node->component, component) == 0)
            return i;
    }
    return -1;
}

static int find_latest(const struct tt_graph *graph, const char *component)
{
    for (int i = graph->nnodes - 1; i >= 0; i--)
        if (strcmp(graph->nodes[i].component, component) == 0)
            return i;
    return -1;
}

const char *tt_with_stack(const char *stack, const char *name, char *out, size_t size)
{
    if (!*stack)
        return name;
    snprintf(out, size, "%s.%s", stack, name);
    return out;
}

static const struct carry *find_carry(const struct tt_graph *graph, const char *name)
{
    for (int i = graph->ncarries - 1; i >= 0; i--)
        if (strcmp(graph->carries[i].name, name) == 0)
            return &graph->carries[i];
    return NULL;
}

/* From the innermost block outwards; behind all blocks a name of a block means its last repetition's. */
static int resolve_name(const struct tt_graph *graph, const char *name, const struct place *place)
{
    char full[320];
    const struct carry *carry = find_carry(graph, name);
    if (carry)
        return carry->current;
    for (const struct place *p = place; p; p = p->outer) {
        int index = find_in(graph, tt_with_stack(p->stack, name, full, sizeof full), p->layer, p->iteration);
        if (index >= 0)
            return index;
        if (p->layer < 0 && p == place)
            return find_latest(graph, name);
        if (strchr(name, '.') && (index = find_in(graph, name, p->layer, p->iteration)) >= 0)
            return index;
    }
    return -1;
}

/* "name@expression": the node of that layer. */
static int resolve_layer(const struct tt_graph *graph, const char *text, const char *at, const struct place *place)
{
    char name[128], full[320];
    struct tt_scalar layer;
    snprintf(name, sizeof name, "%.*s", (int)(at - text), text);
    if (tt_graph_evaluate(graph, at + 1, place->layer, &layer, NULL) || layer.is_string)
        return -1;
    return find_in(graph, tt_with_stack(place->stack, name, full, sizeof full), (int)layer.number, place->iteration);
}

/* One input: "a|b": the first that exists. */
int tt_graph_resolve_at(const struct tt_graph *graph, const char *text, const struct place *place)
{
    char one[256];
    int index = -1;
    while (index < 0 && *text) {
        size_t length = strcspn(text, "|");
        snprintf(one, sizeof one, "%.*s", (int)(length < sizeof one ? length : sizeof one - 1), text);
        const char *at = strchr(one, '@');
        index = at ? resolve_layer(graph, one, at, place) : resolve_name(graph, one, place);
        text += length + (text[length] == '|');
    }
    return index;
}

int tt_graph_resolve(const struct tt_graph *graph, const char *name, int layer)
{
    const struct carry *carry = find_carry(graph, name);
    if (carry && layer >= 0 && layer < carry->nat)
        return carry->at[layer];
    struct place ends = {.stack = "", .layer = -1, .iteration = -1};
    struct place here = {.outer = &ends, .stack = "", .layer = layer, .iteration = -1};
    return tt_graph_resolve_at(graph, name, layer < 0 ? &ends : &here);
}
