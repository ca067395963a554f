/* SPDX-License-Identifier: Apache-2.0
 *
 * Hypotheses are data: the ops' variants, the family's rewrites, the ops' recoveries. This file turns each into
 * overrides and describes what differs.
 */
#include "diagnose/hypotheses.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diagnose/weights.h"

#define MAX_RECOVERIES 8
#define MAX_OTHER_WEIGHTS 64

struct tt_hypothesis *tt_hypotheses_add(struct tt_hypotheses *list, int node, enum tt_hypothesis_origin origin,
                                        const char *cause)
{
    if (list->count == list->capacity) {
        /* overrides point into themselves: items must be copied one by one */
        int capacity = list->capacity ? 2 * list->capacity : 32;
        struct tt_hypothesis *items = tt_alloc_array((size_t)capacity, sizeof *items);
        for (int i = 0; i < list->count; i++) {
            items[i] = list->items[i];
            tt_overrides_copy(&items[i].overrides, &list->items[i].overrides);
        }
        free(list->items);
        list->items = items;
        list->capacity = capacity;
    }
    struct tt_hypothesis *made = &list->items[list->count++];
    memset(made, 0, sizeof *made);
    made->node = node;
    made->origin = origin;
    snprintf(made->cause, sizeof made->cause, "%s", cause);
    return made;
}

void tt_hypotheses_free(struct tt_hypotheses *list)
{
    free(list->items);
    *list = (struct tt_hypotheses){0};
}

/* ---- expressions over a node ---- */

struct defaults {
    struct tt_graph *graph;
    struct tt_override *override;
};

static int set_default(void *user, const char *name, const struct tt_scalar *value)
{
    const struct defaults *defaults = user;
    return tt_override_set(defaults->override, tt_graph_intern(defaults->graph, name), value);
}

/* The node's attributes on top of its op's defaults, and has_<role> for each weight the op could have. */
static void full_attributes(struct tt_graph *graph, const struct tt_node *node, struct tt_override *holder)
{
    struct tt_graph_scope names = {.graph = graph};
    struct tt_scope scope = tt_graph_scope(&names);
    memset(holder, 0, sizeof *holder);
    if (node->op && node->op->defaults)
        tt_assignments(node->op->defaults, &scope, set_default, &(struct defaults){graph, holder}, NULL);
    for (int i = 0; node->op && i < TT_OP_MAX_WEIGHTS && node->op->weight_roles[i]; i++) {
        char name[64];
        snprintf(name, sizeof name, "has_%s", node->op->weight_roles[i]);
        tt_attributes_set_number(&holder->set, tt_graph_intern(graph, name), node->weight[i] != NULL);
    }
    for (int i = 0; i < node->attributes.count; i++) {
        const struct tt_attribute_value *item = &node->attributes.items[i];
        if (item->string)
            tt_attributes_set_string(&holder->set, item->name, item->string);
        else
            tt_attributes_set_number(&holder->set, item->name, item->number);
    }
}

bool tt_condition_holds(struct tt_graph *graph, const struct tt_node *node, const char *when)
{
    struct tt_override holder; /* attributes only */
    struct tt_scalar value;
    if (!when)
        return true;
    full_attributes(graph, node, &holder);
    struct tt_graph_scope names = {.graph = graph, .attributes = &holder.set};
    struct tt_scope scope = tt_graph_scope(&names);
    return tt_expression(when, &scope, &value, NULL) == 0 && value.number != 0;
}

struct description {
    struct tt_graph *graph;
    const struct tt_override *before;
    struct tt_hypothesis *hypothesis;
    struct tt_override *override;
};

static void show(char *out, size_t size, bool is_string, const char *string, double number)
{
    if (is_string)
        snprintf(out, size, "%s", string);
    else
        snprintf(out, size, "%.9g", number);
}

