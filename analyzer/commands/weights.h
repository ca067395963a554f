/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights of a model as they are computed with, dequantised.
 */
#ifndef TT_COMMANDS_WEIGHTS_H
#define TT_COMMANDS_WEIGHTS_H

#include "commands/analysis.h"
#include "commands/slice.h"

struct tt_weight_difference {
    bool compared, exact, right; /* right: within what rounding to the two types leaves */
    double nmse, expected, max_abs;
    int64_t count;               /* elements */
    int64_t at;                  /* of max_abs, in the order of the first file; -1: none */
    char with[160], how[96];     /* name on the other side; what was converted, "" */
};

struct tt_chosen_weight {
    char name[128];                       /* "L0.attn.q_proj.weight", or the tensor's name in the file */
    const char *canonical;                /* "attn.q_proj.weight"; NULL: chosen by its name in the file */
    int layer;
    const struct tt_model_tensor *tensor;
    struct tt_values values;              /* all, or the first rows of a very large one */
    struct tt_weight_difference difference;
};

struct tt_chosen_weights {
    struct tt_chosen_weight *items;
    size_t count;
};

/* weights_against.c: fills the differences. 0 or -1 with context->error. */
int tt_weights_against(struct tt_context *context, struct tt_graph *graph, const char *what,
                       struct tt_chosen_weights *weights);
/* weights_view.c: exit status, or -1 with context->error. */
int tt_weights_print(struct tt_context *context, const struct tt_graph *graph, const struct tt_chosen_weights *weights);
/* weights_view.c: a .npy of f64. 0 or -1 with *error. */
int tt_write_npy(const char *path, const struct tt_model_tensor *tensor, struct tt_error *error);

#endif
