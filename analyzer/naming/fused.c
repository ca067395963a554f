/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the file itself holds the weights of several layers in one tensor, the architecture says which rows are whose.
 * Otherwise the rows of a fused weight are compared with the file's, block by block, on a sample; what one operand turned out
 * to be is kept by its digest, since every pass uses it again.
 */
#include "naming/fused.h"

#include <stdlib.h>
#include <string.h>

#define MOST_PARTS 4
#define SAMPLES 64
#define CLOSE 1e-4 /* relative squared distance: weights in f16 and bf16 are closer */

struct parts {
    struct tt_digest weight;
    bool swapped;          /* the product is to be read as yᵀ = w·xᵀ */
    int count;             /* 0: not fused */
    int nodes[MOST_PARTS];
};

struct splitter {
    const struct tt_capture *capture;
    const struct tt_graph *graph;
    struct parts *known;
    int nknown;
};

static bool is_block(const struct tt_model_tensor *tensor, const double *rows)
{
    uint64_t count = (uint64_t)(tensor->shape[0] * tensor->shape[1]);
    double error = 0, size = 0;
    for (uint64_t i = 0; i < SAMPLES; i++) {
        uint64_t at = i * 2654435761u % count;
        double file;
        if (tt_model_read(tensor, at, 1, &file, NULL))
            return false;
        error += (rows[at] - file) * (rows[at] - file);
        size += file * file;
    }
    return size > 0 && error < CLOSE * size;
}

static bool used(const struct parts *parts, int node)
{
    for (int i = 0; i < parts->count; i++)
        if (parts->nodes[i] == node)
            return true;
    return false;
}

/* The layer whose weight starts here; -1: none that reads what the blocks before read. */
static int block_at(const struct tt_graph *graph, const struct parts *parts, const double *rows, int64_t left, int64_t in)
{
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *n = tt_graph_node(graph, i);
        const struct tt_model_tensor *t = n->op && strcmp(n->op->name, "linear") == 0 ? n->weight[0] : NULL;
        bool sibling = !parts->count || tt_graph_node(graph, parts->nodes[0])->in[0] == n->in[0];
        if (t && t->rank == 2 && sibling && (int64_t)t->shape[1] == in && (int64_t)t->shape[0] <= left &&
            !used(parts, i) && is_block(t, rows))
            return i;
    }
    return -1;
}

/* Outputs of all layers that read one value: what a fused product can have at most. */
static bool may_be_fused(const struct tt_graph *graph, const struct tt_product *p)
{
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        int64_t total = 0, layers = 0;
        for (int j = i; j < tt_graph_nnodes(graph); j++) {
            const struct tt_node *n = tt_graph_node(graph, j);
            const struct tt_model_tensor *t = n->op && strcmp(n->op->name, "linear") == 0 ? n->weight[0] : NULL;
            if (!t || t->rank != 2 || n->in[0] != tt_graph_node(graph, i)->in[0] || (int64_t)t->shape[1] != p->in)
                continue;
            total += (int64_t)t->shape[0];
            layers++;
        }
        if (layers > 1 && p->out <= total)
            return true;
    }
    return false;
}

static bool read_parts(const struct splitter *s, const struct tt_product *p, struct parts *parts)
{
    parts->count = 0;
    double *w = may_be_fused(s->graph, p) ? tt_side_read(s->capture, &p->w, p->out, p->in) : NULL;
    int64_t row = 0;
    while (w && row < p->out && parts->count < MOST_PARTS) {
        int node = block_at(s->graph, parts, w + row * p->in, p->out - row, p->in);
        if (node < 0)
            break;
        parts->nodes[parts->count++] = node;
        row += (int64_t)tt_graph_node(s->graph, node)->weight[0]->shape[0];
    }
    free(w);
    if (row != p->out || parts->count < 2)
        parts->count = 0;
    return parts->count > 0;
}

static const struct parts *recall(const struct splitter *s, const struct tt_product *p)
{
    for (int i = 0; i < s->nknown; i++) {
        const struct tt_operand *o = s->known[i].swapped ? p->x.operand : p->w.operand;
        if (o->has_digest && memcmp(&s->known[i].weight, &o->digest, sizeof o->digest) == 0)
            return &s->known[i];
    }
    return NULL;
}

