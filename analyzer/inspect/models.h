/* SPDX-License-Identifier: Apache-2.0
 *
 * Are two files the same model? Every setting and every weight of one, A, is looked for in the other, B, through the
 * names, orders and foldings of each one's kind of file; what is left over is explained.
 */
#ifndef TT_INSPECT_MODELS_H
#define TT_INSPECT_MODELS_H

#include "inspect/explain.h"

enum tt_model_status {
    TT_MODEL_EQUAL,     /* every number */
    TT_MODEL_ROUNDED,   /* within what the types leave */
    TT_MODEL_DIFFERENT,
    TT_MODEL_MISSING,   /* in B */
    TT_MODEL_EXTRA,     /* in B alone */
    TT_MODEL_STATUS_COUNT,
};

struct tt_model_row {
    const struct tt_placed *a, *b; /* NULL: not in that file */
    enum tt_model_status status;
    double nmse, expected;
    char transform[96];            /* what the files may do differently, "" */
};

struct tt_model_finding {
    char cause[48];
    char tensor[128];              /* in B, else in A */
    char component[64];            /* "attn.q_proj"; of settings the parts that compute with it */
    int *layers, nlayers;          /* [nlayers] ascending; none: the model's ends */
    int tensors;                   /* how many have it */
    char expected[96], found[96], evidence[320];
    const char *confidence;
    int shift;                     /* weights of another layer: how many layers off; 0: no such finding */
};

struct tt_models {
    struct tt_sides sides;
    struct tt_model_row *rows;
    int nrows, counts[TT_MODEL_STATUS_COUNT];
    struct tt_model_finding *findings;
    int nfindings;
    char **notes;                  /* differences without an effect */
    int nnotes;
};

/* Keeps both graphs until tt_models_free; they stay the caller's. NULL with *error when numbers cannot be read, or when the
 * two have so little in common that they cannot be one model. */
struct tt_models *tt_models_compare(struct tt_graph *a, struct tt_graph *b, struct tt_error *error);
void tt_models_free(struct tt_models *models);

const char *tt_model_status_name(enum tt_model_status status);

#endif
