/* SPDX-License-Identifier: Apache-2.0
 *
 * A pass ends where a layer that it already has comes again, or an earlier layer follows a later one. Weights whose
 * content or place is known anchor the passes; the rest is filled in by what it reads, its shape and its place.
 *
 * A weight may carry the wrong content (a fault): one that stands between two calls of another layer and would fit
 * there is taken for that layer's, and what it holds is left to verification.
 */
#include "naming/groups.h"

#include <stdlib.h>
#include <string.h>

#include "naming/order.h"

#define MAX_THREADS 64 /* more of them hardly run a model each */

struct walk {
    const struct tt_graph *graph;
    struct tt_products *products;
    struct tt_groups *groups;
    const struct tt_ancestry *ancestry;
    int *bound;    /* [nodes] product index + 1 in the current pass */
    int layer;     /* rank of the last layer named in this pass */
};

bool tt_same_operand(const struct tt_operand *a, const struct tt_operand *b)
{
    if (!a || !b || tt_operand_count(a) != tt_operand_count(b))
        return false;
    if (a->has_digest && b->has_digest)
        return memcmp(&a->digest, &b->digest, sizeof a->digest) == 0;
    return a->address == b->address;
}

static int rank_of(const struct tt_graph *graph, int node)
{
    return tt_graph_node(graph, node)->place;
}

static bool is_linear(const struct tt_node *node)
{
    return node->op && strcmp(node->op->name, "linear") == 0;
}

static bool fits(const struct tt_node *node, const struct tt_product *p)
{
    return is_linear(node) && node->weight[0] && node->weight[0]->rank == 2 && node->weight[0]->shape[0] == p->out &&
           node->weight[0]->shape[1] == p->in;
}

static void open_group(struct walk *w, size_t first)
{
    w->groups->items = tt_grow(w->groups->items, (size_t)w->groups->count + 1, sizeof *w->groups->items);
    w->groups->items[w->groups->count++] = (struct tt_group){first, first};
    memset(w->bound, 0, (size_t)tt_graph_nnodes(w->graph) * sizeof *w->bound);
    w->layer = 0;
}

static void bind(struct walk *w, size_t index, int node)
{
    struct tt_product *p = &w->products->items[index];
    if (!w->groups->count || w->bound[node] || rank_of(w->graph, node) < w->layer)
        open_group(w, index);
    w->bound[node] = (int)index + 1;
    w->layer = rank_of(w->graph, node);
    p->node = node;
    p->pass = w->groups->count - 1;
    w->groups->items[p->pass].last = index;
}

/* Of several nodes with this content, the one that is next in this pass. */
static int choose(const struct walk *w, const struct tt_product *p)
{
    int best = -1;
    for (int i = 0; i < p->ncandidates; i++) {
        int node = p->candidates[i];
        if (best < 0 || (w->bound[best] && !w->bound[node]))
            best = node;
    }
    return best;
}

/* Could this product be one of that layer's? */
static bool fits_layer(const struct tt_graph *graph, int rank, const struct tt_product *p)
{
    for (int n = 0; n < tt_graph_nnodes(graph); n++)
        if (rank_of(graph, n) == rank && fits(tt_graph_node(graph, n), p))
            return true;
    return false;
}

static bool clear_label(const struct tt_product *p)
{
    return p->ncandidates == 1;
}

/* Content in the wrong place: where layers go back by one product that does not start a pass, it is that product (a dip)
 * or the one before it (a spike) whose weight belongs elsewhere. Labels of such products are dropped. */
static void distrust(const struct tt_graph *graph, struct tt_products *products)
{
    size_t *labelled = tt_alloc_array(products->count + 1, sizeof *labelled), n = 0;
    for (size_t i = 0; i < products->count; i++)
        if (products->items[i].ncandidates)
            labelled[n++] = i;
    for (size_t i = 1; i + 1 < n; i++) {
        struct tt_product *before = &products->items[labelled[i - 1]], *here = &products->items[labelled[i]];
        const struct tt_product *after = &products->items[labelled[i + 1]];
        int left = rank_of(graph, before->candidates[0]), mine = rank_of(graph, here->candidates[0]);
        int right = rank_of(graph, after->candidates[0]);
        if (mine == left)
            continue;
        int next = i + 2 < n ? rank_of(graph, products->items[labelled[i + 2]].candidates[0]) : left;
        bool dip = mine < left && right >= left, spike = mine > left && right == left && next != mine;
        if ((dip || spike) && clear_label(here) && fits_layer(graph, left, here)) {
            here->ncandidates = 0;
            memmove(&labelled[i], &labelled[i + 1], (n - i - 1) * sizeof *labelled);
            n--;
            i--;
        }
    }
    free(labelled);
}

