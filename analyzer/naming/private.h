/* SPDX-License-Identifier: Apache-2.0
 *
 * The state of naming one capture, shared by its three parts: sequences.c (who is in a pass, at which positions, with
 * which tokens), observe.c (operands as values of the graph) and naming.c (the order of things).
 */
#ifndef TT_NAMING_PRIVATE_H
#define TT_NAMING_PRIVATE_H

#include "naming/attention.h"
#include "naming/naming.h"

#define MAX_BATCH 256
#define OWN_VALUE 0.01 /* relative squared distance within which a context row is the token's own v (a bias may be missing) */

struct tt_pending {
    int pass;        /* index in the trace */
    double *rows;    /* [ntokens, width] what its first layer read */
    int64_t width;
};

struct tt_sequence_rows {
    int64_t first, count; /* rows of the pass that are this sequence's, padding left out */
    int64_t pad, keys;    /* keys: padding left out */
};

struct tt_stream { /* a cache: the sequences that one prompt began */
    int first, sequences; /* their numbers */
    int64_t keys;         /* rows after the last pass */
    const struct tt_attention *attention; /* [layers] of that pass */
};

struct tt_view { /* what it takes to observe one sequence of one pass */
    int group, stream;
    int64_t rows; /* of the group, all sequences */
    int sequences, first;   /* first: number of the first of them */
    struct tt_sequence_rows of;
    struct tt_attention *attention; /* [layers], shared by the sequences of a group */
    bool owner;                     /* the first of them frees it */
};

struct tt_namer {
    const struct tt_capture *capture;
    struct tt_graph *graph;
    const struct tt_naming_options *options;
    struct tt_products products;
    struct tt_groups groups;
    struct tt_naming *naming;
    struct tt_attention *attention; /* [layers] of the current group */
    int64_t rows;                   /* of the current pass, all sequences */
    int sequences, first_sequence;
    int64_t *pads;                  /* [sequences] leading rows of the prompt that are padding */
    int npads;
    bool continues;                 /* the current pass reads an older cache, as far as can be told without keys */
    int64_t past_keys;              /* cached rows after the pass before, 0: none */
    int64_t tokens_used;            /* of options->tokens */
    struct tt_pending *pending;        /* passes whose tokens are still to be recovered */
    int npending, first_node;
    struct tt_view *views;          /* [passes of the trace] where each one's values are */
    int nviews;
    struct tt_stream *streams;
    int nstreams, latest;
    bool takes_turns;               /* a pass went on with a cache that was not the latest one's */
};

/* sequences.c */
const struct tt_product *tt_first_product(const struct tt_namer *namer, int group);
/* Fills rows, attention, sequences, pads and continues for a group; returns the number of cached rows after it. */
int64_t tt_find_sequences(struct tt_namer *namer, int group);
struct tt_sequence_rows tt_sequence_rows(const struct tt_namer *namer, int sequence, int64_t keys);
/* What the first layer reads, [rows, width]; NULL when it was not kept. Freed by the caller. */
double *tt_first_rows(const struct tt_namer *namer, int group, int *node, int64_t *width);
struct tt_trace_pass *tt_add_named_pass(struct tt_namer *namer, int group, int sequence,
                                        const struct tt_sequence_rows *rows, const double *first, int node, int64_t width);
void tt_recover_pending(struct tt_namer *namer);
void tt_place_positions(struct tt_namer *namer, int pass, int64_t pad);

/* streams.c */
int tt_find_stream(struct tt_namer *namer, int64_t keys); /* of the current pass; keys: its cached rows afterwards */
void tt_number_sequences(struct tt_namer *namer);

/* observe.c */
void tt_observe_pass(void *namer, struct tt_trace *trace, int pass); /* a trace's `load` */

#endif
