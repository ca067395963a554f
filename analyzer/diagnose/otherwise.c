/* SPDX-License-Identifier: Apache-2.0
 *
 * Other right ways of coming to a value. A value that is right in one of them leaves the evaluator in that state, any
 * other leaves it as it was.
 */
#include "diagnose/otherwise.h"

#include <math.h>
#include <string.h>

#define SAME_LENGTH 2e-3 /* relative; a row of bf16 numbers is off by less */

/* ---- attention's scale in the operands ---- */

static int reader_by_op(const struct tt_graph *graph, int source, const char *op)
{
    for (int i = source + 1; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *n = tt_graph_node(graph, i);
        for (int port = 0; n->op && port < n->nin; port++)
            if (n->in[port] == source && strcmp(n->op->name, op) == 0)
                return i;
    }
    return -1;
}

/* Rows whose length is `by` times what was expected: a wrong rotation or a wrong row among many does not hide a scale. */
static bool most_rows_scaled(const struct tt_observation *seen, const struct tt_value *expected, double by)
{
    int64_t width = tt_value_width(&seen->value), rows = tt_value_rows(&seen->value), known = 0, scaled = 0;
    for (int64_t r = 0; r < rows; r++) {
        double own = 0, wanted = 0;
        if (!seen->seen[r] || (expected->var && tt_unknown(expected->var[r * width])))
            continue;
        for (int64_t i = r * width; i < (r + 1) * width; i++) {
            own += seen->value.v[i] * seen->value.v[i];
            wanted += expected->v[i] * expected->v[i];
        }
        known++;
        scaled += fabs(sqrt(own) - by * sqrt(wanted)) < SAME_LENGTH * by * sqrt(wanted);
    }
    return 2 * scaled > known;
}

static void divide(struct tt_value *value, double by)
{
    for (int64_t i = 0, n = tt_value_count(value); i < n; i++)
        value->v[i] /= by;
}

/* What the product read, and the product itself. */
static void divide_pass(struct tt_trace_pass *pass, int source, int product, double by)
{
    for (int i = 0; i < pass->nobservations; i++) {
        struct tt_observation *o = &pass->observations[i];
        if ((o->node != source || o->consumer != product) && o->node != product)
            continue;
        divide(&o->value, by);
        o->transform = o->node == product ? "attention's scale taken out" : "divided by attention's scale";
    }
}

bool tt_undo_early_scale(const struct tt_diagnosis *d, struct tt_trace_pass *pass, const struct tt_observation *seen,
                         const struct tt_value *expected)
{
    int product = reader_by_op(d->graph, seen->node, "qk");
    int scale = product < 0 || seen->consumer != product ? -1 : reader_by_op(d->graph, product, "scale");
    double factor = scale < 0 ? 1 : tt_attributes_number(&tt_graph_node(d->graph, scale)->attributes, "factor", 1);
    /* exp2 in place of exp wants log2 e in the scale as well */
    double forms[] = {factor, sqrt(factor), factor * M_LOG2E, sqrt(factor * M_LOG2E)};
    for (size_t i = 0; i < sizeof forms / sizeof *forms && factor > 0 && factor != 1; i++) {
        if (fabs(forms[i] - 1) < 0.01 || !most_rows_scaled(seen, expected, forms[i]))
            continue;
        divide_pass(pass, seen->node, product, forms[i]);
        return true;
    }
    return false;
}

/* ---- other definitions ---- */

static bool try_now(const struct tt_diagnosis *d, const struct tt_observation *seen, const int *span, int n,
                    struct tt_value *expected, struct tt_judgement *judged)
{
    struct tt_value other = {0};
    tt_evaluator_forget(d->evaluator, span, n);
    if (tt_evaluate_as(d->evaluator, seen, NULL, &other, NULL))
        return false;
    struct tt_judgement j = tt_judge(seen, &other);
    bool right = j.status == TT_EXACT || j.status == TT_PASS;
    if (right) {
        tt_value_free(expected);
        *expected = other;
        *judged = j;
        return true;
    }
    tt_value_free(&other);
    return false;
}

bool tt_right_otherwise(const struct tt_diagnosis *d, const struct tt_observation *seen, const int *span, int n,
                        struct tt_value *expected, struct tt_judgement *judged, const char **form)
{
    double unit = d->trace->weight_unit;
    bool right = false;
    *form = NULL;
    if (tt_evaluator_persists(d->evaluator, span, n)) {
        tt_evaluator_as_defined(d->evaluator, true);
        right = try_now(d, seen, span, n, expected, judged);
        tt_evaluator_as_defined(d->evaluator, false);
    }
    if (!right && unit > 0) {
        tt_graph_round_weights(d->graph, 0);
        right = try_now(d, seen, span, n, expected, judged);
        tt_graph_round_weights(d->graph, unit);
        *form = right ? "weights not rounded" : NULL;
    }
    if (!right && d->trace->unit < 0x1p-24) { /* angles, norms and softmax in f32 within a model in f64 */
        tt_evaluator_at_least(d->evaluator, 0x1p-24);
        right = try_now(d, seen, span, n, expected, judged);
        tt_evaluator_at_least(d->evaluator, 0);
        *form = right ? "f32 inside" : *form;
    }
    if (!right)
        tt_evaluator_forget(d->evaluator, span, n);
    return right;
}
