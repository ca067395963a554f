/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside a span nobody sees a single op's output, so an op cannot recover its own parameters. What is left:
 * - ops that share their settings share their faults: queries and keys are rotated by the same tables, so a wrong form
 *   is tried in all of them at once;
 * - masks and caches change nothing for the tokens before the one where they first matter: the first wrong row tells
 *   which key or how wide a window.
 */
#include <stdio.h>
#include <string.h>

#include "diagnose/hypotheses.h"

#define WRONG_ROW   100 /* mean (error / sigma)² of a row that is wrong */
#define FEW_KEYS    64  /* every key is tried where there are no more */

/* ---- ops with the same settings ---- */

static bool same_attributes(const struct tt_attributes *a, const struct tt_attributes *b)
{
    for (int i = 0; i < a->count; i++) {
        const struct tt_attribute_value *item = &a->items[i];
        const char *other = tt_attributes_string(b, item->name, NULL);
        if (item->string ? !other || strcmp(other, item->string) != 0
                         : other || tt_attributes_number(b, item->name, item->number + 1) != item->number)
            return false;
    }
    return a->count == b->count;
}

static bool siblings(const struct tt_node *a, const struct tt_node *b)
{
    return a->op && a->op == b->op && a->layer == b->layer && a->weight[0] == b->weight[0] &&
           same_attributes(&a->attributes, &b->attributes);
}

struct tt_siblings tt_siblings_of(const struct tt_diagnosis *d, const int *nodes, int n, int node)
{
    struct tt_siblings found = {1, {node}};
    for (int i = 0; i < n; i++) {
        if (nodes[i] == node || (d->confirmed && d->confirmed[nodes[i]]) ||
            !siblings(tt_graph_node(d->graph, node), tt_graph_node(d->graph, nodes[i])))
            continue;
        if (nodes[i] < node || found.count == TT_MAX_SIBLINGS)
            return (struct tt_siblings){0};
        found.node[found.count++] = nodes[i];
    }
    return found;
}

/* The override of the first one for all of them. */
static void repeat(struct tt_hypothesis *h, const struct tt_siblings *group)
{
    for (int i = 1; i < group->count; i++) {
        struct tt_override *other = tt_overrides_add(&h->overrides, group->node[i]);
        const struct tt_attributes *set = &h->overrides.items[0].set;
        for (int j = 0; j < set->count; j++) {
            struct tt_scalar value = set->items[j].string ? tt_scalar_string(set->items[j].string)
                                                          : tt_scalar_number(set->items[j].number);
            tt_override_set(other, set->items[j].name, &value);
        }
    }
}

static void add_shared_variants(const struct tt_diagnosis *d, const struct tt_siblings *group, struct tt_hypotheses *out)
{
    const struct tt_op *op = tt_graph_node(d->graph, group->node[0])->op;
    for (const struct tt_variant *v = op->variants; v && v->cause; v++) {
        int before = out->count;
        tt_hypotheses_form(d, group->node[0], v, out);
        if (out->count > before)
            repeat(&out->items[before], group);
    }
}

static struct tt_hypothesis *add_number(struct tt_hypotheses *out, int node, const char *cause, const char *attribute,
                                        int64_t number)
{
    struct tt_hypothesis *h = tt_hypotheses_add(out, node, TT_FROM_RECOVERY, cause);
    struct tt_scalar value = tt_scalar_number((double)number);
    tt_override_set(tt_overrides_add(&h->overrides, node), attribute, &value);
    return h;
}

/* A counter that is not advanced any more stays at the last token of the pass before. */
static void add_stuck(const struct tt_diagnosis *d, const struct tt_siblings *group, struct tt_hypotheses *out)
{
    const struct tt_pass_inputs *inputs = &d->pass->inputs;
    int64_t cached = inputs->nkeys - inputs->ntokens;
    if (cached <= 0 || strcmp(tt_graph_node(d->graph, group->node[0])->op->name, "rope") != 0)
        return;
    int64_t last = inputs->key_positions[cached - 1];
    struct tt_hypothesis *h = add_number(out, group->node[0], "rope.position_stuck", "stuck_position", last);
    repeat(h, group);
    snprintf(h->expected, sizeof h->expected, "position %lld", (long long)inputs->positions[0]);
    snprintf(h->found, sizeof h->found, "position %lld", (long long)last);
}

