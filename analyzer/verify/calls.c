/* SPDX-License-Identifier: Apache-2.0
 *
 * A call as operands in f64, and what it should have left. Roles follow docs/blas-tap.md. A product is `linear` of the
 * ops, so that its error model is the one that named layers are judged by.
 */
#include "verify/calls.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/support.h"

static const struct kind {
    const char *op;
    const char *left, *right, *result; /* roles; right NULL: elementwise */
} kinds[] = {
    {"matmul", "a", "b", "c"}, {"matvec", "a", "x", "y"}, {"dot", "x", "y", "out"},
    {"axpy", "x", NULL, "y"},  {"scal", "x", NULL, "x"},
};

static const struct kind *kind_of(const struct tt_recorded_call *call)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(call->op, kinds[i].op) == 0)
            return &kinds[i];
    return NULL;
}

bool tt_call_checkable(const struct tt_recorded_call *call)
{
    return kind_of(call) && !tt_call_attr_i64(call, "invalid", 0);
}

const struct tt_recorded_call *tt_call_by_id(const struct tt_capture *capture, uint64_t id)
{
    size_t n = tt_capture_ncalls(capture), guess = id ? (size_t)id - 1 : 0;
    if (id && guess < n && tt_capture_call(capture, guess)->id == id)
        return tt_capture_call(capture, guess);
    for (size_t i = 0; id && i < n; i++)
        if (tt_capture_call(capture, i)->id == id)
            return tt_capture_call(capture, i);
    return NULL;
}

void tt_call_place(const struct tt_recorded_call *call, char *text, size_t size)
{
    const char *routine = call->routine && *call->routine ? call->routine : call->op;
    snprintf(text, size, "%s, call %llu", routine, (unsigned long long)call->id);
}

/* ---- operands ---- */

static double *read_operand(const struct tt_capture *capture, const struct tt_operand *o, int64_t count)
{
    if (!o || !tt_operand_readable(o) || tt_operand_count(o) != (uint64_t)count)
        return NULL;
    double *values = tt_alloc_array((size_t)count + 1, sizeof *values);
    if (tt_operand_read(capture, o, values, NULL) == 0)
        return values;
    free(values);
    return NULL;
}

/* [batch, k, n] -> [batch, n, k] */
static double *turned(double *v, int64_t batch, int64_t k, int64_t n)
{
    double *out = v ? tt_alloc_array((size_t)(batch * k * n) + 1, sizeof *out) : NULL;
    for (int64_t s = 0; out && s < batch; s++)
        for (int64_t i = 0; i < k; i++)
            for (int64_t j = 0; j < n; j++)
                out[(s * n + j) * k + i] = v[(s * k + i) * n + j];
    free(v);
    return out;
}

static int64_t extent(const struct tt_operand *o, int from_end)
{
    return o && o->rank > from_end ? o->shape[o->rank - 1 - from_end] : 1;
}

/* Extents from the result and the left operand. */
static void measure(const struct kind *kind, const struct tt_operand *left, const struct tt_operand *result,
                    struct tt_call_product *p)
{
    bool matmul = kind == &kinds[0], matvec = kind == &kinds[1];
    p->elementwise = !kind->right;
    p->batch = matmul && result->rank == 3 ? result->shape[0] : 1;
    p->m = matmul ? extent(result, 1) : 1;
    p->n = matmul || matvec || p->elementwise ? extent(result, 0) : 1;
    p->k = p->elementwise || !left ? 1 : extent(left, 0);
}

static double unit_of(enum tt_dtype dtype)
{
    switch (dtype) {
    case TT_F64:
        return 0x1p-53;
    case TT_F16:
        return 0x1p-11;
    case TT_BF16:
        return 0x1p-8;
    default:
        return 0x1p-24;
    }
}

