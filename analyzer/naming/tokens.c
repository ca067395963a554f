/* SPDX-License-Identifier: Apache-2.0
 *
 * Every id of the vocabulary is sent through the graph up to the node that was seen, and compared by cosine: robust
 * against a wrong norm or scale in the engine, since those turn all candidates alike. Where they all turn far (a norm with
 * other weights), what the surer tokens say of each channel is applied to the candidates, and they are compared again.
 */
#include "naming/tokens.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "verify/evaluate.h"

#define CHUNK 4096 /* ids evaluated at once */
#define SHORT 64   /* candidates that are looked at again at their own position */
#define TURNED 0.99 /* cosine below which a candidate may have been turned */
#define SURE 6      /* different tokens that gains of channels are taken from, at least */
#define ROUNDS 2

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

/* [count, width] values of `node` for these ids, all at `position`. */
static int candidates(struct tt_graph *graph, int node, const int32_t *ids, int64_t count, int64_t position,
                      struct tt_value *out, struct tt_error *error)
{
    int64_t *positions = tt_alloc_array((size_t)count, sizeof *positions);
    for (int64_t i = 0; i < count; i++)
        positions[i] = position;
    struct tt_trace *trace = tt_trace_new(graph);
    tt_trace_add_pass(trace, &(struct tt_pass_inputs){.ntokens = count, .tokens = ids, .positions = positions,
                                                      .nkeys = count, .key_positions = positions});
    struct tt_evaluator *evaluator = tt_evaluator_new(graph, trace);
    tt_evaluator_begin(evaluator, 0);
    int failed = tt_evaluate(evaluator, node, NULL, NULL, out, error);
    tt_evaluator_free(evaluator);
    tt_trace_free(trace);
    free(positions);
    return failed;
}

static void normalise(double *rows, int64_t count, int64_t width)
{
    for (int64_t r = 0; r < count; r++) {
        double size = 0;
        for (int64_t i = 0; i < width; i++)
            size += rows[r * width + i] * rows[r * width + i];
        for (int64_t i = 0; i < width && size > 0; i++)
            rows[r * width + i] /= sqrt(size);
    }
}

struct best { /* of one row, largest cosine first */
    int count;
    double cosine[SHORT];
    int32_t id[SHORT];
};

static void insert(struct best *best, int32_t id, double cosine)
{
    if (best->count == SHORT && !(cosine > best->cosine[SHORT - 1]))
        return;
    int at = best->count < SHORT ? best->count++ : SHORT - 1;
    for (; at > 0 && cosine > best->cosine[at - 1]; at--) {
        best->cosine[at] = best->cosine[at - 1];
        best->id[at] = best->id[at - 1];
    }
    best->cosine[at] = cosine;
    best->id[at] = id;
}

/* Cosines of `rows` with one chunk of candidates. */
static void compare(const double *rows, int64_t nrows, int64_t width, struct tt_value *values, const int32_t *ids,
                    struct best *best)
{
    int64_t count = tt_value_count(values) / width;
    double *cosines = tt_alloc_array((size_t)(nrows * count), sizeof *cosines);
    normalise(values->v, count, width);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)nrows, (int)count, (int)width, 1, rows, (int)width, values->v,
                (int)width, 0, cosines, (int)count);
    for (int64_t r = 0; r < nrows; r++)
        for (int64_t i = 0; i < count; i++)
            insert(&best[r], ids[i], cosines[r * count + i]);
    free(cosines);
}

static void apply_gain(struct tt_value *values, int64_t width, const double *gain)
{
    for (int64_t i = 0, n = tt_value_count(values); gain && i < n; i++)
        values->v[i] *= gain[i % width];
}

/* All ids at one position. gain: of each channel, NULL: as the graph says. */
static int search(struct tt_graph *graph, int node, int64_t vocabulary, const double *rows, int64_t nrows, int64_t width,
                  int64_t position, const double *gain, struct best *best, struct tt_error *error)
{
    int32_t ids[CHUNK];
    for (int64_t first = 0; first < vocabulary; first += CHUNK) {
        int64_t count = vocabulary - first < CHUNK ? vocabulary - first : CHUNK;
        struct tt_value values = {0};
        for (int64_t i = 0; i < count; i++)
            ids[i] = (int32_t)(first + i);
        if (candidates(graph, node, ids, count, position, &values, error))
            return -1;
        apply_gain(&values, width, gain);
        compare(rows, nrows, width, &values, ids, best);
        tt_value_free(&values);
    }
    return 0;
}

/* The short list of one row again, at the row's own position. */
static int refine(struct tt_graph *graph, int node, const double *row, int64_t width, int64_t position, struct best *best,
                  struct tt_error *error)
{
    struct best again = {0};
    struct tt_value values = {0};
    if (candidates(graph, node, best->id, best->count, position, &values, error))
        return -1;
    compare(row, 1, width, &values, best->id, &again);
    tt_value_free(&values);
    *best = again;
    return 0;
}

/* ---- channels that are scaled otherwise ---- */