/* ---- the first wrong row ---- */

static bool row_is_wrong(const struct tt_observation *target, const struct tt_value *expected, int64_t row)
{
    int64_t width = tt_value_count(expected) / expected->shape[0], judged = 0;
    double sum = 0;
    for (int64_t i = row * width; i < (row + 1) * width; i++) {
        double error = target->value.v[i] - expected->v[i], variance = expected->var ? expected->var[i] : 0;
        if (tt_unknown(variance) || !(error * error > 0))
            continue;
        sum += error * error / (variance > 0 ? variance : 1e-300);
        judged++;
    }
    return judged > 0 && sum > WRONG_ROW * (double)width;
}

/* Token of the pass that is the first wrong one; -1: none, or not every token was seen. */
static int64_t first_wrong_token(const struct tt_diagnosis *d, const struct tt_observation *target)
{
    struct tt_value expected;
    int64_t found = -1;
    if (!tt_observation_complete(target) || tt_evaluate_as(d->evaluator, target, NULL, &expected, NULL))
        return -1;
    if (tt_value_count(&expected) == tt_value_count(&target->value) && expected.shape[0] == d->pass->inputs.ntokens)
        for (int64_t row = 0; row < expected.shape[0] && found < 0; row++)
            if (row_is_wrong(target, &expected, row))
                found = row;
    tt_value_free(&expected);
    return found;
}

static void add_window(int node, int64_t window, struct tt_hypotheses *out)
{
    struct tt_hypothesis *h = add_number(out, node, "attn.window", "window", window);
    snprintf(h->expected, sizeof h->expected, "every earlier token");
    snprintf(h->found, sizeof h->found, "the last %lld tokens", (long long)window);
}

static void add_hole(int node, int64_t row, struct tt_hypotheses *out)
{
    struct tt_hypothesis *h = add_number(out, node, "kv.hole", "hole_row", row);
    snprintf(h->expected, sizeof h->expected, "row %lld as written", (long long)row);
    snprintf(h->found, sizeof h->found, "never written: zeros");
}

/* Windows and holes that could begin to matter at `token`; all of them where keys are few. */
static void add_from_row(const struct tt_diagnosis *d, int index, int64_t token, struct tt_hypotheses *out)
{
    const struct tt_node *node = tt_graph_node(d->graph, index);
    const struct tt_pass_inputs *inputs = &d->pass->inputs;
    int64_t nkeys = inputs->nkeys, first = nkeys <= FEW_KEYS ? 0 : nkeys - inputs->ntokens + token,
            end = nkeys <= FEW_KEYS ? nkeys : first + 1;
    bool windowless = node->op && strcmp(node->op->name, "softmax") == 0 &&
                      tt_attributes_number(&node->attributes, "window", 0) == 0;
    for (int64_t key = first; key < end; key++) {
        if (node->state)
            add_hole(index, key, out);
        else if (windowless && key > 0)
            add_window(index, key, out);
    }
}

void tt_hypotheses_of_unseen(const struct tt_diagnosis *d, const struct tt_observation *target, const int *nodes, int n,
                             struct tt_hypotheses *out)
{
    int64_t token = n > 1 ? first_wrong_token(d, target) : -1;
    for (int i = 0; i < n; i++) {
        if (d->confirmed && d->confirmed[nodes[i]])
            continue;
        struct tt_siblings group = tt_siblings_of(d, nodes, n, nodes[i]);
        if (group.count > 1) {
            add_shared_variants(d, &group, out);
            add_stuck(d, &group, out);
        }
        if (token >= 0)
            add_from_row(d, nodes[i], token, out);
    }
}