static void observe(const struct tt_operand *result, double *values, struct tt_call_product *p)
{
    struct tt_observation *o = &p->seen;
    *o = (struct tt_observation){.node = -1, .consumer = -1, .port = -1, .dtype = result->dtype, .transform = ""};
    o->value.rank = result->rank < TT_VALUE_RANK ? result->rank : TT_VALUE_RANK;
    for (int i = 0; i < o->value.rank; i++)
        o->value.shape[i] = result->shape[i];
    o->value.v = values;
    o->nseen = tt_value_rows(&o->value);
    o->seen = tt_alloc((size_t)o->nseen + 1);
    memset(o->seen, 1, (size_t)o->nseen);
    o->unit = p->u_store;
}

/* Left and right as [m, k] and [n, k]: of a matrix and a vector, the vector is the one row. */
static int read_inputs(const struct tt_capture *capture, const struct tt_recorded_call *call, const struct kind *kind,
                       struct tt_call_product *p)
{
    const struct tt_operand *left = tt_call_find(call, kind->left, TT_BEFORE);
    const struct tt_operand *right = kind->right ? tt_call_find(call, kind->right, TT_BEFORE) : NULL;
    if (p->elementwise) {
        p->a = read_operand(capture, left, p->n);
        return p->a ? 0 : -1;
    }
    if (kind == &kinds[1]) {
        p->a = read_operand(capture, right, p->k);
        p->b = read_operand(capture, left, p->n * p->k);
    } else {
        p->a = read_operand(capture, left, p->batch * p->m * p->k);
        p->b = turned(read_operand(capture, right, p->batch * p->k * p->n), p->batch, p->k, p->n);
    }
    return p->a && p->b ? 0 : -1;
}

int tt_call_product_read(const struct tt_capture *capture, const struct tt_recorded_call *call, struct tt_call_product *p)
{
    const struct kind *kind = kind_of(call);
    const struct tt_operand *result = kind ? tt_call_find(call, kind->result, TT_AFTER) : NULL;
    *p = (struct tt_call_product){0};
    if (!result || result->rank > 3)
        return -1;
    measure(kind, tt_call_find(call, kind->left, TT_BEFORE), result, p);
    p->alpha = tt_call_attr_f64(call, "alpha", 1);
    p->beta = strcmp(call->op, "axpy") == 0 ? 1 : tt_call_attr_f64(call, "beta", 0);
    p->u_store = unit_of(result->dtype);
    p->u_acc = p->u_store < 0x1p-24 ? p->u_store : 0x1p-24;
    int64_t count = (int64_t)tt_operand_count(result);
    if (p->batch > INT32_MAX || p->m > INT32_MAX || p->n > INT32_MAX || p->k > INT32_MAX)
        return -1; /* no BLAS has such extents: a damaged record */
    double *values = read_operand(capture, result, count);
    if (!values || count != p->batch * p->m * p->n)
        goto fail;
    observe(result, values, p);
    values = NULL;
    if (p->alpha != 0 && read_inputs(capture, call, kind, p))
        goto fail;
    if (p->beta != 0 && !(p->c = read_operand(capture, tt_call_find(call, kind->result, TT_BEFORE), count)))
        goto fail;
    return 0;
fail:
    free(values);
    tt_call_product_free(p);
    return -1;
}

void tt_call_product_free(struct tt_call_product *p)
{
    free(p->a);
    free(p->b);
    free(p->c);
    tt_value_free(&p->seen.value);
    free(p->seen.seen);
    *p = (struct tt_call_product){0};
}

/* ---- what it should have left ---- */

static double *rounded(const double *v, int64_t count, double unit)
{
    double *out = tt_alloc_array((size_t)count + 1, sizeof *out);
    for (int64_t i = 0; i < count; i++)
        out[i] = tt_round_to_unit(v[i], unit);
    return out;
}