/* A weight does not multiply the same operand twice: one of two such neighbours, which read what all between them read,
 * holds the other's content. Which one, their order tells when both labels are dropped. */
static void distrust_repeats(struct tt_products *products)
{
    for (size_t i = 0; i < products->count; i++) {
        struct tt_product *here = &products->items[i];
        for (size_t j = i; here->ncandidates == 1 && j-- > 0;) {
            struct tt_product *before = &products->items[j];
            if (before->call->epoch != here->call->epoch || !here->x.operand->has_digest ||
                !tt_same_operand(before->x.operand, here->x.operand))
                break;
            if (before->ncandidates != 1 || before->candidates[0] != here->candidates[0])
                continue;
            before->ncandidates = here->ncandidates = 0;
        }
    }
}

static void anchor(struct walk *w)
{
    for (size_t i = 0; i < w->products->count; i++) {
        struct tt_product *p = &w->products->items[i];
        int node = p->ncandidates ? choose(w, p) : -1;
        if (node >= 0)
            bind(w, i, node);
    }
}

struct tt_product *tt_group_find(const struct tt_products *products, const struct tt_groups *groups, int pass,
                                 int node)
{
    const struct tt_group *g = &groups->items[pass];
    for (size_t i = g->first; i <= g->last; i++)
        if (products->items[i].node == node && products->items[i].pass == pass)
            return &products->items[i];
    return NULL;
}

static struct tt_product *sibling(const struct walk *w, int pass, const struct tt_node *node)
{
    for (int n = 0; n < tt_graph_nnodes(w->graph); n++) {
        const struct tt_node *other = tt_graph_node(w->graph, n);
        struct tt_product *p = is_linear(other) && other != node && other->in[0] == node->in[0]
                                   ? tt_group_find(w->products, w->groups, pass, n)
                                   : NULL;
        if (p)
            return p;
    }
    return NULL;
}

/* Nothing is computed before what it is computed from: -1 when `a` comes before `b`, 1 behind it, 0: either. A layer's
 * products may come in any order that the graph allows, layers one after the other. */
static int order_of(const struct walk *w, int a, int b)
{
    int first = rank_of(w->graph, a), second = rank_of(w->graph, b);
    if (first != second)
        return first < second ? -1 : 1;
    return tt_is_ancestor(w->ancestry, a, b) ? -1 : tt_is_ancestor(w->ancestry, b, a);
}

/* Range of products in which the call of a missing node must lie: between its nearest named neighbours. */
static void vacancy(const struct walk *w, int pass, int node, size_t *first, size_t *last)
{
    *first = pass > 0 ? w->groups->items[pass - 1].last + 1 : 0;
    *last = pass + 1 < w->groups->count ? w->groups->items[pass + 1].first - 1 : w->products->count - 1;
    const struct tt_group *g = &w->groups->items[pass];
    for (size_t i = g->first; i <= g->last; i++) {
        const struct tt_product *p = &w->products->items[i];
        if (p->pass != pass || p->node < 0)
            continue;
        int order = order_of(w, p->node, node);
        if (order < 0)
            *first = i + 1;
        if (order > 0 && i > *first) {
            *last = i - 1;
            return;
        }
    }
}

static struct tt_product *find_missing(const struct walk *w, int pass, int node)
{
    const struct tt_node *n = tt_graph_node(w->graph, node);
    const struct tt_product *reads_same = sibling(w, pass, n);
    struct tt_product *found = NULL;
    size_t first, last;
    vacancy(w, pass, node, &first, &last);
    for (size_t i = first; i <= last && i < w->products->count; i++) {
        struct tt_product *p = &w->products->items[i];
        if (p->node >= 0 || p->ncandidates)
            continue;
        if (!fits(n, p)) {
            tt_product_swap(p);
            if (!fits(n, p)) {
                tt_product_swap(p);
                continue;
            }
        }
        if (reads_same && tt_same_operand(p->x.operand, reads_same->x.operand))
            return p;
        if (!found && !reads_same)
            found = p;
    }
    return found;
}

