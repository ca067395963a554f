/* SPDX-License-Identifier: Apache-2.0
 *
 * Which cache a pass goes on with, when a program runs several prompts in turns: the one that is as long as what the pass
 * found and holds the same keys. While nothing goes back to an older cache, each prompt takes the place of the one before
 * and no sequence gets a number of its own.
 */
#include <math.h>
#include <stdlib.h>

#include "naming/private.h"

static double *keys_of(const struct tt_namer *b, const struct tt_attention *attention, int64_t *rows, int64_t *width)
{
    for (int layer = 0; attention && layer < tt_graph_nlayers(b->graph); layer++) {
        if (!attention[layer].sequences)
            continue;
        const struct tt_product *p = attention[layer].qk_of[0];
        *rows = p->out;
        *width = p->in;
        return tt_side_read(b->capture, &p->w, p->out, p->in);
    }
    return NULL;
}

/* Relative squared distance between what an older pass left and what this one found. Infinite: cannot be told. */
static double keys_distance(const struct tt_namer *b, const struct tt_attention *older, int64_t past)
{
    int64_t rows = 0, width = 0, now = 0, same = 0;
    double *left = keys_of(b, older, &rows, &width), *found = keys_of(b, b->attention, &now, &same);
    double error = 0, size = 0;
    bool comparable = left && found && width == same && rows >= past && now >= past;
    for (int64_t i = 0; comparable && i < past * width; i++) {
        error += (left[i] - found[i]) * (left[i] - found[i]);
        size += left[i] * left[i];
    }
    free(left);
    free(found);
    return comparable && size > 0 ? error / size : INFINITY;
}

static int start_stream(struct tt_namer *b)
{
    b->streams = tt_grow(b->streams, (size_t)b->nstreams + 1, sizeof *b->streams);
    int first = b->nstreams ? b->streams[b->nstreams - 1].first + b->streams[b->nstreams - 1].sequences : 0;
    b->streams[b->nstreams] = (struct tt_stream){.first = first, .sequences = b->sequences};
    return b->nstreams++;
}

int tt_find_stream(struct tt_namer *b, int64_t keys)
{
    int64_t past = keys - b->rows / b->sequences;
    int best = b->latest, fitting = 0;
    double nearest = INFINITY;
    for (int s = 0; s < b->nstreams && past > 0; s++)
        fitting += b->streams[s].keys == past && b->streams[s].sequences == b->sequences;
    bool only_latest = fitting == 1 && b->streams[b->latest].keys == past;
    for (int s = 0; s < b->nstreams && fitting && !only_latest; s++) {
        if (b->streams[s].keys != past || b->streams[s].sequences != b->sequences)
            continue;
        double distance = keys_distance(b, b->streams[s].attention, past);
        if (distance < nearest || (fitting == 1 && b->attention)) {
            best = s;
            nearest = distance;
        }
    }
    if (!b->nstreams || past <= 0)
        best = start_stream(b);
    else if (best != b->latest)
        b->takes_turns = true;
    b->streams[best].keys = keys;
    b->streams[best].attention = b->attention;
    b->latest = best;
    return best;
}

void tt_number_sequences(struct tt_namer *b)
{
    for (int i = 0; b->takes_turns && i < b->nviews; i++) {
        b->views[i].first = b->streams[b->views[i].stream].first;
        b->naming->trace->passes[i].sequence += b->views[i].first;
    }
}
