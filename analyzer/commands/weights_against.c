/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights against those of another model, or against saved arrays.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "commands/counterpart.h"
#include "commands/weights.h"
#include "inspect/pair.h"
#include "report/term.h"

#define PART (1 << 16) /* elements read at once */

static void fail_to_compare(struct tt_weight_difference *d, const char *why)
{
    d->compared = false;
    snprintf(d->how, sizeof d->how, "%s", why);
}

/* The largest difference and its place, in the order of `a`. */
static int find_largest(const struct tt_pair *pair, struct tt_weight_difference *d, struct tt_error *error)
{
    int64_t columns = pair->columns, step = columns < PART ? PART / columns : 1;
    double *a = tt_alloc_array((size_t)(step * columns), sizeof *a), *b = tt_alloc_array((size_t)(step * columns), sizeof *b);
    int failed = 0;
    for (int64_t row = 0; row < pair->rows && !failed; row += step) {
        int64_t count = pair->rows - row < step ? pair->rows - row : step;
        failed = tt_placed_read(pair->a, pair->a, row, count, a, error) ||
                 tt_placed_read(pair->b, pair->a, row, count, b, error);
        for (int64_t i = 0; i < count * columns && !failed; i++) {
            if (fabs(a[i] - b[i]) <= d->max_abs)
                continue;
            d->max_abs = fabs(a[i] - b[i]);
            d->at = row * columns + i;
        }
    }
    free(a);
    free(b);
    return failed ? -1 : 0;
}

static void say_how(const struct tt_placed *a, const struct tt_placed *b, struct tt_weight_difference *d)
{
    bool reordered = a->rotated && b->rotated && a->interleaved != b->interleaved;
    bool folded = a->offset != b->offset || a->scale != b->scale;
    snprintf(d->how, sizeof d->how, "%s%s%s", reordered ? "rows in the other rope pairing" : "", reordered && folded ? ", " : "",
             folded ? "with the constants that either model adds" : "");
}

static int measure(const struct tt_placed *a, const struct tt_placed *b, struct tt_weight_difference *d,
                   struct tt_error *error)
{
    struct tt_pair pair;
    struct tt_pair_difference found;
    if (!tt_pair_of(a, b, &pair) || a->rows != b->rows) {
        *d = (struct tt_weight_difference){.compared = true, .at = -1}; /* of another shape: surely not the same */
        snprintf(d->with, sizeof d->with, "%s", b->tensor->name);
        snprintf(d->how, sizeof d->how, "it is [%s]", tt_shape(b->tensor->shape, b->tensor->rank).text);
        return 0;
    }
    if (tt_pair_measure(&pair, &found, error))
        return -1;
    *d = (struct tt_weight_difference){.compared = true, .exact = found.error == 0 && !found.nonfinite,
                                       .nmse = tt_pair_nmse(&found), .expected = tt_pair_expected(&found),
                                       .count = found.count, .at = -1};
    d->right = d->exact || tt_pair_equal(&found);
    snprintf(d->with, sizeof d->with, "%s", b->tensor->name);
    say_how(a, b, d);
    return d->exact ? 0 : find_largest(&pair, d, error);
}

/* ---- another model ---- */

static int against_model(struct tt_context *context, struct tt_graph *graph, const char *path,
                         struct tt_chosen_weights *weights)
{
    struct tt_analysis other = {0};
    struct tt_placed_list own = tt_placed_list(graph), list = {0};
    int failed = tt_analysis_other_model(context, path, &other);
    if (!failed)
        list = tt_placed_list(other.graph);
    for (size_t i = 0; i < weights->count && !failed; i++) {
        struct tt_chosen_weight *weight = &weights->items[i];
        int a = weight->canonical ? tt_placed_find(&own, weight->canonical, weight->layer) : -1;
        int b = weight->canonical ? tt_placed_find(&list, weight->canonical, weight->layer) : -1;
        if (a < 0 || b < 0)
            fail_to_compare(&weight->difference, "the other model has no such weight");
        else
            failed = measure(&own.items[a], &list.items[b], &weight->difference, &context->error);
    }
    tt_placed_list_free(&own);
    tt_placed_list_free(&list);
    tt_analysis_close(&other);
    return failed;
}

/* ---- arrays ---- */

static struct tt_placed as_placed(const struct tt_model_tensor *tensor)
{
    struct tt_placed placed = {.name = tensor->name, .layer = -1, .tensor = tensor, .rows = 1, .columns = 1, .scale = 1,
                               .same_as = -1};
    for (int i = 0; i < tensor->rank; i++)
        placed.columns *= tensor->shape[i];
    if (tensor->rank > 1 && tensor->shape[tensor->rank - 1]) {
        placed.rows = placed.columns / tensor->shape[tensor->rank - 1];
        placed.columns = tensor->shape[tensor->rank - 1];
    }
    return placed;
}

static int measure_array(const struct tt_chosen_weight *weight, const struct tt_array *array,
                         struct tt_weight_difference *d, struct tt_error *error)
{
    struct tt_model_tensor tensor = {.name = array->name, .dtype = array->dtype, .rank = array->rank, .data = array->data,
                                     .nbytes = array->nbytes};
    memcpy(tensor.shape, array->shape, sizeof tensor.shape);
    struct tt_placed a = as_placed(weight->tensor), b = as_placed(&tensor);
    if (array->dtype == TT_NONE) {
        fail_to_compare(d, "the array's type cannot be read");
        return 0;
    }
    return measure(&a, &b, d, error);
}

static const struct tt_array *array_for(const struct tt_arrays *arrays, const struct tt_chosen_weight *weight)
{
    const char *names[] = {weight->tensor->name, weight->name, weight->canonical};
    const struct tt_array *found = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++)
        found = names[i] ? tt_arrays_find(arrays, names[i]) : NULL;
    return found;
}

static int against_arrays(struct tt_context *context, const char *what, struct tt_chosen_weights *weights)
{
    const struct tt_array *only;
    struct tt_arrays *arrays = tt_open_array(what, &only, &context->error);
    int failed = arrays ? 0 : -1;
    for (size_t i = 0; i < weights->count && !failed; i++) {
        struct tt_chosen_weight *weight = &weights->items[i];
        const struct tt_array *array = only && weights->count == 1 ? only : array_for(arrays, weight);
        if (array)
            failed = measure_array(weight, array, &weight->difference, &context->error);
        else
            fail_to_compare(&weight->difference, "not among the arrays");
    }
    tt_arrays_close(arrays);
    return failed;
}

/* A .safetensors may be either: arrays when it has a chosen tensor by name, or when one of its arrays is named. */
static bool holds_them(const char *what, const struct tt_chosen_weights *weights)
{
    const struct tt_array *only;
    struct tt_arrays *arrays = tt_open_array(what, &only, NULL);
    bool holds = arrays && only && weights->count == 1;
    for (size_t i = 0; i < weights->count && arrays && !holds; i++)
        holds = array_for(arrays, &weights->items[i]) != NULL;
    tt_arrays_close(arrays);
    return holds;
}

int tt_weights_against(struct tt_context *context, struct tt_graph *graph, const char *what,
                       struct tt_chosen_weights *weights)
{
    const char *dot = strrchr(what, '.');
    bool arrays = tt_is_array_file(what) &&
                  (!dot || strcmp(dot, ".safetensors") != 0 || holds_them(what, weights));
    return arrays ? against_arrays(context, what, weights) : against_model(context, graph, what, weights);
}