/* Is a product that this node is computed from, with nothing but small ops between, named in this pass? A branch of which
 * nothing ran (shared experts that an engine leaves out) has no end either. */
static bool has_source(const struct walk *w, int pass, int node)
{
    bool any = false, found = false;
    for (int i = 0; i < node && !found; i++) {
        const struct tt_node *other = tt_graph_node(w->graph, i);
        if (!is_linear(other) || rank_of(w->graph, i) != rank_of(w->graph, node) || !tt_is_ancestor(w->ancestry, i, node))
            continue;
        bool nearest = true;
        for (int j = i + 1; j < node && nearest; j++)
            nearest = !is_linear(tt_graph_node(w->graph, j)) || !tt_is_ancestor(w->ancestry, i, j) ||
                      !tt_is_ancestor(w->ancestry, j, node);
        any = any || nearest;
        found = nearest && tt_group_find(w->products, w->groups, pass, i);
    }
    return found || !any;
}

/* Weights that no file holds: by what they read, their shape and their place. */
static void fill(struct walk *w)
{
    for (int pass = 0; pass < w->groups->count; pass++) {
        for (int node = 0; node < tt_graph_nnodes(w->graph); node++) {
            const struct tt_node *n = tt_graph_node(w->graph, node);
            if (!is_linear(n) || tt_group_find(w->products, w->groups, pass, node))
                continue;
            struct tt_product *p = has_source(w, pass, node) ? find_missing(w, pass, node) : NULL;
            if (!p)
                continue;
            struct tt_group *g = &w->groups->items[pass];
            size_t index = (size_t)(p - w->products->items);
            p->node = node;
            p->pass = pass;
            p->evidence = sibling(w, pass, n) ? TT_BY_FLOW : TT_BY_SHAPE;
            g->first = index < g->first ? index : g->first;
            g->last = index > g->last ? index : g->last;
        }
    }
}

static bool each_linear_seen(const struct tt_graph *graph, const struct tt_products *products, uint64_t thread)
{
    uint8_t *seen = tt_alloc((size_t)tt_graph_nnodes(graph) + 1);
    bool all = true;
    for (size_t i = 0; i < products->count; i++)
        for (int c = 0; products->items[i].call->thread == thread && c < products->items[i].ncandidates; c++)
            seen[products->items[i].candidates[c]] = 1;
    for (int n = 0; n < tt_graph_nnodes(graph) && all; n++)
        all = seen[n] || !is_linear(tt_graph_node(graph, n)) || tt_graph_node(graph, n)->layer < 0;
    free(seen);
    return all;
}

/* Several threads that each run whole passes: one thread's products after the other's. Threads that share the work of a
 * pass stay as they are. */
static void sort_by_thread(const struct tt_graph *graph, struct tt_products *products)
{
    uint64_t threads[MAX_THREADS];
    int n = 0;
    for (size_t i = 0; i < products->count; i++) {
        int t = 0;
        while (t < n && threads[t] != products->items[i].call->thread)
            t++;
        if (t == MAX_THREADS)
            return;
        threads[t] = products->items[i].call->thread;
        n += t == n;
    }
    for (int t = 0; t < n; t++)
        if (n > 1 && !each_linear_seen(graph, products, threads[t]))
            return;
    struct tt_product *sorted = tt_alloc_array(products->count + 1, sizeof *sorted);
    size_t count = 0;
    for (int t = 0; t < n; t++)
        for (size_t i = 0; i < products->count; i++)
            if (products->items[i].call->thread == threads[t])
                sorted[count++] = products->items[i];
    memcpy(products->items, sorted, count * sizeof *sorted);
    free(sorted);
}

struct tt_groups tt_group_products(const struct tt_graph *graph, struct tt_products *products)
{
    struct tt_groups groups = {0};
    struct tt_ancestry ancestry = tt_ancestry_of(graph);
    struct walk w = {.graph = graph, .products = products, .groups = &groups, .ancestry = &ancestry};
    w.bound = tt_alloc_array((size_t)tt_graph_nnodes(graph), sizeof *w.bound);
    sort_by_thread(graph, products);
    distrust_repeats(products);
    tt_distrust_order(&ancestry, products);
    distrust(graph, products);
    anchor(&w);
    if (groups.count)
        fill(&w);
    tt_ancestry_free(&ancestry);
    free(w.bound);
    return groups;
}

void tt_groups_free(struct tt_groups *groups)
{
    free(groups->items);
    *groups = (struct tt_groups){0};
}