static double lead(const struct best *best)
{
    return best->count > 1 ? best->cosine[0] - best->cosine[1] : 2;
}

/* Σ (1 - cosine) */
static double distance(const struct best *best, int64_t nrows)
{
    double sum = 0;
    for (int64_t t = 0; t < nrows; t++)
        sum += 1 - best[t].cosine[0];
    return sum;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_lead(const struct best *best, int64_t nrows)
{
    double *leads = tt_alloc_array((size_t)nrows + 1, sizeof *leads);
    for (int64_t t = 0; t < nrows; t++)
        leads[t] = lead(&best[t]);
    qsort(leads, (size_t)nrows, sizeof *leads, by_value);
    double median = leads[nrows / 2];
    free(leads);
    return median;
}

/* Ids of the surer half of the rows, each once, and the rows: how many. */
static int64_t choose_sure(const struct best *best, int64_t nrows, int32_t *ids, int64_t *chosen)
{
    double median = median_lead(best, nrows);
    int64_t count = 0;
    for (int64_t t = 0; t < nrows && count < CHUNK; t++) {
        bool sure = lead(&best[t]) >= median;
        for (int64_t i = 0; i < count && sure; i++)
            sure = ids[i] != best[t].id[0];
        if (!sure)
            continue;
        ids[count] = best[t].id[0];
        chosen[count++] = t;
    }
    return count;
}

/* gain [width]: least squares of what was seen against the candidates. False: too few tokens to tell. */
static bool fit_gain(struct tt_graph *graph, int node, const double *rows, int64_t nrows, int64_t width, int64_t position,
                     const struct best *best, double *gain)
{
    int32_t *ids = tt_alloc_array((size_t)nrows + 1, sizeof *ids);
    int64_t *chosen = tt_alloc_array((size_t)nrows + 1, sizeof *chosen), count = choose_sure(best, nrows, ids, chosen);
    struct tt_value values = {0};
    bool enough = count >= SURE && !candidates(graph, node, ids, count, position, &values, NULL);
    if (enough)
        normalise(values.v, count, width);
    for (int64_t c = 0; c < width && enough; c++) {
        double both = 0, own = 1e-300;
        for (int64_t i = 0; i < count; i++) {
            both += values.v[i * width + c] * rows[chosen[i] * width + c];
            own += values.v[i * width + c] * values.v[i * width + c];
        }
        gain[c] = both / own;
    }
    tt_value_free(&values);
    free(ids);
    free(chosen);
    return enough;
}

/* Keeps what it finds when that is much nearer to what was seen. */
static bool search_turned(struct tt_graph *graph, int node, int64_t vocabulary, const double *rows, int64_t nrows, int64_t width,
                          int64_t position, struct best *best)
{
    struct best *again = tt_alloc_array((size_t)nrows + 1, sizeof *again);
    double *gain = tt_alloc_array((size_t)width + 1, sizeof *gain);
    bool nearer = fit_gain(graph, node, rows, nrows, width, position, best, gain) &&
                  !search(graph, node, vocabulary, rows, nrows, width, position, gain, again, NULL) &&
                  4 * distance(again, nrows) < distance(best, nrows);
    if (nearer)
        memcpy(best, again, (size_t)nrows * sizeof *best);
    free(again);
    free(gain);
    return nearer;
}

int tt_recover_tokens(struct tt_graph *graph, int node, const double *rows, int64_t ntokens, const int64_t *positions,
                      int32_t *tokens, double *margins, struct tt_error *error)
{
    double vocabulary = 0;
    bool positional = depends_on_position(graph, node);
    if (!tt_graph_config(graph, "vocab", &vocabulary) || tt_graph_node(graph, node)->rank != 2)
        return tt_fail(error, TT_EINPUT, "the model's first value is no row a token; give the ids with --tokens");
    int64_t width = tt_graph_node(graph, node)->axes[1];
    struct best *best = tt_alloc_array((size_t)ntokens + 1, sizeof *best);
    double *unit = tt_alloc_array((size_t)(ntokens * width) + 1, sizeof *unit);
    for (int64_t i = 0; i < ntokens * width; i++)
        unit[i] = isfinite(rows[i]) ? rows[i] : 0;
    normalise(unit, ntokens, width);
    int failed = search(graph, node, (int64_t)vocabulary, unit, ntokens, width, ntokens ? positions[0] : 0, NULL, best, error);
    for (int i = 0; i < ROUNDS && !failed && !positional && distance(best, ntokens) > (1 - TURNED) * (double)ntokens; i++)
        if (!search_turned(graph, node, (int64_t)vocabulary, unit, ntokens, width, positions[0], best))
            break;
    for (int64_t t = 0; t < ntokens && !failed; t++) {
        if (positional && positions[t] != positions[0])
            failed = refine(graph, node, unit + t * width, width, positions[t], &best[t], error);
        tokens[t] = best[t].id[0];
        margins[t] = lead(&best[t]);
    }
    free(best);
    free(unit);
    return failed;
}
