/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a weight of one file is not that of the other: which of the things that converters and quantisers get wrong turns
 * one into the other.
 */
#ifndef TT_INSPECT_EXPLAIN_H
#define TT_INSPECT_EXPLAIN_H

#include "inspect/pair.h"

struct tt_sides {
    struct tt_graph *a, *b;
    struct tt_placed_list in_a, in_b;
};

struct tt_explanation {
    char cause[48];         /* "" when it is no fault: then `found` names a rounding */
    char expected[96], found[96];
    char evidence[320];     /* a sentence */
    const char *confidence; /* "certain", "likely", "unsure" */
    int from_layer;         /* the same weight of another layer, -2: no such thing */
};

/* For a pair that is not equal. -1 with *error when numbers cannot be read. */
int tt_explain(const struct tt_sides *sides, const struct tt_pair *pair, const struct tt_pair_difference *difference,
               struct tt_explanation *out, struct tt_error *error);

/* ---- between the files of this module ---- */

/* Rows of a pair, in the order and the folding of A. */
struct tt_window {
    const struct tt_pair *pair;
    int64_t first, rows, columns;
    double *exact, *other;  /* [rows, columns] */
    double noise;           /* NMSE that the two types leave */
};

/* NMSE below which numbers of these types are the same. */
double tt_alike_below(const struct tt_placed *a, const struct tt_placed *b);
/* Are some rows of b, if they stood where `like` of the same file does, those of `a`? */
bool tt_rows_alike(const struct tt_placed *a, const struct tt_placed *b, const struct tt_placed *like);

/* places.c: what b holds is another weight of A, or another expert. */
bool tt_explain_place(const struct tt_sides *sides, const struct tt_pair *pair, struct tt_explanation *out);
bool tt_explain_experts(const struct tt_pair *pair, struct tt_explanation *out);
/* fused.c: a part of a fused tensor holds rows of the other parts. */
bool tt_explain_split(const struct tt_sides *sides, const struct tt_pair *pair, struct tt_explanation *out);
/* order.c: rows in the order of the other rope pairing. */
bool tt_explain_order(const struct tt_window *window, struct tt_explanation *out);
/* folded.c: a constant of the family added or multiplied once too often or not at all. */
bool tt_explain_folded(const struct tt_sides *sides, const struct tt_window *window, struct tt_explanation *out);

#endif
