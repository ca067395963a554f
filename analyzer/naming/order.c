/* SPDX-License-Identifier: Apache-2.0
 *
 * A pass ends where a weight comes again. Within it two labels contradict each other when the later product is an ancestor
 * of the earlier one in the graph; labels with most contradictions go first.
 */
#include "naming/order.h"

#include <stdlib.h>
#include <string.h>

#define MOST_WRONG 4 /* at most every fourth label of a pass: more is an engine with an order of its own */

struct tt_ancestry tt_ancestry_of(const struct tt_graph *graph)
{
    struct tt_ancestry a = {.nodes = tt_graph_nnodes(graph)};
    a.words = (a.nodes + 63) / 64;
    a.bits = tt_alloc_array((size_t)a.nodes * (size_t)a.words + 1, sizeof *a.bits);
    for (int i = 0; i < a.nodes; i++) {
        const struct tt_node *node = tt_graph_node(graph, i);
        uint64_t *own = a.bits + (size_t)i * (size_t)a.words;
        for (int j = 0; j < node->nin; j++) {
            const uint64_t *from = a.bits + (size_t)node->in[j] * (size_t)a.words;
            own[node->in[j] / 64] |= 1ull << node->in[j] % 64;
            for (int w = 0; w < a.words; w++)
                own[w] |= from[w];
        }
    }
    return a;
}

bool tt_is_ancestor(const struct tt_ancestry *a, int node, int of)
{
    return a->bits[(size_t)of * (size_t)a->words + (size_t)(node / 64)] >> node % 64 & 1;
}

void tt_ancestry_free(struct tt_ancestry *a)
{
    free(a->bits);
    a->bits = NULL;
}

struct label {
    size_t product;
    int node, conflicts;
    bool dropped;
};

static bool contradict(const struct tt_ancestry *a, const struct label *earlier, const struct label *later)
{
    return tt_is_ancestor(a, later->node, earlier->node);
}

static bool in_graph_order(const struct label *labels, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (labels[i].node < labels[i - 1].node)
            return false;
    return true;
}

static void count_conflicts(const struct tt_ancestry *a, struct label *labels, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i + 1; j < n; j++) {
            int wrong = contradict(a, &labels[i], &labels[j]);
            labels[i].conflicts += wrong;
            labels[j].conflicts += wrong;
        }
    }
}

static void drop(const struct tt_ancestry *a, struct label *labels, size_t n, size_t worst)
{
    labels[worst].dropped = true;
    for (size_t i = 0; i < n; i++)
        labels[i].conflicts -= i < worst ? contradict(a, &labels[i], &labels[worst])
                                         : i > worst ? contradict(a, &labels[worst], &labels[i]) : 0;
    labels[worst].conflicts = 0;
}

static void check_pass(const struct tt_ancestry *a, struct tt_products *products, struct label *labels, size_t n)
{
    size_t ndropped = 0;
    if (in_graph_order(labels, n))
        return;
    count_conflicts(a, labels, n);
    for (;;) {
        size_t worst = 0;
        for (size_t i = 1; i < n; i++)
            worst = labels[i].conflicts > labels[worst].conflicts ? i : worst;
        if (!labels[worst].conflicts)
            break;
        drop(a, labels, n, worst);
        ndropped++;
    }
    for (size_t i = 0; i < n && MOST_WRONG * ndropped <= n; i++)
        if (labels[i].dropped)
            products->items[labels[i].product].ncandidates = 0;
}

void tt_distrust_order(const struct tt_ancestry *a, struct tt_products *products)
{
    struct label *labels = tt_alloc_array((size_t)a->nodes + 1, sizeof *labels);
    size_t *seen_in = tt_alloc_array((size_t)a->nodes + 1, sizeof *seen_in), pass = 1, n = 0;
    for (size_t i = 0; i < products->count; i++) {
        const struct tt_product *p = &products->items[i];
        if (p->ncandidates != 1)
            continue;
        if (seen_in[p->candidates[0]] == pass) {
            check_pass(a, products, labels, n);
            n = 0;
            pass++;
        }
        seen_in[p->candidates[0]] = pass;
        labels[n++] = (struct label){.product = i, .node = p->candidates[0]};
    }
    check_pass(a, products, labels, n);
    free(seen_in);
    free(labels);
}
