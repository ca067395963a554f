/* SPDX-License-Identifier: Apache-2.0
 *
 * embedding: one table row per token, times a scale. No inputs: the pass says which rows.
 *   index       "token" | "position" | "type"
 *   scale       multiplier (1), e.g. √hidden
 *   other_scale the same multiplier rounded otherwise (to the type of the run instead of the checkpoint's), 0: none
 *   row_offset  added to the index (a fault unless the family says so), 0
 *   limit       indices from here on (and below 0) take row 0, as ids beyond a smaller table do; 0: none
 *   row_stuck   -1, or the one row that every token gets (a fault)
 *   shift       token t takes the row of token t - shift (a fault), 0
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/support.h"

/* Index of the row for token t before any fault; -1: the pass does not say. */
static int64_t index_of(const struct tt_pass_inputs *pass, const char *index, int64_t t)
{
    if (!strcmp(index, "position"))
        return pass->positions ? pass->positions[t] : -1;
    if (!strcmp(index, "type"))
        return pass->types ? pass->types[t] : 0;
    return pass->tokens ? pass->tokens[t] : -1;
}

static int64_t row_of(const struct tt_op_call *call, int64_t t)
{
    double stuck = tt_op_number(call, "row_stuck", -1);
    if (stuck >= 0)
        return (int64_t)stuck;
    int64_t shifted = t - (int64_t)tt_op_number(call, "shift", 0);
    if (shifted < 0)
        shifted = 0;
    if (shifted >= call->pass->ntokens)
        shifted = call->pass->ntokens - 1;
    int64_t row = index_of(call->pass, tt_op_string(call, "index", "token"), shifted) +
                  (int64_t)tt_op_number(call, "row_offset", 0);
    int64_t limit = (int64_t)tt_op_number(call, "limit", 0);
    return limit > 0 && (row < 0 || row >= limit) ? 0 : row;
}

static int check(const struct tt_op_call *call, struct tt_error *error)
{
    const char *index = tt_op_string(call, "index", "token");
    if (!call->weight[0] || call->weight[0]->rank != 2)
        return tt_fail(error, TT_EINPUT, "embedding: needs a table [vocabulary, hidden]");
    if (!call->pass)
        return tt_fail(error, TT_EINPUT, "embedding: the pass is not known");
    if (strcmp(index, "token") && strcmp(index, "position") && strcmp(index, "type"))
        return tt_fail(error, TT_EINPUT, "embedding: unknown index '%s' (token, position, type)", index);
    return 0;
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    if (check(call, error))
        return -1;
    const struct tt_value *table = call->weight[0]; /* [vocabulary, hidden] */
    for (int64_t t = 0; t < call->pass->ntokens; t++) {
        if (row_of(call, t) < 0 || row_of(call, t) >= table->shape[0])
            return tt_fail(error, TT_EINPUT, "embedding: token %lld asks for row %lld of a table of %lld",
                           (long long)t, (long long)row_of(call, t), (long long)table->shape[0]);
    }
    double scale = tt_op_number(call, "scale", 1);
    int64_t width = table->shape[1], ntokens = call->pass->ntokens;
    double *buffer = tt_alloc_array((size_t)width, sizeof *buffer);
    int failed = 0;
    *out = tt_value_new(2, (int64_t[]){ntokens, width});
    double *var = tt_value_need_var(out);
    for (int64_t t = 0; t < ntokens && !failed; t++) {
        uint64_t first = (uint64_t)(row_of(call, t) * width);
        const double *row = tt_op_weight_rows(call, 0, first, (uint64_t)width, buffer, error);
        failed = row ? 0 : -1;
        for (int64_t i = 0; i < width && row; i++) {
            out->v[t * width + i] = scale * row[i];
            var[t * width + i] = table->v ? scale * scale * tt_input_variance(table, (int64_t)first + i) : 0;
        }
    }
    free(buffer);
    if (failed)
        return -1;
    tt_add_store_variance(call, out);
    tt_clear_nonfinite(out);
    return 0;
}

int tt_embedding_recover(const struct tt_op_call *call, const struct tt_value *observed,
                         struct tt_recovery *found, int most);

static const struct tt_variant variants[] = {
    {"embed.scale_missing", "scale=1", "scale!=1"},
    {"embed.scale_twice", "scale=scale*scale", "scale!=1"},
    {"embed.wrong_row", "row_offset=1", "index=='token'"},
    {"embed.wrong_row", "row_offset=-1", "index=='token'"},
    {"embed.scale_rounding", "scale=round_bf16(scale)", "scale!=round_bf16(scale)"},
    {0},
};

static const struct tt_variant benign[] = {
    {"scale rounded to another type", "scale=other_scale", "other_scale!=0 && other_scale!=scale"},
    {0},
};

const struct tt_op tt_op_embedding = {
    .name = "embedding",
    .defaults = "index='token', scale=1, other_scale=0, row_offset=0, limit=0, row_stuck=-1, shift=0",
    .weight_roles = {"table"},
    .streams = 1,
    .forward = forward,
    .variants = variants,
    .benign = benign,
    .recover = tt_embedding_recover,
};
