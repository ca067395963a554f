/* SPDX-License-Identifier: Apache-2.0
 *
 * Values put together from parts: rows copied, gathered and scattered, seen and computed rows merged, heads repeated.
 */
#include <string.h>

#include "verify/private.h"

void tt_fill_unknown(struct tt_value *value, int64_t first, int64_t count)
{
    double *var = tt_value_need_var(value);
    for (int64_t i = first; i < first + count; i++)
        var[i] = TT_UNKNOWN_VARIANCE;
}

void tt_copy_rows(struct tt_value *to, int64_t at, const struct tt_value *from, int64_t first, int64_t rows)
{
    int64_t stride = tt_value_count(to) / (to->shape[0] ? to->shape[0] : 1);
    memcpy(to->v + at * stride, from->v + first * stride, (size_t)(rows * stride) * sizeof *to->v);
    if (!from->var && !from->row_var)
        return;
    double *var = tt_value_need_var(to);
    for (int64_t i = 0; i < rows * stride; i++)
        var[at * stride + i] = tt_value_variance(from, first * stride + i);
}

/* Seen rows from the observation, others from `expected` (same shape; NULL: unknown). */
struct tt_value tt_merge_seen(const struct tt_observation *o, const struct tt_value *expected)
{
    struct tt_value out = tt_value_copy(&o->value);
    int64_t width = tt_value_width(&out), rows = tt_value_rows(&out);
    if (o->nseen == rows)
        return out;
    tt_value_need_var(&out);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = r * width; i < (r + 1) * width && !o->seen[r]; i++) {
            out.v[i] = expected ? expected->v[i] : 0;
            out.var[i] = expected ? tt_value_variance(expected, i) : TT_UNKNOWN_VARIANCE;
        }
    }
    return out;
}

static int64_t key_head(const char *map, int64_t head, int64_t heads, int64_t groups)
{
    if (strcmp(map, "tile") == 0)
        return head % groups;
    return strcmp(map, "first") == 0 ? 0 : head / (heads / groups);
}

/* [n, groups, d] -> [n, heads, d]: each query head's copy of the key head it should read. */
struct tt_value tt_repeat_heads(const struct tt_value *x, const int64_t *shape, const char *map)
{
    struct tt_value out = tt_value_new(3, shape);
    int64_t heads = shape[1], groups = x->shape[1], d = shape[2];
    bool var = x->var || x->row_var;
    if (var)
        tt_value_need_var(&out);
    for (int64_t n = 0; n < shape[0]; n++) {
        for (int64_t h = 0; h < heads; h++) {
            int64_t to = (n * heads + h) * d, from = (n * groups + key_head(map, h, heads, groups)) * d;
            memcpy(out.v + to, x->v + from, (size_t)d * sizeof *out.v);
            for (int64_t i = 0; var && i < d; i++)
                out.var[to + i] = tt_value_variance(x, from + i);
        }
    }
    return out;
}

struct tt_value tt_scatter_rows(const struct tt_value *some, const uint8_t *rows, int64_t nrows)
{
    int64_t shape[TT_VALUE_RANK], kept = 0;
    memcpy(shape, some->shape, sizeof shape);
    shape[0] = nrows;
    struct tt_value out = tt_value_new(some->rank, shape);
    int64_t stride = nrows ? tt_value_count(&out) / nrows : 0;
    tt_fill_unknown(&out, 0, tt_value_count(&out));
    for (int64_t t = 0; t < nrows; t++) {
        if (!rows[t])
            continue;
        for (int64_t i = 0; i < stride; i++)
            out.var[t * stride + i] = 0;
        tt_copy_rows(&out, t, some, kept++, 1);
    }
    return out;
}

/* Heads as read -> heads as stored: the first reader of each group speaks for it. */
struct tt_value tt_group_heads(const struct tt_value *x, const int64_t *shape)
{
    struct tt_value out = tt_value_new(3, shape);
    int64_t heads = x->shape[1], groups = shape[1], d = shape[2], each = heads / groups;
    if (x->var)
        tt_value_need_var(&out);
    for (int64_t n = 0; n < shape[0]; n++) {
        for (int64_t g = 0; g < groups; g++) {
            int64_t to = (n * groups + g) * d, from = (n * heads + g * each) * d;
            memcpy(out.v + to, x->v + from, (size_t)d * sizeof *out.v);
            if (x->var)
                memcpy(out.var + to, x->var + from, (size_t)d * sizeof *out.v);
        }
    }
    return out;
}
