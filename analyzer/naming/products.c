/* SPDX-License-Identifier: Apache-2.0
 *
 * Roles of the operands follow the tap's convention: "matmul" a[m,k] b[k,n] c[m,n], batched with a leading axis;
 * "matvec" a[m,n] x[n] y[m]. See docs/capture-format.md.
 */
#include "naming/products.h"

#include <stdlib.h>
#include <string.h>

#include "naming/similar.h"

static const struct tt_operand *output_of(const struct tt_recorded_call *call, const char *role, enum tt_when when)
{
    return tt_call_find(call, role, when);
}

static struct tt_product product_of(const struct tt_recorded_call *call)
{
    return (struct tt_product){.call = call,
                               .node = -1,
                               .pass = -1,
                               .transform = "",
                               .alpha = tt_call_attr_f64(call, "alpha", 1),
                               .beta = tt_call_attr_f64(call, "beta", 0)};
}

static void append(struct tt_products *products, const struct tt_product *product)
{
    if ((products->count & (products->count - 1)) == 0)
        products->items = tt_grow(products->items, products->count ? 2 * products->count : 1, sizeof *products->items);
    products->items[products->count++] = *product;
}

/* a·b = c as x = a, w = bᵀ, y = c; swapped when c is stored by columns, as a row-major engine calling Fortran does. */
static void add_matmul(struct tt_products *products, const struct tt_recorded_call *call)
{
    const struct tt_operand *a = tt_call_find(call, "a", TT_BEFORE), *b = tt_call_find(call, "b", TT_BEFORE);
    const struct tt_operand *c = output_of(call, "c", TT_AFTER);
    if (!a || !b || !c || a->rank != c->rank || b->rank != c->rank || c->rank < 2 || c->rank > 3)
        return;
    int r = c->rank;
    for (int64_t slice = 0; slice < (r == 3 ? c->shape[0] : 1); slice++) {
        struct tt_product p = product_of(call);
        p.x = (struct tt_side){.operand = a, .slice = slice};
        p.w = (struct tt_side){.operand = b, .transposed = true, .slice = slice};
        p.y = (struct tt_side){.operand = c, .slice = slice};
        p.before = (struct tt_side){.operand = p.beta != 0 ? tt_call_find(call, "c", TT_BEFORE) : NULL, .slice = slice};
        p.rows = c->shape[r - 2];
        p.out = c->shape[r - 1];
        p.in = a->shape[r - 1];
        bool by_columns = p.rows > 1 && p.out > 1 ? llabs(c->strides[r - 2]) < llabs(c->strides[r - 1])
                                                  : strcmp(tt_call_attr_str(call, "order") ? tt_call_attr_str(call, "order") : "", "col") == 0;
        if (by_columns)
            tt_product_swap(&p);
        append(products, &p);
    }
}

static void add_matvec(struct tt_products *products, const struct tt_recorded_call *call)
{
    const struct tt_operand *a = tt_call_find(call, "a", TT_BEFORE), *x = tt_call_find(call, "x", TT_BEFORE);
    const struct tt_operand *y = output_of(call, "y", TT_AFTER);
    if (!a || !x || !y || a->rank != 2)
        return;
    struct tt_product p = product_of(call);
    p.x = (struct tt_side){.operand = x};
    p.w = (struct tt_side){.operand = a};
    p.y = (struct tt_side){.operand = y};
    p.before = (struct tt_side){.operand = p.beta != 0 ? tt_call_find(call, "y", TT_BEFORE) : NULL};
    p.rows = 1;
    p.out = a->shape[0];
    p.in = a->shape[1];
    append(products, &p);
}

static void swap_sides(struct tt_side *a, struct tt_side *b)
{
    struct tt_side t = *a;
    *a = *b;
    *b = t;
}

static void turn_side(struct tt_side *side)
{
    int64_t first = side->first_row, all = side->rows;
    const int64_t *index = side->row_index;
    side->row_index = side->column_index;
    side->column_index = index;
    side->transposed = !side->transposed;
    side->first_row = side->first_column;
    side->first_column = first;
    side->rows = side->columns;
    side->columns = all;
}

void tt_product_swap(struct tt_product *p)
{
    /* c = x·wᵀ, so cᵀ = w·xᵀ: x and w change places as they are. */
    swap_sides(&p->x, &p->w);
    turn_side(&p->y);
    turn_side(&p->before);
    int64_t t = p->rows;
    p->rows = p->out;
    p->out = t;
}

/* ---- which weight is it ---- */

static void add_candidate(struct tt_product *p, int node)
{
    if (p->ncandidates < TT_MAX_CANDIDATES)
        p->candidates[p->ncandidates++] = node;
}

static void nodes_of_tensor(const struct tt_graph *graph, const struct tt_model_tensor *tensor, struct tt_product *p)
{
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *node = tt_graph_node(graph, i);
        if (!node->op || strcmp(node->op->name, "linear") != 0 || !node->weight[0])
            continue;
        if (node->weight[0] == tensor)
            add_candidate(p, i);
        else if (node->weight[0]->base == tensor)
            p->tensor = tensor;
    }
}

static bool is_known(const struct tt_product *p)
{
    return p->ncandidates > 0 || p->tensor;
}

static bool by_file(const struct tt_graph *graph, struct tt_identity *identity, const struct tt_operand *operand,
                    struct tt_product *p)
{
    struct tt_identity_match match;
    if (operand->kept != TT_KEPT_FILE || !operand->file ||
        !tt_identity_at(identity, operand->file, operand->file_offset, &match) || match.element != 0)
        return false;
    nodes_of_tensor(graph, match.tensor, p);
    p->evidence = TT_BY_FILE;
    return is_known(p);
}

