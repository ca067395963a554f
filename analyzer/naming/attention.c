/* SPDX-License-Identifier: Apache-2.0
 *
 * p·v is told by its result: it is a head's slice of what the output projection reads. q·kᵀ is told by its shape and
 * paired with p·v in order, since every engine that computes heads one by one computes both in the same order.
 */
#include "naming/attention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_PROBABILITY 1e-30
#define SURE_ORDER 0.999 /* correlation of scores with log probabilities: 1 but for rounding */
#define SAME_NUMBERS 1e-10 /* NMSE of copies; tiles of a fused kernel, whose rows sum to almost 1, are farther */
#define SAME_VALUES 1e-4 /* NMSE under which two buffers hold the same numbers, one of them perhaps rounded to bf16 */

static int find_op(const struct tt_graph *graph, const char *op, int layer)
{
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *n = tt_graph_node(graph, i);
        if (n->layer == layer && n->op && strcmp(n->op->name, op) == 0 && tt_node_by_token(n))
            return i;
    }
    return -1;
}

static int reader_of(const struct tt_graph *graph, int source)
{
    for (int i = source + 1; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *n = tt_graph_node(graph, i);
        if (n->op && strcmp(n->op->name, "linear") == 0 && n->in[0] == source)
            return i;
    }
    return -1;
}

bool tt_attention_nodes(const struct tt_graph *graph, int layer, struct tt_attention *a)
{
    *a = (struct tt_attention){.qk = find_op(graph, "qk", layer), .pv = find_op(graph, "pv", layer), .out = -1};
    if (a->qk < 0 || a->pv < 0)
        return false;
    a->out = reader_of(graph, a->pv);
    a->heads = (int)tt_graph_node(graph, a->pv)->axes[1];
    return a->out >= 0;
}

struct candidates {
    struct tt_product **items;
    int count;
};

static void add(struct candidates *c, struct tt_product *p)
{
    c->items = tt_grow(c->items, (size_t)c->count + 1, sizeof *c->items);
    c->items[c->count++] = p;
}

/* Unnamed products before the output projection and after the last one of an earlier layer. */
static struct candidates unnamed(const struct tt_graph *graph, struct tt_products *products, const struct tt_product *out)
{
    struct candidates c = {0};
    int layer = tt_graph_node(graph, out->node)->layer;
    size_t end = (size_t)(out - products->items), begin = end;
    while (begin > 0) {
        const struct tt_product *p = &products->items[begin - 1];
        if (p->node >= 0 && (p->pass != out->pass || tt_graph_node(graph, p->node)->layer != layer))
            break;
        begin--;
    }
    for (size_t i = begin; i < end; i++)
        if (products->items[i].node < 0)
            add(&c, &products->items[i]);
    return c;
}

static double distance(const double *a, const double *b, int64_t rows, int64_t width, int64_t stride)
{
    double error = 0, size = 0;
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < width; i++) {
            double x = a[r * width + i], y = b[r * stride + i];
            if (isfinite(x) && isfinite(y)) {
                error += (x - y) * (x - y);
                size += y * y;
            } else if (isfinite(x) != isfinite(y)) {
                return INFINITY;
            }
        }
    }
    return size > 0 ? error / size : error > 0 ? INFINITY : 0;
}

/* How close a head's result is to its slice of the context: the same numbers, unless the context was rounded. */
static double closeness(const double *context, int64_t count)
{
    int64_t bf16 = 0, f16 = 0;
    for (int64_t i = 0; i < count; i++) {
        bf16 += tt_round_to_unit(context[i], 0x1p-8) == context[i];
        f16 += tt_round_to_unit(context[i], 0x1p-11) == context[i];
    }
    return bf16 == count || f16 == count ? SAME_VALUES : SAME_NUMBERS;
}

/* Which (sequence, head) slice of the context [rows, heads·d] this product's result is; -1: none. */
static int slot_of(const struct tt_capture *capture, const struct tt_product *p, const double *context, int64_t rows,
                   int heads, int64_t d, const uint8_t *used, double near)
{
    int64_t sequences = rows / p->rows;
    double *y = tt_side_read(capture, &p->y, p->rows, d);
    int found = -1;
    for (int64_t s = 0; y && s < sequences && found < 0; s++)
        for (int h = 0; h < heads && found < 0; h++)
            if (!used[s * heads + h] &&
                distance(y, context + s * p->rows * heads * d + h * d, p->rows, d, heads * d) < near)
                found = (int)s * heads + h;
    free(y);
    return found;
}