static const struct parts *find(struct splitter *s, struct tt_product *p)
{
    const struct parts *before = recall(s, p);
    struct parts parts = {0};
    if (before)
        return before;
    for (int turn = 0; turn < 2; turn++) {
        if (!parts.count && p->w.operand->rank == 2 && p->w.operand->has_digest && read_parts(s, p, &parts)) {
            parts.swapped = turn;
            parts.weight = p->w.operand->digest;
        }
        tt_product_swap(p);
    }
    if (!parts.count)
        return NULL;
    s->known = tt_grow(s->known, (size_t)s->nknown + 1, sizeof *s->known);
    s->known[s->nknown] = parts;
    return &s->known[s->nknown++];
}

static void window(struct tt_side *side, int64_t row, int64_t column, int64_t rows, int64_t columns)
{
    side->first_row = row;
    side->first_column = column;
    side->rows = rows;
    side->columns = columns;
}

static int64_t *keep_index(struct tt_products *products, int64_t *index)
{
    products->indices = tt_grow(products->indices, products->nindices + 1, sizeof *products->indices);
    return products->indices[products->nindices++] = index;
}

static void pick(struct tt_side *side, int64_t rows, int64_t columns, const int64_t *row_index, const int64_t *column_index)
{
    window(side, 0, 0, rows, columns);
    side->row_index = row_index;
    side->column_index = column_index;
}

/* The layers whose weights are rows of the tensor that this product read; returns their number. */
static int add_rows_of_tensor(const struct tt_graph *graph, struct tt_products *products, const struct tt_product *whole,
                              struct tt_product *out)
{
    int n = 0;
    for (int i = 0; i < tt_graph_nnodes(graph) && n < MOST_PARTS; i++) {
        const struct tt_node *node = tt_graph_node(graph, i);
        const struct tt_model_tensor *t = node->op && strcmp(node->op->name, "linear") == 0 ? node->weight[0] : NULL;
        if (!t || t->base != whole->tensor || t->rank != 2 || t->shape[1] != whole->in || whole->tensor->shape[0] != whole->out)
            continue;
        int64_t *index = tt_alloc_array((size_t)t->shape[0] + 1, sizeof *index);
        if (!tt_tensor_base_rows(t, index)) {
            free(index);
            continue;
        }
        keep_index(products, index);
        out[n] = *whole;
        out[n].out = t->shape[0];
        out[n].ncandidates = 1;
        out[n].candidates[0] = i;
        out[n].transform = "part of a fused product";
        pick(&out[n].w, whole->out, whole->in, index, NULL);
        pick(&out[n].y, whole->rows, whole->out, NULL, index);
        pick(&out[n].before, whole->rows, whole->out, NULL, index);
        n++;
    }
    return n;
}

static void add_parts(const struct splitter *s, const struct parts *parts, const struct tt_product *whole,
                      struct tt_product *out)
{
    int64_t row = 0;
    for (int i = 0; i < parts->count; i++) {
        out[i] = *whole;
        out[i].out = (int64_t)tt_graph_node(s->graph, parts->nodes[i])->weight[0]->shape[0];
        out[i].ncandidates = 1;
        out[i].candidates[0] = parts->nodes[i];
        out[i].evidence = TT_BY_VALUE;
        out[i].transform = "part of a fused product";
        window(&out[i].w, row, 0, whole->out, whole->in);
        window(&out[i].y, 0, row, whole->rows, whole->out);
        window(&out[i].before, 0, row, whole->rows, whole->out);
        row += out[i].out;
    }
}

void tt_products_split(const struct tt_capture *capture, const struct tt_graph *graph, struct tt_products *products)
{
    struct splitter s = {.capture = capture, .graph = graph};
    struct tt_product *all = tt_alloc_array(MOST_PARTS * products->count + 1, sizeof *all);
    size_t count = 0;
    for (size_t i = 0; i < products->count; i++) {
        struct tt_product *p = &products->items[i];
        int known = !p->ncandidates && p->tensor ? add_rows_of_tensor(graph, products, p, all + count) : 0;
        count += (size_t)known;
        if (known)
            continue;
        const struct parts *parts = p->ncandidates || p->y.operand->rank > 2 ? NULL : find(&s, p);
        if (!parts) {
            all[count++] = *p;
            continue;
        }
        if (parts->swapped)
            tt_product_swap(p);
        add_parts(&s, parts, p, all + count);
        count += (size_t)parts->count;
    }
    free(products->items);
    free(s.known);
    products->count = count;
    products->items = all;
}
