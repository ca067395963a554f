/* SPDX-License-Identifier: Apache-2.0
 *
 * A few hundred elements spread over the tensor decide: of unrelated weights the cosine of such samples stays below 0.3,
 * of a weight and its 4-bit form it is above 0.99. Answers are kept by digest, so a decode loop asks once.
 */
#include "naming/similar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES  256
#define SIMILAR  0.95
#define CELLS    4096 /* answers kept */

struct answer {
    struct tt_digest digest;
    bool used, found;
    struct tt_similarity value;
};

struct tt_similar {
    const struct tt_graph *graph;
    struct answer answers[CELLS];
};

struct tt_similar *tt_similar_new(const struct tt_graph *graph)
{
    struct tt_similar *similar = tt_alloc(sizeof *similar);
    similar->graph = graph;
    return similar;
}

void tt_similar_free(struct tt_similar *similar)
{
    free(similar);
}

/* Sample `i` of a [rows, columns] matrix: element index in row-major order. */
static uint64_t sample_at(uint64_t count, int i)
{
    return count <= SAMPLES ? (uint64_t)i % count : (uint64_t)i * (count / SAMPLES) + (uint64_t)i % (count / SAMPLES);
}

struct samples {
    double seen[SAMPLES], file[SAMPLES];
};

static double cosine(const struct samples *s)
{
    double xy = 0, xx = 0, yy = 0;
    for (int i = 0; i < SAMPLES; i++) {
        xy += s->seen[i] * s->file[i];
        xx += s->seen[i] * s->seen[i];
        yy += s->file[i] * s->file[i];
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

static bool equal_after(const struct samples *s, double unit)
{
    for (int i = 0; i < SAMPLES; i++)
        if (s->seen[i] != tt_round_to_unit(s->file[i], unit))
            return false;
    return true;
}

static bool read_file_samples(const struct tt_model_tensor *tensor, const uint64_t *at, struct samples *s)
{
    for (int i = 0; i < SAMPLES; i++)
        if (tt_model_read(tensor, at[i], 1, &s->file[i], NULL))
            return false;
    return true;
}

/* Has the operand the tensor's extents? `turned`: as [columns, rows]. Sums that end early leave columns out. */
static bool has_extents(const struct tt_operand *operand, const struct tt_model_tensor *tensor, bool turned)
{
    int64_t rows = operand->shape[turned], columns = operand->shape[!turned];
    return rows == (int64_t)tensor->shape[0] && columns <= (int64_t)tensor->shape[1] &&
           2 * columns > (int64_t)tensor->shape[1];
}

static double similarity(const struct tt_model_tensor *tensor, const struct tt_operand *operand, const double *values,
                         bool turned, struct samples *s)
{
    uint64_t rows = (uint64_t)operand->shape[turned], columns = (uint64_t)operand->shape[!turned], at[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        uint64_t sample = sample_at(rows * columns, i), r = sample / columns, c = sample % columns;
        s->seen[i] = values[turned ? c * rows + r : sample];
        at[i] = r * (uint64_t)tensor->shape[1] + c;
    }
    return read_file_samples(tensor, at, s) ? cosine(s) : 0;
}

static void describe(const struct samples *s, struct tt_similarity *found)
{
    static const struct {
        double unit;
        const char *transform;
    } roundings[] = {{0x1p-8, "rounded to bf16"}, {0x1p-11, "rounded to f16"}};
    found->unit = 0;
    found->transform = "similar values";
    for (size_t i = 0; i < sizeof roundings / sizeof *roundings; i++) {
        if (equal_after(s, roundings[i].unit)) {
            found->unit = roundings[i].unit;
            found->transform = roundings[i].transform;
            return;
        }
    }
}

static bool search(const struct tt_similar *similar, const struct tt_operand *operand, const double *values,
                   struct tt_similarity *found)
{
    double best = SIMILAR;
    for (int i = 0; i < tt_graph_nnodes(similar->graph); i++) {
        const struct tt_node *node = tt_graph_node(similar->graph, i);
        const struct tt_model_tensor *t = node->op && strcmp(node->op->name, "linear") == 0 ? node->weight[0] : NULL;
        if (!t || t->rank != 2)
            continue;
        for (int turned = 0; turned < 2; turned++) {
            struct samples s;
            if (!has_extents(operand, t, turned))
                continue;
            double close = similarity(t, operand, values, turned, &s);
            if (close <= best)
                continue;
            best = close;
            found->tensor = t;
            describe(&s, found);
        }
    }
    return best > SIMILAR;
}

static bool has_shape(const struct tt_similar *similar, const struct tt_operand *operand)
{
    for (int i = 0; i < tt_graph_nnodes(similar->graph); i++) {
        const struct tt_node *node = tt_graph_node(similar->graph, i);
        const struct tt_model_tensor *t = node->op && strcmp(node->op->name, "linear") == 0 ? node->weight[0] : NULL;
        if (t && t->rank == 2 && (has_extents(operand, t, false) || has_extents(operand, t, true)))
            return true;
    }
    return false;
}

static struct answer *cell_of(struct tt_similar *similar, const struct tt_digest *digest)
{
    uint64_t key;
    memcpy(&key, digest->bytes, sizeof key);
    return &similar->answers[key % CELLS];
}

bool tt_similar_find(struct tt_similar *similar, const struct tt_capture *capture, const struct tt_operand *operand,
                     struct tt_similarity *found)
{
    if (operand->rank != 2 || !operand->has_digest || !tt_operand_readable(operand) || !has_shape(similar, operand))
        return false;
    struct answer *answer = cell_of(similar, &operand->digest);
    if (!answer->used || memcmp(&answer->digest, &operand->digest, sizeof answer->digest) != 0) {
        double *values = tt_alloc_array(tt_operand_count(operand), sizeof *values);
        *answer = (struct answer){.digest = operand->digest, .used = true};
        if (tt_operand_read(capture, operand, values, NULL) == 0)
            answer->found = search(similar, operand, values, &answer->value);
        free(values);
    }
    *found = answer->value;
    return answer->found;
}