/* Is each row a multiple of the context's: a tile of a fused kernel before its rows are normalised? */
static bool is_multiple(const struct tt_capture *capture, const struct tt_product *p, const double *context, int slot,
                        int heads, int64_t d)
{
    const double *rows = context + (slot / heads) * p->rows * heads * d + slot % heads * d;
    double *y = tt_side_read(capture, &p->y, p->rows, d);
    bool multiple = y != NULL;
    for (int64_t r = 0; multiple && r < p->rows; r++) {
        double both = 0, own = 0, other = 0;
        for (int64_t i = 0; i < d; i++) {
            double a = y[r * d + i], b = rows[r * heads * d + i];
            both += a * b, own += a * a, other += b * b;
        }
        multiple = both > 0 && both * both > (1 - SAME_NUMBERS) * own * other;
    }
    free(y);
    return multiple;
}

/* A product that can only be read the other way round (its rows are no divisor of the pass's) is turned. */
static bool shaped(struct tt_product *p, int64_t rows, int64_t in, int64_t out)
{
    for (int turn = 0; turn < 2; turn++) {
        bool fits = p->rows > 0 && rows % p->rows == 0 && (in < 0 || p->in == in) && (out < 0 || p->out == out);
        if (fits)
            return true;
        tt_product_swap(p);
    }
    return false;
}

/* Values not kept: shapes still tell how many keys each query sees, when there are two products a head. */
static void count_keys(const struct candidates *all, int64_t rows, int64_t d, struct tt_attention *a)
{
    if (all->count != 2 * a->heads)
        return;
    const struct tt_product *first = all->items[0];
    if (first->in == d && (first->rows == rows || first->out == rows))
        a->keys = first->rows == rows ? first->out : first->rows;
}

/* Correlation of scores with the logarithm of the probabilities that became of them, within rows. */
static double agreement(const double *scores, const double *probs, int64_t rows, int64_t keys, bool turned)
{
    double both = 0, x_square = 0, y_square = 0;
    for (int64_t r = 0; r < rows; r++) {
        double x_mean = 0, y_mean = 0, n = 0;
        for (int pass = 0; pass < 2; pass++) {
            for (int64_t s = 0; s < keys; s++) {
                double p = probs[r * keys + s], x = scores[turned ? s * rows + r : r * keys + s];
                if (!(p > SMALL_PROBABILITY) || !isfinite(x))
                    continue;
                if (pass == 0) {
                    x_mean += x, y_mean += log(p), n++;
                } else {
                    both += (x - x_mean / n) * (log(p) - y_mean / n);
                    x_square += (x - x_mean / n) * (x - x_mean / n);
                    y_square += (log(p) - y_mean / n) * (log(p) - y_mean / n);
                }
            }
        }
    }
    return x_square > 0 && y_square > 0 ? both / sqrt(x_square * y_square) : 0;
}

/* As many queries as keys: k·qᵀ has the shape of q·kᵀ. The probabilities tell which it is. */
static void orient(const struct tt_capture *capture, struct tt_product *qk, const struct tt_product *pv)
{
    if (qk->rows != qk->out || qk->rows < 2)
        return;
    double *scores = tt_side_read(capture, &qk->y, qk->rows, qk->out);
    double *probs = tt_side_read(capture, &pv->x, pv->rows, pv->in);
    if (scores && probs && agreement(scores, probs, qk->rows, qk->out, false) < SURE_ORDER &&
        agreement(scores, probs, qk->rows, qk->out, true) > SURE_ORDER)
        tt_product_swap(qk);
    free(scores);
    free(probs);
}

static void pair(struct tt_attention *a, struct candidates *qk, struct candidates *pv, const int *slots, int64_t rows)
{
    int total = pv->count;
    if (!total || qk->count != total || total % a->heads || rows % (total / a->heads))
        return;
    int sequences = total / a->heads;
    for (int i = 0; i < total; i++)
        if (qk->items[i]->rows != rows / sequences || pv->items[i]->in != qk->items[i]->out || slots[i] >= total)
            return;
    a->sequences = sequences;
    a->keys = qk->items[0]->out;
    a->qk_of = tt_alloc_array((size_t)total, sizeof *a->qk_of);
    a->pv_of = tt_alloc_array((size_t)total, sizeof *a->pv_of);
    for (int i = 0; i < total; i++) {
        a->qk_of[slots[i]] = qk->items[i];
        a->pv_of[slots[i]] = pv->items[i];
        qk->items[i]->taken = pv->items[i]->taken = true;
    }
}

