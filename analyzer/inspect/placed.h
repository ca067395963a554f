/* SPDX-License-Identifier: Apache-2.0
 *
 * The canonical weights of a bound graph, each once, with what the graph makes of the numbers in the file: whether they
 * stand in the order of one rope pairing or the other, whether a constant is added or multiplied. Two files of one model
 * may differ in all of these and still be the same model.
 */
#ifndef TT_INSPECT_PLACED_H
#define TT_INSPECT_PLACED_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/graph.h"

struct tt_placed {
    const char *name;                     /* "attn.q_proj.weight"; lives as long as the graph */
    int layer;                            /* -1: the model's ends */
    const struct tt_model_tensor *tensor; /* never NULL; without values in a bare graph, see tt_placed_present */
    int64_t rows, columns;                /* as a matrix; vectors are one row, those in the order of a rope one column */
    double scale, offset;                 /* what the graph computes with: number · scale + offset (embedding: its factor) */
    bool norm;                            /* of a norm */
    int64_t head_dim, rotated;            /* rows of a head, of them turned by a rope; 0: no rope reads it */
    bool interleaved;                     /* that rope's pairs are (2i, 2i + 1) and not (i, i + rotated / 2) */
    int node;                             /* of the graph, the first that reads it */
    int same_as;                          /* index of the entry above that reads the same tensor, -1: none */
};

struct tt_placed_list {
    struct tt_placed *items; /* in the order of the graph */
    int count;
};

struct tt_placed_list tt_placed_list(const struct tt_graph *graph);
void tt_placed_list_free(struct tt_placed_list *list);
int tt_placed_find(const struct tt_placed_list *list, const char *name, int layer); /* -1: none */

/* Whether the file has it. */
bool tt_placed_present(const struct tt_placed *placed);

/* "L3.attn.q_proj.weight" */
struct tt_address tt_placed_address(const struct tt_placed *placed);

/* The row of `from` that stands where `row` of `like` does: another one where their ropes pair differently. */
int64_t tt_placed_row(const struct tt_placed *from, const struct tt_placed *like, int64_t row);
/* The same for given orders within heads. */
int64_t tt_paired_row(int64_t row, int64_t head_dim, int64_t rotated, bool to_interleaved);

/* Rows [first, first + count) in the order of `like`, as the graph computes with them: [count, columns]. */
int tt_placed_read(const struct tt_placed *placed, const struct tt_placed *like, int64_t first, int64_t count, double *out,
                   struct tt_error *error);

#endif
