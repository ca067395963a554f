/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared pieces of the primitives.
 */
#include "ops/support.h"

#include <math.h>
#include <string.h>

double tt_op_number(const struct tt_op_call *call, const char *name, double fallback)
{
    return tt_attributes_number(call->attributes, name, fallback);
}

const char *tt_op_string(const struct tt_op_call *call, const char *name, const char *fallback)
{
    return tt_attributes_string(call->attributes, name, fallback);
}

int tt_op_expect_inputs(const struct tt_op_call *call, const char *op, int nin, struct tt_error *error)
{
    if (call->nin != nin)
        return tt_fail(error, TT_EINPUT, "%s: takes %d inputs, the graph gives %d", op, nin, call->nin);
    for (int i = 0; i < nin; i++) {
        if (!call->in[i] || !call->in[i]->v)
            return tt_fail(error, TT_EINPUT, "%s: input %d has no values", op, i);
    }
    return 0;
}

const double *tt_op_weight_rows(const struct tt_op_call *call, int role, uint64_t first, uint64_t count, double *buffer,
                                struct tt_error *error)
{
    const struct tt_weight_stream *stream = call->stream[role];
    if (call->weight[role]->v)
        return call->weight[role]->v + first;
    return stream->read(stream->user, first, count, buffer, error) ? NULL : buffer;
}

struct tt_value tt_value_like(const struct tt_value *like)
{
    return tt_value_new(like->rank, like->shape);
}

int64_t tt_value_length0(const struct tt_value *value)
{
    return value->rank > 1 ? value->shape[0] : 1;
}

int64_t tt_value_stride0(const struct tt_value *value)
{
    int64_t rows = tt_value_length0(value);
    return rows ? tt_value_count(value) / rows : 0;
}

/* Half of the spacing of f16 subnormals; the other formats reach so far down that nothing is lost. */
static double underflow_variance(double u)
{
    double spacing = u == 0x1p-11 ? 0x1p-24 : 0x1p-149;
    return spacing * spacing / 12;
}

double tt_store_variance(const struct tt_numerics *numerics, double y)
{
    double u = numerics->u_store;
    return TT_ROUNDING_VARIANCE * u * u * y * y + underflow_variance(u);
}

double tt_inner_variance(const struct tt_numerics *numerics, double y)
{
    return TT_ROUNDING_VARIANCE * numerics->u_acc * numerics->u_acc * y * y;
}

double tt_input_variance(const struct tt_value *x, int64_t i)
{
    return x->var || x->row_var ? tt_value_variance(x, i) : 0;
}

void tt_add_store_variance(const struct tt_op_call *call, struct tt_value *out)
{
    double *var = tt_value_need_var(out);
    int64_t count = tt_value_count(out);
    for (int64_t i = 0; i < count; i++)
        var[i] += tt_store_variance(&call->numerics, out->v[i]);
}

static double finite_mean_square(const double *v, int64_t width)
{
    double sum = 0;
    for (int64_t i = 0; i < width; i++)
        sum += isfinite(v[i]) ? v[i] * v[i] : 0;
    return width ? sum / (double)width : 0;
}

void tt_add_row_floor(const struct tt_op_call *call, struct tt_value *out)
{
    double *var = tt_value_need_var(out);
    double unit = 1.7 * call->numerics.u_acc;
    int64_t width = tt_value_width(out), rows = tt_value_rows(out);
    for (int64_t r = 0; r < rows; r++) {
        double floor = unit * unit * finite_mean_square(out->v + r * width, width);
        for (int64_t i = 0; i < width; i++)
            var[r * width + i] += floor;
    }
}

void tt_clear_nonfinite(struct tt_value *out)
{
    int64_t count = tt_value_count(out), rows = tt_value_rows(out);
    for (int64_t i = 0; out->var && i < count; i++) {
        if (!isfinite(out->v[i]) || isnan(out->var[i]))
            out->var[i] = 0;
    }
    for (int64_t r = 0; out->row_var && r < rows; r++) {
        if (!isfinite(out->row_var[r]))
            out->row_var[r] = 0;
    }
}

void tt_finish_sums(const struct tt_op_call *call, struct tt_value *out)
{
    tt_add_store_variance(call, out);
    tt_add_row_floor(call, out);
    tt_clear_nonfinite(out);
}

double tt_round_bits(double x, int bits)
{
    if (bits <= 0 || x == 0 || !isfinite(x))
        return x;
    int exponent;
    double mantissa = frexp(x, &exponent);
    return ldexp(rint(ldexp(mantissa, bits)), exponent - bits);
}

static void keep_nearest(double x, double candidate, double *best)
{
    if (fabs(x - candidate) < fabs(x - *best))
        *best = candidate;
}

double tt_snap(double x, double tolerance)
{
    static const double digits[] = {1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10};
    if (!(x > 0) || !isfinite(x))
        return x;
    double decade = pow(10, floor(log10(x))), best = INFINITY;
    for (size_t i = 0; i < sizeof digits / sizeof *digits; i++)
        keep_nearest(x, digits[i] * decade, &best);
    keep_nearest(x, exp2(rint(log2(x))), &best);
    if (x < 4096)
        keep_nearest(x, fmax(1, rint(x)), &best);
    if (x > 1.0 / 4096 && x < 1)
        keep_nearest(x, 1 / rint(1 / x), &best);
    return fabs(x - best) <= tolerance * x ? best : x;
}

int tt_head_map(const struct tt_op_call *call, const char *op, int64_t heads, int64_t kv_heads, int64_t *map,
                struct tt_error *error)
{
    const char *kind = tt_op_string(call, "head_map", "group");
    if (kv_heads <= 0 || heads % kv_heads)
        return tt_fail(error, TT_EINPUT, "%s: %lld query heads cannot share %lld key heads", op,
                       (long long)heads, (long long)kv_heads);
    for (int64_t h = 0; h < heads; h++) {
        if (!strcmp(kind, "group"))
            map[h] = h / (heads / kv_heads);
        else if (!strcmp(kind, "tile"))
            map[h] = h % kv_heads;
        else if (!strcmp(kind, "first"))
            map[h] = 0;
        else
            return tt_fail(error, TT_EINPUT, "%s: unknown head_map '%s' (group, tile, first)", op, kind);
    }
    return 0;
}