/* The products of a pass that may be one attention's, told apart. */
struct search {
    const struct tt_capture *capture;
    const struct tt_attention *a;
    int64_t rows, depth;       /* of the context: tokens; head_dim */
    double *context, near;     /* [rows, heads, depth] as the output projection read it, NULL: not kept; see closeness */
    struct candidates qk, pv;
    int *slots;                /* [pv.count] place among the context's (sequence, head) of each result, -1: not known */
    uint8_t *used;             /* [rows * heads + 1] slots that a product has */
};

static void tell_apart(struct search *s, struct tt_product *p)
{
    int64_t d = s->depth;
    int slot = shaped(p, s->rows, -1, d) ? slot_of(s->capture, p, s->context, s->rows, s->a->heads, d, s->used, s->near) : -1;
    if (slot >= 0) {
        s->used[slot] = 1;
        s->slots[s->pv.count] = slot;
        add(&s->pv, p);
    } else if (p->in != d && p->out == d && s->rows % p->rows == 0) { /* its result went elsewhere: by order */
        s->slots[s->pv.count] = -1;
        add(&s->pv, p);
    } else if (shaped(p, s->rows, d, -1)) {
        add(&s->qk, p);
    }
}

static bool mostly_matched(const struct search *s)
{
    int matched = 0;
    for (int i = 0; i < s->pv.count; i++)
        matched += s->slots[i] >= 0;
    return 2 * matched >= s->pv.count;
}

/* Free slots, in order, for results that went elsewhere. False: one of them is the context but for a factor a row, a tile
 * that was not yet normalised. */
static bool place_by_order(struct search *s)
{
    int64_t places = s->rows * s->a->heads, next = 0;
    for (int i = 0; i < s->pv.count; i++) {
        if (s->slots[i] >= 0)
            continue;
        while (next < places && s->used[next])
            next++;
        s->used[next] = 1;
        s->slots[i] = (int)next;
        if (next < s->rows / s->pv.items[i]->rows * s->a->heads &&
            is_multiple(s->capture, s->pv.items[i], s->context, (int)next, s->a->heads, s->depth))
            return false;
    }
    return true;
}

void tt_attention_find(const struct tt_capture *capture, const struct tt_graph *graph, struct tt_products *products,
                       const struct tt_groups *groups, int pass, int64_t rows, struct tt_attention *a)
{
    const struct tt_product *out = tt_group_find(products, groups, pass, a->out);
    struct search s = {.capture = capture, .a = a, .rows = rows, .depth = tt_graph_node(graph, a->pv)->axes[2]};
    if (!out || out->rows != rows)
        return;
    struct candidates all = unnamed(graph, products, out);
    s.context = tt_side_read(capture, &out->x, rows, a->heads * s.depth);
    s.near = s.context ? closeness(s.context, rows * a->heads * s.depth) : 0;
    s.slots = tt_alloc_array((size_t)all.count + 1, sizeof *s.slots);
    s.used = tt_alloc((size_t)(rows * a->heads) + 1);
    if (!s.context)
        count_keys(&all, rows, s.depth, a);
    for (int i = 0; s.context && i < all.count; i++)
        tell_apart(&s, all.items[i]);
    if (!mostly_matched(&s) || !place_by_order(&s)) /* tiles of a fused kernel: no component of the graph */
        s.pv.count = 0;
    pair(a, &s.qk, &s.pv, s.slots, rows);
    for (int i = 0; i < a->sequences * a->heads; i++)
        orient(capture, a->qk_of[i], a->pv_of[i]);
    free(s.used);
    free(s.slots);
    free(all.items);
    free(s.qk.items);
    free(s.pv.items);
    free(s.context);
}

void tt_attention_free(struct tt_attention *a)
{
    free(a->qk_of);
    free(a->pv_of);
    a->qk_of = a->pv_of = NULL;
    a->sequences = 0;
}
