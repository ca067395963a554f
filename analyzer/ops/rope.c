/* SPDX-License-Identifier: Apache-2.0
 *
 * rope forward. The error of an angle is relative to the angle, so it grows with the position: a right f32
 * engine is 1e-2 rad off at position 100000, and only the term (c·u·|angle|·partner)² says so.
 */
#include "ops/rope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/support.h"

struct rotation {
    double *frequency, *cosine, *sine, *angle_variance; /* [dims/2] */
    double position_scale, offset, stuck_position, stuck_row,
        turn;                      /* turn: direction · frequency_scale · (twice) */
    double angle_unit, table_unit; /* relative round-off of an angle; of cos and sin */
    int bits, table_bits;          /* significant ones of a position, of cos and sin; 0: all */
};

int tt_rope_read(const struct tt_op_call *call, struct tt_rope *rope, struct tt_error *error)
{
    if (tt_op_expect_inputs(call, "rope", 1, error))
        return -1;
    const struct tt_value *x = call->in[0];
    const char *pairing = tt_op_string(call, "pairing", "half");
    int64_t width = tt_value_width(x), depth = (int64_t)tt_op_number(call, "head_dim", (double)width);
    depth = x->rank >= 3 || depth <= 0 || width % depth ? width : depth;
    *rope = (struct tt_rope){.x = x, .depth = depth, .tokens = tt_value_length0(x)};
    rope->heads = depth ? tt_value_stride0(x) / depth : 0;
    rope->dims = (int64_t)tt_op_number(call, "dims", (double)depth);
    rope->interleaved = !strcmp(pairing, "interleaved");
    rope->magnitude = tt_op_number(call, "magnitude", 1);
    if (!rope->interleaved && strcmp(pairing, "half"))
        return tt_fail(error, TT_EINPUT, "rope: unknown pairing '%s' (half, interleaved)", pairing);
    if (rope->dims < 0 || rope->dims > depth || rope->dims % 2)
        return tt_fail(error, TT_EINPUT, "rope: %lld of %lld dimensions cannot rotate", (long long)rope->dims,
                       (long long)depth);
    if (!call->pass || !call->pass->positions || call->pass->ntokens != rope->tokens)
        return tt_fail(error, TT_EINPUT, "rope: %lld rows, but the pass gives positions for %lld",
                       (long long)rope->tokens, call->pass ? (long long)call->pass->ntokens : 0LL);
    return 0;
}

void tt_rope_pair(bool interleaved, int64_t dims, int64_t i, int64_t *first, int64_t *second)
{
    *first = interleaved ? 2 * i : i;
    *second = interleaved ? 2 * i + 1 : i + dims / 2;
}

static int open_rotation(const struct tt_op_call *call, struct tt_rope *rope, struct rotation *r,
                         struct tt_error *error)
{
    size_t pairs = (size_t)rope->dims / 2;
    double attention = 1, twice = tt_op_number(call, "twice", 0) != 0 ? 2 : 1;
    r->frequency = tt_alloc_array(4 * pairs, sizeof *r->frequency);
    r->cosine = r->frequency + pairs, r->sine = r->cosine + pairs, r->angle_variance = r->sine + pairs;
    r->position_scale = tt_op_number(call, "position_scale", 1);
    r->offset = tt_op_number(call, "position_offset", 0);
    r->stuck_position = tt_op_number(call, "stuck_position", NAN);
    r->stuck_row = tt_op_number(call, "stuck_row", -1);
    r->turn = tt_op_number(call, "direction", 1) * tt_op_number(call, "frequency_scale", 1) * twice;
    r->angle_unit = tt_op_number(call, "angle_error", 3) * call->numerics.u_acc;
    r->table_unit = tt_op_number(call, "table_unit", -1);
    r->table_unit = r->table_unit < 0 ? call->numerics.u_store : r->table_unit;
    r->bits = (int)tt_op_number(call, "position_bits", 0);
    r->table_bits = (int)tt_op_number(call, "table_bits", 0);
    if (tt_rope_frequencies(call, rope->dims, r->frequency, &attention, error))
        return -1;
    rope->magnitude *= pow(attention, twice);
    return 0;
}

static double position_of(const struct rotation *r, const struct tt_pass_inputs *pass, int64_t t)
{
    if (!isnan(r->stuck_position))
        return r->stuck_position;
    if (r->stuck_row >= 0 && r->stuck_row < (double)pass->ntokens)
        t = (int64_t)r->stuck_row;
    return tt_round_bits((double)pass->positions[t] * r->position_scale + r->offset, r->bits);
}

static void turn_to(const struct tt_rope *rope, const struct rotation *r, double position)
{
    for (int64_t i = 0; i < rope->dims / 2; i++) {
        double angle = position * r->frequency[i] * r->turn, error = r->angle_unit * angle;
        r->cosine[i] = rope->magnitude * tt_round_bits(cos(angle), r->table_bits);
        r->sine[i] = rope->magnitude * tt_round_bits(sin(angle), r->table_bits);
        r->angle_variance[i] = fmin(error * error, 1); /* lost angles cannot be lost further */
    }
}

/* One pair: rotation of values and of variances, plus products, sum and table rounded. */
static void rotate_pair(const struct tt_op_call *call, const struct rotation *r, int64_t i, const double *x,
                        const double *input_variance, double *y, double *variance)
{
    double c = r->cosine[i], s = r->sine[i], unit = fmax(call->numerics.u_acc, r->table_unit);
    double rounding = TT_ROUNDING_VARIANCE * unit * unit;
    y[0] = x[0] * c - x[1] * s;
    y[1] = x[0] * s + x[1] * c;
    for (int k = 0; k < 2; k++) {
        double along = x[k] * c, across = x[!k] * s, partner = y[!k];
        variance[k] = c * c * input_variance[k] + s * s * input_variance[!k];
        variance[k] +=
            2 * rounding * (along * along + across * across) + partner * partner * r->angle_variance[i];
        variance[k] +=
            0.75 * y[k] * y[k] * r->angle_variance[i] * r->angle_variance[i]; /* second order: far out */
    }
}

