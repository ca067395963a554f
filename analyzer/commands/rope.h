/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotary embeddings of a model, layer class by layer class, at one position.
 */
#ifndef TT_COMMANDS_ROPE_H
#define TT_COMMANDS_ROPE_H

#include "commands/analysis.h"
#include "ops/op.h"

struct tt_rope_pair_view {
    int64_t first, second; /* channels of a head that turn together */
    double plain;          /* radians per position by theta alone */
    double frequency;      /* the same, scaled */
    double angle;          /* radians at the position */
    double cosine, sine;   /* multiplier included: what x and its partner are multiplied by */
};

/* Layers that turn alike. */
struct tt_rope_class {
    int *layers;
    size_t nlayers;
    const char *components[8];
    size_t ncomponents;
    struct tt_attributes attributes;
    struct {
        char name[64], text[64]; /* of attributes that were given, which attributes only point to */
    } given[16];
    size_t ngiven;
    struct tt_value weight[TT_OP_MAX_WEIGHTS]; /* frequency factors, copied; rank 0: none */
    int64_t depth, dims; /* channels of a head; those that turn */
    double multiplier;   /* of the result */
    struct tt_rope_pair_view *pairs;
};

/* Fills pairs [dims/2], dims and multiplier for `position` of a sequence of `length` positions. */
int tt_rope_turn(struct tt_rope_class *rope, int64_t position, int64_t length, struct tt_error *error);

struct tt_rope_report {
    const char *model; /* NULL: none */
    int64_t position, length;
    const struct tt_rope_class *classes;
    size_t nclasses;
    char *difference; /* what was given and the model has otherwise, NULL: nothing */
};
/* Exit status, or -1 with context->error. */
int tt_rope_print(struct tt_context *context, const struct tt_rope_report *report);

#endif