/* The first attribute that changes is what the fault card shows as expected and found. */
static int set_variant(void *user, const char *name, const struct tt_scalar *value)
{
    struct description *d = user;
    struct tt_hypothesis *h = d->hypothesis;
    if (!h->found[0]) {
        const char *string = tt_attributes_string(&d->before->set, name, NULL);
        double number = tt_attributes_number(&d->before->set, name, 0);
        show(h->expected, sizeof h->expected, string != NULL, string, number);
        show(h->found, sizeof h->found, value->is_string, value->text, value->number);
        if (!value->is_string) { /* a bare 0 or 1 says nothing without its name */
            char text[64];
            snprintf(text, sizeof text, "%.20s %.40s", name, h->expected);
            snprintf(h->expected, sizeof h->expected, "%s", text);
            snprintf(text, sizeof text, "%.20s %.40s", name, h->found);
            snprintf(h->found, sizeof h->found, "%s", text);
        }
    }
    return tt_override_set(d->override, tt_graph_intern(d->graph, name), value);
}

static void add_variant(const struct tt_diagnosis *d, int index, const struct tt_variant *variant,
                        enum tt_hypothesis_origin origin, struct tt_hypotheses *out)
{
    const struct tt_node *node = tt_graph_node(d->graph, index);
    struct tt_override before;
    if (!tt_condition_holds(d->graph, node, variant->when))
        return;
    full_attributes(d->graph, node, &before);
    struct tt_hypothesis *h = tt_hypotheses_add(out, index, origin, variant->cause);
    struct description description = {d->graph, &before, h, tt_overrides_add(&h->overrides, index)};
    struct tt_graph_scope names = {.graph = d->graph, .attributes = &before.set};
    struct tt_scope scope = tt_graph_scope(&names);
    if (tt_assignments(variant->set, &scope, set_variant, &description, NULL))
        out->count--;
}

void tt_hypotheses_form(const struct tt_diagnosis *d, int node, const struct tt_variant *form,
                        struct tt_hypotheses *out)
{
    add_variant(d, node, form, TT_FROM_VARIANT, out);
}

static void add_variants(const struct tt_diagnosis *d, int node, struct tt_hypotheses *out)
{
    const struct tt_node *n = tt_graph_node(d->graph, node);
    const struct tt_variant *variants = n->state ? tt_state_variants : n->op ? n->op->variants : NULL;
    for (const struct tt_variant *v = variants; v && v->cause; v++)
        add_variant(d, node, v, TT_FROM_VARIANT, out);
}

/* ---- wiring ---- */

/* Assignments of a rewrite, over the node's own attributes; NULL: none. */
static bool assign(const struct tt_diagnosis *d, int node, const char *assignments, struct tt_override *override)
{
    struct tt_override before;
    full_attributes(d->graph, tt_graph_node(d->graph, node), &before);
    struct tt_graph_scope names = {.graph = d->graph, .attributes = &before.set};
    struct tt_scope scope = tt_graph_scope(&names);
    return !assignments ||
           tt_assignments(assignments, &scope, set_default, &(struct defaults){d->graph, override}, NULL) == 0;
}

static bool add_rewrite_set(const struct tt_diagnosis *d, const struct tt_rewrite_set *set, int layer,
                            struct tt_overrides *overrides)
{
    int node = tt_graph_resolve(d->graph, set->component, layer);
    struct tt_override *override = node >= 0 ? tt_overrides_add(overrides, node) : NULL;
    if (!override)
        return false;
    if (set->as && (override->as = tt_graph_resolve(d->graph, set->as, layer)) < 0)
        return false;
    override->nin = set->nin;
    for (int i = 0; i < set->nin; i++)
        if ((override->in[i] = tt_graph_resolve(d->graph, set->in[i], layer)) < 0)
            return false;
    return assign(d, node, set->attributes, override);
}

static void add_rewrites(const struct tt_diagnosis *d, int node, struct tt_hypotheses *out)
{
    const struct tt_node *n = tt_graph_node(d->graph, node);
    for (int i = 0; i < tt_graph_nrewrites(d->graph); i++) {
        const struct tt_rewrite *rewrite = tt_graph_rewrite(d->graph, i);
        if (strcmp(rewrite->at, n->component) != 0)
            continue;
        struct tt_hypothesis *h = tt_hypotheses_add(out, node, TT_FROM_REWRITE, rewrite->cause);
        snprintf(h->expected, sizeof h->expected, "as the model defines");
        snprintf(h->found, sizeof h->found, "%s", rewrite->found ? rewrite->found : "other wiring");
        bool whole = true;
        for (int j = 0; j < rewrite->nsets && whole; j++)
            whole = add_rewrite_set(d, &rewrite->sets[j], n->layer, &h->overrides);
        if (!whole)
            out->count--;
    }
}

