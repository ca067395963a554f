/* SPDX-License-Identifier: Apache-2.0
 *
 * Recovers how a linear layer read its weight: a scale, fewer inputs, a leading dimension, a permutation of
 * the outputs, a tail left undone. Each finding is re-executed before it is offered.
 */
#include "ops/linear.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/fit.h"
#include "ops/linear_permutation.h"
#include "ops/support.h"

#define MATCHED 20000 /* outputs up to which rows are matched: the work grows with their square */
#define PROBES  64    /* elements on which a truncation or a leading dimension is looked for */

struct probe {
    struct tt_linear linear;
    struct tt_recoveries *list;
    struct tt_value expected;
    const double *observed; /* [rows, outputs] */
};

static bool off(const struct probe *p, int64_t i)
{
    double error = p->observed[i] - p->expected.v[i];
    return !(error * error <= 36 * tt_value_variance(&p->expected, i));
}

static void recover_scale(struct probe *p)
{
    double ratio, sigma, scale = p->linear.scale;
    int64_t count = tt_value_count(&p->expected);
    double *model = tt_alloc_array((size_t)count, sizeof *model),
           *rest = tt_alloc_array((size_t)count, sizeof *rest);
    for (int64_t i = 0; i < count; i++) {
        double bias = p->linear.bias ? p->linear.bias_scale * p->linear.bias[i % p->linear.outputs] : 0;
        model[i] = p->expected.v[i] - bias;
        rest[i] = p->observed[i] - bias;
    }
    if (tt_fit_scale(p->list->call, &p->expected, model, rest, &ratio, &sigma) &&
        fabs(ratio - 1) > 6 * sigma && ratio != 0)
        tt_recovery_number(p->list, "linear.scale", "scale", scale,
                           tt_fit_snap(ratio * scale, 6 * sigma * fabs(scale)));
    free(model);
    free(rest);
}

/* Last outputs, or last tokens, that are exactly zero while the others are right. */
static void recover_tail(struct probe *p)
{
    const struct tt_linear *l = &p->linear;
    int64_t column = l->outputs, row = l->rows;
    for (int64_t i = 0; i < l->rows * l->outputs; i++) {
        if (!off(p, i))
            continue;
        if (p->observed[i] != 0)
            return;
        column = i % l->outputs < column ? i % l->outputs : column;
        row = i / l->outputs < row ? i / l->outputs : row;
    }
    if (column > 0 && column < l->outputs)
        tt_recovery_number(p->list, "linear.tile_remainder", "tail_columns", 0,
                           (double)(l->outputs - column));
    if (row > 0 && row < l->rows)
        tt_recovery_number(p->list, "linear.tile_remainder", "tail_rows", 0, (double)(l->rows - row));
}

/* For each k: squared distance of Σ_{j<=k} w_j x_j from the observation, in σ², summed over probes. */
static void add_prefix_distances(const struct probe *p, int64_t i, double *distance)
{
    const struct tt_linear *l = &p->linear;
    int64_t row = i / l->outputs, column = i % l->outputs;
    const double *x = l->x->v + row * l->inputs, *w = l->weight + tt_linear_source_row(l, column) * l->inputs;
    double sum = l->bias ? l->bias_scale * l->bias[column] : 0, variance = tt_value_variance(&p->expected, i);
    for (int64_t k = 0; k < l->inputs; k++) {
        sum += l->scale * w[k] * x[k];
        distance[k] += (sum - p->observed[i]) * (sum - p->observed[i]) / variance;
    }
}

static void recover_truncation(struct probe *p)
{
    const struct tt_linear *l = &p->linear;
    int64_t count = l->rows * l->outputs, step = count / PROBES > 0 ? count / PROBES | 1 : 1, best = 0;
    double *distance = tt_alloc_array((size_t)l->inputs + 1, sizeof *distance);
    for (int64_t i = 0; l->plain && i < count; i += step)
        add_prefix_distances(p, i, distance);
    for (int64_t k = 1; k < l->inputs; k++)
        best = distance[k] < distance[best] ? k : best;
    free(distance);
    if (l->plain && best + 1 < l->inputs)
        tt_recovery_number(p->list, "linear.truncated", "truncate", (double)l->inputs, (double)best + 1);
}

