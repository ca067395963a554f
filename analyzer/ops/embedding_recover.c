/* SPDX-License-Identifier: Apache-2.0
 *
 * Recovers what an embedding did: its scale, or which rows of the table it took.
 */
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/fit.h"
#include "ops/support.h"

#define PROBES 6 /* tokens whose rows are looked for */

int tt_embedding_recover(const struct tt_op_call *call, const struct tt_value *observed,
                         struct tt_recovery *found, int most);

static void recover_scale(struct tt_recoveries *list, const struct tt_value *expected)
{
    double ratio, sigma, scale = tt_op_number(list->call, "scale", 1);
    if (!tt_fit_scale(list->call, expected, expected->v, list->observed->v, &ratio, &sigma) ||
        fabs(ratio - 1) <= 6 * sigma)
        return;
    double value = tt_fit_snap(ratio * scale, 6 * sigma * fabs(scale));
    tt_recovery_number(list, fabs(ratio - 1) < 0.005 ? "embed.scale_rounding" : "embed.scale_missing",
                       "scale", scale, value);
}

static double *row_squares(const struct tt_value *table)
{
    int64_t width = table->shape[1];
    double *square = tt_alloc_array((size_t)table->shape[0], sizeof *square);
    for (int64_t r = 0; r < table->shape[0]; r++)
        square[r] = cblas_ddot((int)width, table->v + r * width, 1, table->v + r * width, 1);
    return square;
}

/* Row of the table nearest to scale·row. */
static int64_t nearest_row(const struct tt_value *table, const double *square, double scale,
                           const double *observed, double *scratch)
{
    int64_t best = 0, rows = table->shape[0], width = table->shape[1];
    cblas_dgemv(CblasRowMajor, CblasNoTrans, (int)rows, (int)width, 1, table->v, (int)width, observed, 1, 0,
                scratch, 1);
    for (int64_t r = 1; r < rows; r++) {
        double here = scale * square[r] - 2 * scratch[r], there = scale * square[best] - 2 * scratch[best];
        if (scale * here < scale * there)
            best = r;
    }
    return best;
}

static int64_t asked_row(const struct tt_op_call *call, int64_t t)
{
    const char *index = tt_op_string(call, "index", "token");
    if (index[0] == 'p')
        return call->pass->positions[t];
    if (index[1] == 'y')
        return call->pass->types ? call->pass->types[t] : 0;
    return call->pass->tokens[t];
}

static void offer_rows(struct tt_recoveries *list, const int64_t *token, const int64_t *row, int probes)
{
    bool offset = true, stuck = probes > 1;
    int64_t shift = 0;
    if (!probes)
        return;
    for (int i = 0; i < probes; i++) {
        offset &= row[i] - asked_row(list->call, token[i]) == row[0] - asked_row(list->call, token[0]);
        stuck &= row[i] == row[0];
    }
    for (int64_t s = -4; s <= 4; s++) {
        int64_t source = token[probes - 1] - s;
        if (s && source >= 0 && source < list->call->pass->ntokens &&
            asked_row(list->call, source) == row[probes - 1])
            shift = s;
    }
    if (stuck)
        tt_recovery_number(list, "embed.wrong_row", "row_stuck", -1, (double)row[0]);
    else if (offset && row[0] != asked_row(list->call, token[0]))
        tt_recovery_number(list, "embed.wrong_row", "row_offset", tt_op_number(list->call, "row_offset", 0),
                           (double)(row[0] - asked_row(list->call, token[0])));
    if (shift && !list->count)
        tt_recovery_number(list, "embed.wrong_row", "shift", 0, (double)shift);
}

static void recover_rows(struct tt_recoveries *list)
{
    const struct tt_value *table = list->call->weight[0];
    int64_t tokens = list->call->pass->ntokens, width = table->shape[1], token[PROBES], row[PROBES];
    int probes = tokens < PROBES ? (int)tokens : PROBES;
    double *square = row_squares(table), *scratch = tt_alloc_array((size_t)table->shape[0], sizeof *scratch);
    for (int i = 0; i < probes; i++) {
        token[i] = probes > 1 ? i * (tokens - 1) / (probes - 1) : 0;
        row[i] = nearest_row(table, square, tt_op_number(list->call, "scale", 1),
                             list->observed->v + token[i] * width, scratch);
    }
    free(square);
    free(scratch);
    offer_rows(list, token, row, probes);
}

int tt_embedding_recover(const struct tt_op_call *call, const struct tt_value *observed,
                         struct tt_recovery *found, int most)
{
    struct tt_recoveries list = {"embedding", call, observed, found, most, 0, 0};
    struct tt_value expected = {0};
    if (tt_op_find("embedding")->forward(call, &expected, NULL))
        return 0;
    if (tt_value_count(&expected) == tt_value_count(observed)) {
        recover_scale(&list, &expected);
        if (!list.count)
            recover_rows(&list);
    }
    tt_value_free(&expected);
    return list.count;
}