/* ---- faults already named ---- */

static bool same_kind(const struct tt_node *a, const struct tt_node *b)
{
    return a->op == b->op && a->state == b->state && (a->op || a->state);
}

/* Attributes only: what can be wrong again elsewhere in the same way. */
static bool plain(const struct tt_overrides *repair)
{
    for (int i = 0; i < repair->count; i++)
        if (repair->items[i].weight || repair->items[i].weight_value || repair->items[i].nin >= 0)
            return false;
    return true;
}

/* A fault of several nodes of a layer comes again in the same nodes of another. */
static bool move_others(const struct tt_diagnosis *d, int layer, struct tt_overrides *overrides)
{
    for (int i = 1; i < overrides->count; i++) {
        const struct tt_node *was = tt_graph_node(d->graph, overrides->items[i].node);
        overrides->items[i].node = tt_graph_find(d->graph, was->component, layer);
        if (overrides->items[i].node < 0 || overrides->items[i].node == overrides->items[0].node)
            return false;
    }
    return true;
}

static void add_known(const struct tt_diagnosis *d, int node, struct tt_hypotheses *out)
{
    const struct tt_node *n = tt_graph_node(d->graph, node);
    for (int i = 0; i < d->nknown; i++) {
        const struct tt_fault *fault = &d->known[i];
        const struct tt_override *repair = fault->repair.count ? &fault->repair.items[0] : NULL;
        if (!repair || !same_kind(tt_graph_node(d->graph, repair->node), n) || !plain(&fault->repair))
            continue;
        struct tt_hypothesis *h = tt_hypotheses_add(out, node, TT_FROM_KNOWN, fault->cause);
        tt_overrides_copy(&h->overrides, &fault->repair);
        h->overrides.items[0].node = node;
        if (!move_others(d, n->layer, &h->overrides)) {
            out->count--;
            continue;
        }
        snprintf(h->expected, sizeof h->expected, "%s", fault->expected);
        snprintf(h->found, sizeof h->found, "%s", fault->found);
    }
}

/* ---- recoveries ---- */

/* The op's own output, where the observation shows it: itself, or the rows that this pass wrote into a cache. */
static bool own_output(const struct tt_diagnosis *d, const struct tt_observation *target, int node,
                       struct tt_value *out)
{
    int64_t shape[TT_VALUE_RANK];
    int rank = tt_trace_shape(d->graph, d->pass, node, -1, -1, shape);
    const struct tt_node *t = tt_graph_node(d->graph, target->node);
    if (!tt_observation_complete(target))
        return false;
    if (target->node == node && rank == target->value.rank && shape[rank > 1] == target->value.shape[rank > 1]) {
        *out = tt_value_copy(&target->value);
        return true;
    }
    if (!t->state || t->in[0] != node || rank != 3 || target->value.shape[1] % shape[1])
        return false;
    int64_t first = target->value.shape[0] - shape[0], heads = target->value.shape[1], each = heads / shape[1];
    *out = tt_value_new(rank, shape);
    for (int64_t r = 0; r < shape[0]; r++)
        for (int64_t g = 0; g < shape[1]; g++)
            memcpy(out->v + (r * shape[1] + g) * shape[2],
                   target->value.v + ((first + r) * heads + g * each) * shape[2], (size_t)shape[2] * sizeof *out->v);
    return true;
}

static void add_recoveries(const struct tt_diagnosis *d, const struct tt_observation *target, int node,
                           struct tt_hypotheses *out)
{
    const struct tt_node *n = tt_graph_node(d->graph, node);
    struct tt_value seen = {0};
    struct tt_op_call call;
    struct tt_attributes attributes;
    if (!n->op || !n->op->recover || !own_output(d, target, node, &seen))
        return;
    struct tt_recovery *found = tt_alloc_array(MAX_RECOVERIES, sizeof *found);
    int count = tt_evaluator_call(d->evaluator, node, &call, &attributes, NULL)
                    ? 0
                    : n->op->recover(&call, &seen, found, MAX_RECOVERIES);
    for (int i = 0; i < count; i++) {
        struct tt_hypothesis *h = tt_hypotheses_add(out, node, TT_FROM_RECOVERY, found[i].cause);
        struct tt_override *o = tt_overrides_add(&h->overrides, node);
        for (int j = 0; j < found[i].set.count; j++) {
            const struct tt_attribute_value *item = &found[i].set.items[j];
            struct tt_scalar value =
                item->string ? tt_scalar_string(item->string) : tt_scalar_number(item->number);
            tt_override_set(o, item->name, &value);
        }
        snprintf(h->expected, sizeof h->expected, "%s", found[i].expected);
        snprintf(h->found, sizeof h->found, "%s", found[i].found);
    }
    free(found);
    tt_value_free(&seen);
}