static void rotate_head(const struct tt_op_call *call, const struct tt_rope *rope, const struct rotation *r,
                        int64_t start, struct tt_value *out)
{
    const struct tt_value *x = rope->x;
    for (int64_t i = 0; i < rope->dims / 2; i++) {
        int64_t at[2];
        tt_rope_pair(rope->interleaved, rope->dims, i, &at[0], &at[1]);
        at[0] += start, at[1] += start;
        double in[2] = {x->v[at[0]], x->v[at[1]]}, y[2], variance[2];
        double var[2] = {x->var ? x->var[at[0]] : 0, x->var ? x->var[at[1]] : 0};
        rotate_pair(call, r, i, in, var, y, variance);
        for (int k = 0; k < 2; k++) {
            out->v[at[k]] = y[k];
            out->var[at[k]] = variance[k] + tt_store_variance(&call->numerics, y[k]);
        }
    }
    for (int64_t d = rope->dims; d < rope->depth; d++) { /* the rest passes through */
        out->v[start + d] = x->v[start + d];
        out->var[start + d] =
            (x->var ? x->var[start + d] : 0) + tt_store_variance(&call->numerics, x->v[start + d]);
    }
}

static void rotate_all(const struct tt_op_call *call, const struct tt_rope *rope, const struct rotation *r,
                       struct tt_value *out)
{
    *out = tt_value_like(rope->x);
    tt_value_need_var(out);
    for (int64_t t = 0; t < rope->tokens; t++) {
        turn_to(rope, r, position_of(r, call->pass, t));
        for (int64_t h = 0; h < rope->heads; h++)
            rotate_head(call, rope, r, (t * rope->heads + h) * rope->depth, out);
    }
    int64_t rows = tt_value_rows(out); /* a rotation is linear: common factors stay */
    for (int64_t i = 0; rope->x->row_var && i < rows; i++)
        tt_value_need_row_var(out)[i] = rope->x->row_var[i];
    tt_clear_nonfinite(out);
}

static int forward(const struct tt_op_call *call, struct tt_value *out, struct tt_error *error)
{
    struct tt_rope rope;
    struct rotation r = {0};
    if (tt_rope_read(call, &rope, error))
        return -1;
    if (tt_op_number(call, "skip", 0) != 0)
        rope.dims = 0;
    int status = open_rotation(call, &rope, &r, error);
    if (!status)
        rotate_all(call, &rope, &r, out);
    free(r.frequency);
    return status;
}

static const struct tt_variant variants[] = {
    {"rope.pairing", "pairing='interleaved'", "pairing=='half' && dims>2"},
    {"rope.pairing", "pairing='half'", "pairing=='interleaved' && dims>2"},
    {"rope.skipped", "skip=1", NULL},
    {"rope.twice", "twice=1", NULL},
    {"rope.direction", "direction=-direction", NULL},
    {"rope.position_offset", "position_offset=1", "position_offset==0"},
    {"rope.position_offset", "position_offset=-1", "position_offset==0"},
    {"rope.position_stuck", "stuck_position=0", NULL},
    {"rope.position_stuck", "stuck_row=0", NULL},
    {"rope.partial_dims", "dims=head_dim", "dims<head_dim"},
    {"rope.partial_dims", "dims=dims/2", "dims>=4 && dims%4==0"},
    {"rope.partial_dims", "dims=dims/4", "dims>=8 && dims%8==0"},
    {"rope.frequency_scale", "scaling='none'", "scaling!='none'"},
    {"rope.frequency_scale", "factor=1/factor", "scaling!='none'"},
    {"rope.frequency_scale", "scaling='linear'", "scaling!='none' && scaling!='linear'"},
    {"rope.frequency_scale", "truncate=1-truncate", "scaling=='yarn'"},
    {"rope.frequency_scale", "long=0", "scaling=='longrope'"},
    {"rope.magnitude_scale", "attn_factor=1", "scaling=='yarn' || scaling=='longrope'"},
    {"rope.position_precision", "position_bits=8", NULL},
    {"rope.position_precision", "position_bits=11", NULL},
    {"rope.position_precision", "frequency_bits=8", NULL},
    {"rope.position_precision", "frequency_bits=11", NULL},
    {0},
};

static const struct tt_variant benign[] = {
    {"iterated theta", "angle_error=45", NULL},
    {"f16 rope table", "table_unit=0.00048828125", NULL},
    {"bf16 rope table", "table_unit=0.00390625", NULL},
    {"long factors by the size of the context", "long=1", "scaling=='longrope'"},
    {0},
};

const struct tt_op tt_op_rope = {
    .name = "rope",
    .defaults =
        "theta=10000, pairing='half', dims=head_dim, scaling='none', factor=1, low_freq_factor=1, "
        "high_freq_factor=4, original_context=8192, beta_fast=32, beta_slow=1, attn_factor=0, magnitude=1, "
        "max_context=8192, truncate=1, long=-1, "
        "position_offset=0, position_scale=1, frequency_scale=1, direction=1, skip=0, twice=0, "
        "stuck_row=-1, position_bits=0, frequency_bits=0, angle_error=3, table_unit=-1, table_bits=0",
    .weight_roles = {"freq_factors", "long_factors"},
    .rowwise = true,
    .forward = forward,
    .variants = variants,
    .benign = benign,
    .recover = tt_rope_recover,
};
