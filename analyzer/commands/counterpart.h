/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run is compared with: a reference, another run, or arrays that somebody else saved.
 */
#ifndef TT_COMMANDS_COUNTERPART_H
#define TT_COMMANDS_COUNTERPART_H

#include "commands/analysis.h"
#include "model/arrays.h"

struct tt_counterpart {
    struct tt_capture *capture;
    struct tt_arrays *arrays;
    struct tt_naming *naming;
    struct tt_trace *trace; /* owned unless it is the naming's */
};

/* `path`: a capture, .safetensors, .npz, .npy or .pt. `like`: the run whose passes arrays without token ids belong to. 0, or
 * -1 with context->error; to be closed in either case. */
int tt_counterpart_open(struct tt_context *context, const char *path, struct tt_graph *graph, const struct tt_trace *like,
                        struct tt_counterpart *counterpart);
/* The same where a single array serves, which is taken for the values of `node`: FILE, FILE#NAME or a capture. */
int tt_counterpart_of_node(struct tt_context *context, const char *what, struct tt_graph *graph, int node,
                           const struct tt_trace *like, struct tt_counterpart *counterpart);
void tt_counterpart_close(struct tt_counterpart *counterpart);

bool tt_is_array_file(const char *path); /* by its suffix; a "#NAME" behind it does not matter */

/* Opens "FILE" or "FILE#NAME"; *array is the one that is meant, NULL when the file has several and none is named. The file
 * is the caller's. NULL with *error. */
struct tt_arrays *tt_open_array(const char *what, const struct tt_array **array, struct tt_error *error);

#endif