/* ---- other weights ---- */

static bool same_shape(const struct tt_model_tensor *a, const struct tt_model_tensor *b)
{
    return a->rank == b->rank && memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) == 0;
}

/* Another tensor of the graph that would fit in the place of weight 0. */
static void add_weights(const struct tt_diagnosis *d, int node, struct tt_hypotheses *out)
{
    const struct tt_node *n = tt_graph_node(d->graph, node);
    if (!n->op || !n->weight[0] || strcmp(n->op->name, "embedding") == 0 || strcmp(n->op->name, "bias") == 0)
        return;
    bool norm = strcmp(n->op->name, "linear") != 0;
    int added = 0;
    for (int i = 0; i < tt_graph_nnodes(d->graph) && added < MAX_OTHER_WEIGHTS; i++) {
        const struct tt_node *other = tt_graph_node(d->graph, i);
        if (other->op != n->op || !other->weight[0] || other->weight[0] == n->weight[0] ||
            !same_shape(other->weight[0], n->weight[0]))
            continue;
        struct tt_hypothesis *h =
            tt_hypotheses_add(out, node, TT_FROM_WEIGHT, norm ? "norm.wrong_weight" : "linear.wrong_weight");
        tt_overrides_add(&h->overrides, node)->weight = other->weight[0];
        snprintf(h->expected, sizeof h->expected, "%.63s", n->weight[0]->name);
        snprintf(h->found, sizeof h->found, "%.63s", other->weight[0]->name);
        added++;
    }
}

/* ---- the list ---- */

/* An attention product decides which key head a query head reads: its forms belong to what it read. */
static int reader_with_forms(const struct tt_diagnosis *d, const struct tt_observation *target)
{
    if (target->consumer < 0 || target->port != 1 || target->value.rank != 3)
        return -1;
    const struct tt_node *reader = tt_graph_node(d->graph, target->consumer);
    return reader->op && tt_graph_node(d->graph, target->node)->axes[1] != reader->axes[1] ? target->consumer : -1;
}

void tt_hypotheses_listed(const struct tt_diagnosis *d, const int *nodes, int n, struct tt_hypotheses *out)
{
    for (int i = 0; i < n; i++) {
        add_variants(d, nodes[i], out);
        add_rewrites(d, nodes[i], out);
    }
}

void tt_hypotheses_known(const struct tt_diagnosis *d, const struct tt_observation *target, const int *nodes, int n,
                         struct tt_hypotheses *out)
{
    int reader = reader_with_forms(d, target);
    for (int i = 0; i < n; i++)
        add_known(d, nodes[i], out);
    if (reader >= 0)
        add_known(d, reader, out);
}

void tt_hypotheses_collect(const struct tt_diagnosis *d, const struct tt_observation *target, const int *nodes, int n,
                           struct tt_hypotheses *out)
{
    int reader = reader_with_forms(d, target);
    tt_hypotheses_known(d, target, nodes, n, out);
    tt_hypotheses_of_weights(d, nodes, n, out);
    tt_hypotheses_listed(d, nodes, n, out);
    if (reader >= 0)
        add_variants(d, reader, out);
    for (int i = 0; i < n; i++) {
        add_recoveries(d, target, nodes[i], out);
        add_weights(d, nodes[i], out);
    }
    if (tt_graph_node(d->graph, target->node)->state)
        tt_hypotheses_of_rows(d, target, out);
    tt_hypotheses_of_chosen_row(d, target, out);
    tt_hypotheses_of_unseen(d, target, nodes, n, out);
    tt_hypotheses_fit(d, target, nodes, n, out);
}
