/* SPDX-License-Identifier: Apache-2.0
 *
 * Every id of the vocabulary is sent through the graph up to the node that was seen, and compared by cosine: robust
 * against a wrong norm or scale in the engine, since those turn all candidates alike.
 */
#include "naming/tokens.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "verify/evaluate.h"

#define CHUNK 4096 /* ids evaluated at once */

static bool depends_on_position(const struct tt_graph *graph, int node)
{
    const struct tt_node *n = tt_graph_node(graph, node);
    if (n->op && strcmp(n->op->name, "embedding") == 0 &&
        strcmp(tt_attributes_string(&n->attributes, "index", "token"), "position") == 0)
        return true;
    for (int i = 0; i < n->nin; i++)
        if (depends_on_position(graph, n->in[i]))
            return true;
    return false;
}

/* [count, width] values of `node` for ids first … first+count-1, all at `position`. */
static int candidates(struct tt_graph *graph, int node, int32_t first, int64_t count, int64_t position,
                      struct tt_value *out, struct tt_error *error)
{
    int32_t *ids = tt_alloc_array((size_t)count, sizeof *ids);
    int64_t *positions = tt_alloc_array((size_t)count, sizeof *positions);
    for (int64_t i = 0; i < count; i++) {
        ids[i] = first + (int32_t)i;
        positions[i] = position;
    }
    struct tt_trace *trace = tt_trace_new(graph);
    tt_trace_add_pass(trace, &(struct tt_pass_inputs){.ntokens = count, .tokens = ids, .positions = positions,
                                                      .nkeys = count, .key_positions = positions});
    struct tt_evaluator *evaluator = tt_evaluator_new(graph, trace);
    tt_evaluator_begin(evaluator, 0);
    int failed = tt_evaluate(evaluator, node, NULL, NULL, out, error);
    tt_evaluator_free(evaluator);
    tt_trace_free(trace);
    free(ids);
    free(positions);
    return failed;
}

struct best {
    double cosine, second;
    int32_t id;
};

static void compare(const struct tt_value *values, const double *row, int32_t first, struct best *best)
{
    int64_t width = tt_value_width(values);
    for (int64_t r = 0; r < tt_value_rows(values); r++) {
        const double *v = values->v + r * width;
        double xy = 0, xx = 0, yy = 0;
        for (int64_t i = 0; i < width; i++) {
            xy += v[i] * row[i];
            xx += v[i] * v[i];
            yy += row[i] * row[i];
        }
        double cosine = xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
        if (cosine > best->cosine) {
            best->second = best->cosine;
            best->cosine = cosine;
            best->id = first + (int32_t)r;
        } else if (cosine > best->second) {
            best->second = cosine;
        }
    }
}

int tt_recover_tokens(struct tt_graph *graph, int node, const double *rows, int64_t ntokens, const int64_t *positions,
                      int32_t *tokens, double *margin, struct tt_error *error)
{
    double vocabulary = 0;
    bool positional = depends_on_position(graph, node);
    struct best *best = tt_alloc_array((size_t)ntokens + 1, sizeof *best);
    int failed = tt_graph_config(graph, "vocab", &vocabulary) ? 0 : tt_fail(error, TT_EINPUT, "the model has no vocabulary");
    for (int64_t t = 0; t < ntokens; t++)
        best[t] = (struct best){-2, -2, 0};
    for (int64_t first = 0; first < (int64_t)vocabulary && !failed; first += CHUNK) {
        int64_t count = (int64_t)vocabulary - first < CHUNK ? (int64_t)vocabulary - first : CHUNK;
        struct tt_value values = {0};
        for (int64_t t = 0; t < ntokens && !failed; t++) {
            if (t == 0 || positional) {
                tt_value_free(&values);
                failed = candidates(graph, node, (int32_t)first, count, positions[t], &values, error);
            }
            if (!failed)
                compare(&values, rows + t * tt_value_width(&values), (int32_t)first, &best[t]);
        }
        tt_value_free(&values);
    }
    *margin = 2;
    for (int64_t t = 0; t < ntokens; t++) {
        tokens[t] = best[t].id;
        *margin = fmin(*margin, best[t].cosine - best[t].second);
    }
    free(best);
    return failed;
}
