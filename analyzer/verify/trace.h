/* SPDX-License-Identifier: Apache-2.0
 *
 * A run in the terms of the graph: passes, their inputs, and what was seen of each node's value. Made by naming from a
 * capture, by the reference engine, or from arrays of named tensors; read by verify, diagnose and compare.
 */
#ifndef TT_VERIFY_TRACE_H
#define TT_VERIFY_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/graph.h"
#include "ops/op.h"

enum tt_evidence { TT_BY_NONE, TT_BY_FILE, TT_BY_HASH, TT_BY_FLOW, TT_BY_SHAPE, TT_BY_NAME, TT_BY_VALUE };
const char *tt_evidence_name(enum tt_evidence evidence); /* "file", "hash", … as in the verdict document */

/* One value as the engine had it, in the graph's canonical shape for this pass and sequence. A producer's output has
 * consumer -1; an operand read by another node names that node and its port. As read by the attention product, caches
 * have one entry per *query* head: [keys, heads, head_dim]. */
struct tt_observation {
    int node;           /* whose value */
    int consumer, port; /* who read it, -1/-1: as produced */
    struct tt_value value;
    uint8_t *seen;      /* [rows of value: all axes but the last], 0: not captured; its elements in `value` are 0 */
    int64_t nseen;      /* rows seen */
    double unit;        /* unit round-off of the values as stored: 2^-24, 2^-8 when all are bf16 numbers, … */
    enum tt_dtype dtype; /* of the operand */
    enum tt_evidence evidence;
    uint64_t call;      /* id of (one of) its calls, 0: none */
    const char *transform; /* canonicalisation applied, "" when none; static or owned by the trace */
};

enum tt_phase { TT_PREFILL, TT_DECODE, TT_WARMUP };
const char *tt_phase_name(enum tt_phase phase);

struct tt_trace_pass {
    int pass, sequence;
    bool continues; /* reads the cache of the pass before it of the same sequence */
    bool blind;     /* the run kept nothing of it: its length is all that is known */
    bool chunk;     /* part of a prompt that goes on in the next pass */
    enum tt_phase phase;
    uint64_t epoch;
    struct tt_pass_inputs inputs; /* arrays owned by the pass */
    enum tt_evidence tokens_by;
    double tokens_margin;         /* how much better the recovered tokens fit than the runner-up, 0: given */
    int32_t greedy;               /* token that the last logits ask for, -1: not seen; set by verification */
    bool loaded;                  /* observations are in memory, see tt_trace_load */
    int nobservations, capacity;
    struct tt_observation *observations;
};

struct tt_trace {
    const struct tt_graph *graph;
    int npasses, capacity;
    struct tt_trace_pass *passes; /* in execution order; sequences of one pass follow each other */
    int unnamed_calls, named_calls;
    double weight_unit;           /* round-off to which the engine rounded the file's weights, 0: not */
    double unit;                  /* round-off of the engine's activations (finest that most of them have) */
    char note[512];               /* what could not be named and why, one line */
    /* Fills a pass with its observations; NULL: they are there from the beginning. */
    void (*load)(void *user, struct tt_trace *trace, int pass);
    void *user;
};

struct tt_trace *tt_trace_new(const struct tt_graph *graph);
void tt_trace_free(struct tt_trace *trace);

/* Arrays of `inputs` are copied; the tokens count as given (tokens_by TT_BY_NAME). The pointer is valid until the next
 * call. */
struct tt_trace_pass *tt_trace_add_pass(struct tt_trace *trace, const struct tt_pass_inputs *inputs);
/* The passes of a run without what was seen in them; their tokens count as given. */
struct tt_trace *tt_trace_bare(const struct tt_graph *graph, const struct tt_trace *run);
/* A long run does not fit in memory: observations are there between load and unload only. Both may be called again. */
void tt_trace_load(struct tt_trace *trace, int pass);
void tt_trace_unload(struct tt_trace *trace, int pass);
/* Makes (or finds) the observation, allocated in canonical shape with nothing seen. */
struct tt_observation *tt_trace_observe(struct tt_trace *trace, struct tt_trace_pass *pass, int node, int consumer,
                                        int port);
const struct tt_observation *tt_trace_find(const struct tt_trace_pass *pass, int node, int consumer, int port);
/* As it was produced, else as the first reader seen got it. */
const struct tt_observation *tt_trace_find_any(const struct tt_trace_pass *pass, int node);
/* Canonical shape of a node's value in this pass, as produced (consumer -1) or as read. */
int tt_trace_shape(const struct tt_graph *graph, const struct tt_trace_pass *pass, int node, int consumer, int port,
                   int64_t shape[TT_VALUE_RANK]);
/* After the last write: counts seen rows, finds the unit. */
void tt_observation_finish(struct tt_observation *observation);
/* Round-off of most values that are in memory: a run's precision as it shows in its numbers. */
double tt_trace_usual_unit(const struct tt_trace *trace);
bool tt_observation_complete(const struct tt_observation *observation);

#endif