/* A weight kept in a narrower type than the file's was rounded on the way in. */
static double rounding_of(enum tt_dtype operand, enum tt_dtype file)
{
    if (file != TT_F32 && file != TT_F64)
        return 0;
    return operand == TT_BF16 ? 0x1p-8 : operand == TT_F16 ? 0x1p-11 : 0;
}

static bool by_hash(const struct tt_graph *graph, struct tt_identity *identity, const struct tt_operand *operand,
                    struct tt_product *p)
{
    struct tt_identity_match matches[TT_MAX_CANDIDATES];
    if (!operand->has_digest)
        return false;
    size_t n = tt_identity_find(identity, operand->dtype, tt_operand_count(operand), &operand->digest, matches,
                                TT_MAX_CANDIDATES);
    for (size_t i = 0; i < n && i < TT_MAX_CANDIDATES; i++)
        nodes_of_tensor(graph, matches[i].tensor, p);
    p->evidence = TT_BY_HASH;
    if (n)
        p->weight_unit = rounding_of(operand->dtype, matches[0].tensor->dtype);
    if (n && matches[0].transform != TT_IDENTITY_NONE)
        p->transform = tt_identity_transform_name(matches[0].transform);
    return is_known(p);
}

struct identifier {
    const struct tt_capture *capture;
    const struct tt_graph *graph;
    struct tt_identity *identity;
    struct tt_similar *similar;
};

static bool by_value(struct identifier *id, const struct tt_operand *operand, struct tt_product *p)
{
    struct tt_similarity found;
    if (!tt_similar_find(id->similar, id->capture, operand, &found))
        return false;
    nodes_of_tensor(id->graph, found.tensor, p);
    p->evidence = TT_BY_VALUE;
    p->weight_unit = found.unit;
    p->transform = found.transform;
    return p->ncandidates > 0;
}

/* b as a weight first, then a: a Fortran call from row-major code has them exchanged. Certain evidence before likely. */
static void identify(struct identifier *id, struct tt_product *p)
{
    const struct tt_operand *w = p->w.operand, *x = p->x.operand;
    bool found = w->rank == 2 && (by_file(id->graph, id->identity, w, p) || by_hash(id->graph, id->identity, w, p));
    bool swapped = !found && x->rank == 2 && (by_file(id->graph, id->identity, x, p) || by_hash(id->graph, id->identity, x, p));
    if (!found && !swapped)
        found = w->rank == 2 && by_value(id, w, p);
    if (!found && !swapped)
        swapped = x->rank == 2 && by_value(id, x, p);
    if (swapped)
        tt_product_swap(p);
    else if (!found)
        p->evidence = TT_BY_NONE;
}

struct tt_products tt_products_of(const struct tt_capture *capture, const struct tt_graph *graph,
                                  struct tt_identity *identity)
{
    struct tt_products products = {0};
    for (size_t i = 0; i < tt_capture_ncalls(capture); i++) {
        const struct tt_recorded_call *call = tt_capture_call(capture, i);
        if (strcmp(call->op, "matmul") == 0)
            add_matmul(&products, call);
        else if (strcmp(call->op, "matvec") == 0)
            add_matvec(&products, call);
    }
    struct identifier id = {capture, graph, identity, tt_similar_new(graph)};
    for (size_t i = 0; identity && i < products.count; i++)
        identify(&id, &products.items[i]);
    tt_similar_free(id.similar);
    return products;
}

void tt_products_free(struct tt_products *products)
{
    free(products->items);
    for (size_t i = 0; i < products->nindices; i++)
        free(products->indices[i]);
    free(products->indices);
    *products = (struct tt_products){0};
}

double *tt_side_read(const struct tt_capture *capture, const struct tt_side *side, int64_t rows, int64_t columns)
{
    if (!side->operand || !tt_operand_readable(side->operand))
        return NULL;
    int64_t all_rows = side->rows ? side->rows : rows, all_columns = side->rows ? side->columns : columns;
    uint64_t count = tt_operand_count(side->operand), whole = (uint64_t)all_rows * (uint64_t)all_columns;
    double *all = tt_alloc_array(count ? count : 1, sizeof *all);
    if (count < ((uint64_t)side->slice + 1) * whole || side->first_row + rows > all_rows ||
        side->first_column + columns > all_columns || tt_operand_read(capture, side->operand, all, NULL)) {
        free(all);
        return NULL;
    }
    const double *from = all + (uint64_t)side->slice * whole;
    double *out = tt_alloc_array((size_t)(rows * columns) + 1, sizeof *out);
    for (int64_t r = 0; r < rows; r++) {
        int64_t row = side->row_index ? side->row_index[r] : side->first_row + r;
        for (int64_t c = 0; c < columns; c++) {
            int64_t column = side->column_index ? side->column_index[c] : side->first_column + c;
            out[r * columns + c] = side->transposed ? from[column * all_rows + row] : from[row * all_columns + column];
        }
    }
    free(all);
    return out;
}

uint64_t tt_side_address(const struct tt_side *side)
{
    const struct tt_operand *o = side->operand;
    uint64_t step = o->rank == 3 ? (uint64_t)(o->strides[0] * side->slice) * tt_dtype_info(o->dtype)->bytes : 0;
    return o->address + step;
}