/* Offset in the weight's bytes from which output `column` was computed, -1: none fits. */
static int64_t find_offset(const struct probe *p, int64_t column, int64_t first, int64_t last)
{
    const struct tt_linear *l = &p->linear;
    double bias = l->bias ? l->bias_scale * l->bias[column] : 0, closest = 64;
    int64_t best = -1, end = l->inputs * l->outputs - l->inputs;
    for (int64_t at = first; at <= last && at <= end; at++) {
        double worst = 0;
        for (int64_t t = 0; t < l->rows && t < 4 && worst < closest; t++) {
            double y =
                l->scale * cblas_ddot((int)l->inputs, l->weight + at, 1, l->x->v + t * l->inputs, 1) + bias;
            double error = y - p->observed[t * l->outputs + column];
            worst = fmax(worst, error * error / tt_value_variance(&p->expected, t * l->outputs + column));
        }
        if (worst < closest) {
            closest = worst;
            best = at;
        }
    }
    return best;
}

static void recover_leading_dimension(struct probe *p)
{
    const struct tt_linear *l = &p->linear;
    if (!l->plain || l->outputs < 2)
        return;
    int64_t reach = 4 * l->inputs < 16384 ? 4 * l->inputs : 16384;
    int64_t base = find_offset(p, 0, 0, reach), next = base < 0 ? -1 : find_offset(p, 1, base, base + reach);
    struct tt_attributes set = {0};
    char before[48], after[48];
    if (next <= base || (base == 0 && next == l->inputs))
        return;
    snprintf(before, sizeof before, "ld %lld", (long long)l->inputs);
    snprintf(after, sizeof after, base ? "ld %lld from element %lld" : "ld %lld", (long long)(next - base),
             (long long)base);
    tt_attributes_set_number(&set, "ld", (double)(next - base));
    tt_attributes_set_number(&set, "base", (double)base);
    tt_recovery_offer(p->list, "linear.leading_dimension", &set, before, after);
}

static void recover_permutation(struct probe *p)
{
    const struct tt_linear *l = &p->linear;
    struct tt_permutation permutation = {.outputs = l->outputs};
    struct tt_attributes set = {0};
    char text[48];
    if (!l->plain || l->outputs < 2 || l->outputs > MATCHED)
        return;
    permutation.source = tt_alloc_array((size_t)l->outputs, sizeof *permutation.source);
    tt_permutation_match(l, &p->expected, p->observed, &permutation);
    if (tt_permutation_explain(&permutation, &set, text, sizeof text))
        tt_recovery_offer(p->list, "linear.permuted_rows", &set, "rows as in the file", text);
    free(permutation.source);
}

static int recover_all(struct probe *p)
{
    static void (*const steps[])(struct probe *) = {recover_scale, recover_tail, recover_truncation,
                                                    recover_permutation, recover_leading_dimension};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        steps[i](p);
    return p->list->count;
}

int tt_linear_recover(const struct tt_op_call *call, const struct tt_value *observed,
                      struct tt_recovery *found, int most)
{
    struct tt_recoveries list = {"linear", call, observed, found, most, 0, 0};
    struct probe p = {.list = &list, .observed = observed->v};
    int count = 0;
    if (tt_linear_read(call, &p.linear, NULL) || tt_op_find("linear")->forward(call, &p.expected, NULL))
        return 0;
    if (tt_value_count(&p.expected) == tt_value_count(observed) && tt_value_count(observed))
        count = recover_all(&p);
    tt_value_free(&p.expected);
    return count;
}
