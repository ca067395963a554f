/* SPDX-License-Identifier: Apache-2.0
 *
 * Faults that can be planted into a loaded model: each gives one step of the forward pass a wrong argument,
 * a wrong weight or a wrong order of operands. The forward pass itself stays what it is.
 */
#ifndef ENGINE_FAULTS_H
#define ENGINE_FAULTS_H

#include "model.h"
#include "problem.h"

#define FAULT_DEFAULT_LAYER -2
#define FAULT_ALL_LAYERS    -1

/* What a model must be for a fault to be possible, and a bit each. */
enum model_need {
    NEED_SCALED_EMBEDDING = 1 << 0, /* gemma */
    NEED_NORM_OFFSET = 1 << 1,      /* gemma in a Hugging Face folder */
    NEED_GROUPED_HEADS = 1 << 2,    /* 1 < kv_heads < heads */
    NEED_SQUARE_WEIGHT = 1 << 3,    /* of the component that is hit */
    NEED_BIAS = 1 << 4,             /* on the component that is hit */
    NEED_TWO_LAYERS = 1 << 5,
};

struct fault_target;

struct fault {
    const char *name;
    const char *component; /* the first one that computes wrong numbers */
    const char *cause;
    unsigned needs;      /* enum model_need */
    const char *traffic; /* what shows it: "any" run, a prompt of "tokens>1" or "tokens>4", "decode" (-n 2) */
    int layer;           /* the default: a layer or FAULT_ALL_LAYERS; ends of the model ignore it */
    int (*plant)(struct fault_target *target); /* −1: out of memory */
    const char *what;
};

/* What a fault is planted into; the members that its component does not mean are NULL. */
struct fault_target {
    struct model *model;
    struct layer *layer, *other_layer; /* other_layer: another one, for weights taken from the wrong place */
    struct norm *norm;
    struct linear *linear, *other_linear; /* the same component in other_layer */
    struct residual *residual;
};

extern const struct fault faults[];
extern const size_t nfaults;

/* `layer`: a layer, FAULT_ALL_LAYERS or FAULT_DEFAULT_LAYER. `component` chooses which norm, linear layer or
 * residual is hit, NULL: the table's. −1 when there is no such fault or the model cannot have it. */
int fault_plant(struct model *model, const char *name, int layer, const char *component,
                struct problem *problem);

/* The table, one fault a line, tab separated:
 * name, component, cause, model requirement, traffic requirement, default layer, what happens. */
void fault_list(void);

#endif