/* One slice's alpha·a·b into v and var [m, n]. */
static void multiply_slice(const struct tt_call_product *p, const double *a, const double *b, double u_acc, double *v,
                           double *var)
{
    struct tt_value x = {.rank = 2, .shape = {p->m, p->k}, .v = (double *)a}, w = {.rank = 2, .shape = {p->n, p->k}, .v = (double *)b};
    struct tt_attributes attributes = {0};
    struct tt_value y = {0};
    tt_attributes_set_number(&attributes, "scale", p->alpha);
    struct tt_op_call op = {.nin = 1, .in = {&x}, .weight = {&w}, .attributes = &attributes,
                            .numerics = {.u_store = p->u_store, .u_acc = u_acc}};
    if (tt_op_find("linear")->forward(&op, &y, NULL) == 0) {
        memcpy(v, y.v, (size_t)(p->m * p->n) * sizeof *v);
        memcpy(var, y.var, (size_t)(p->m * p->n) * sizeof *var);
    }
    tt_value_free(&y);
}

static void add_previous(const struct tt_call_product *p, struct tt_value *out)
{
    double u = p->u_acc > p->u_store ? p->u_acc : p->u_store;
    for (int64_t i = 0, n = tt_value_count(out); p->c && i < n; i++) {
        double added = p->beta * p->c[i];
        out->v[i] += added;
        out->var[i] += TT_ROUNDING_VARIANCE * u * u * (added * added + out->v[i] * out->v[i]);
    }
}

static void scale_elements(const struct tt_call_product *p, const double *a, struct tt_value *out)
{
    struct tt_numerics numerics = {.u_store = p->u_store, .u_acc = p->u_acc};
    for (int64_t i = 0, n = tt_value_count(out); i < n; i++) {
        out->v[i] = p->alpha * a[i];
        out->var[i] = tt_store_variance(&numerics, out->v[i]) + 1e-300;
    }
}

/* Numbers below the normal range may be flushed to zero. */
static void allow_flushing(const struct tt_call_product *p, struct tt_value *out)
{
    for (int64_t i = 0, n = tt_value_count(out); p->u_store > 0x1p-53 && i < n; i++)
        out->var[i] += 0x1p-252; /* (2^-126)² */
}

struct tt_value tt_call_product_expected(const struct tt_call_product *p, double operand_unit, double u_acc)
{
    struct tt_value out = tt_value_new(p->seen.value.rank, p->seen.value.shape);
    double *var = tt_value_need_var(&out), *a = p->a, *b = p->b;
    if (a && operand_unit > 0) {
        a = rounded(p->a, p->elementwise ? p->n : p->batch * p->m * p->k, operand_unit);
        b = p->b ? rounded(p->b, p->batch * p->n * p->k, operand_unit) : NULL;
    }
    if (a && p->elementwise)
        scale_elements(p, a, &out);
    for (int64_t s = 0; a && b && s < p->batch; s++)
        multiply_slice(p, a + s * p->m * p->k, b + s * p->n * p->k, u_acc, out.v + s * p->m * p->n, var + s * p->m * p->n);
    if (a != p->a) {
        free(a);
        free(b);
    }
    add_previous(p, &out);
    allow_flushing(p, &out);
    return out;
}

/* ---- judging ---- */

static void judge(const struct tt_capture *capture, const struct tt_recorded_call *call, struct tt_call_check *out,
                  bool explain)
{
    const struct kind *kind = kind_of(call);
    struct tt_call_product p;
    *out = (struct tt_call_check){.call = call, .chi2_after = NAN};
    out->result = kind ? tt_call_find(call, kind->result, TT_AFTER) : NULL;
    if (tt_call_product_read(capture, call, &p))
        return;
    struct tt_value expected = tt_call_product_expected(&p, 0, p.u_acc);
    out->judged = tt_judge(&p.seen, &expected);
    tt_value_free(&expected);
    if (explain && (out->judged.status == TT_DRIFT || out->judged.status == TT_INTRODUCED))
        tt_call_explain(&p, out);
    tt_call_product_free(&p);
}

void tt_call_judge(const struct tt_capture *capture, const struct tt_recorded_call *call, struct tt_call_check *out)
{
    judge(capture, call, out, false);
}

void tt_call_check(const struct tt_capture *capture, const struct tt_recorded_call *call, struct tt_call_check *out)
{
    judge(capture, call, out, true);
}
