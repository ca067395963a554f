/* SPDX-License-Identifier: Apache-2.0
 *
 * Frequencies of rotary embeddings and their long-context scalings.
 * Sources: Su et al. 2021 (RoPE), Peng et al. 2023 (YaRN), Meta's Llama 3.1 scaling.
 */
#include <math.h>
#include <string.h>

#include "ops/rope.h"
#include "ops/support.h"

struct scaling {
    double theta, factor, low, high, context, beta_fast, beta_slow, attention;
    int64_t dims;
};

typedef double (*scale_function)(const struct scaling *s, int64_t i, double frequency);

static double scale_none(const struct scaling *s, int64_t i, double frequency)
{
    return frequency;
}

static double scale_linear(const struct scaling *s, int64_t i, double frequency)
{
    return frequency / s->factor;
}

/* Long waves are stretched, short ones kept, those between blended. */
static double scale_llama3(const struct scaling *s, int64_t i, double frequency)
{
    double turns = s->context * frequency / (2 * M_PI); /* within the original context */
    if (turns < s->low)
        return frequency / s->factor;
    if (turns > s->high)
        return frequency;
    double smooth = (turns - s->low) / (s->high - s->low);
    return (1 - smooth) * frequency / s->factor + smooth * frequency;
}

/* The pair that makes `turns` turns within the original context. */
static double yarn_pair(const struct scaling *s, double turns)
{
    return (double)s->dims * log(s->context / (turns * 2 * M_PI)) / (2 * log(s->theta));
}

static double scale_yarn(const struct scaling *s, int64_t i, double frequency)
{
    double low = fmax(floor(yarn_pair(s, s->beta_fast)), 0);
    double high = fmin(ceil(yarn_pair(s, s->beta_slow)), (double)s->dims - 1);
    if (low == high)
        high += 0.001;
    double ramp = fmin(fmax(((double)i - low) / (high - low), 0), 1);
    return frequency / s->factor * ramp + frequency * (1 - ramp);
}

static const struct {
    const char *name;
    scale_function scale;
} scalings[] = {
    {"none", scale_none},
    {"linear", scale_linear},
    {"llama3", scale_llama3},
    {"yarn", scale_yarn},
};

static scale_function find_scaling(const char *name)
{
    for (size_t i = 0; i < sizeof scalings / sizeof *scalings; i++) {
        if (!strcmp(scalings[i].name, name))
            return scalings[i].scale;
    }
    return NULL;
}

static struct scaling read_scaling(const struct tt_op_call *call, int64_t dims)
{
    return (struct scaling){
        .theta = tt_op_number(call, "theta", 10000),
        .factor = tt_op_number(call, "factor", 1),
        .low = tt_op_number(call, "low_freq_factor", 1),
        .high = tt_op_number(call, "high_freq_factor", 4),
        .context = tt_op_number(call, "original_context", 8192),
        .beta_fast = tt_op_number(call, "beta_fast", 32),
        .beta_slow = tt_op_number(call, "beta_slow", 1),
        .attention = tt_op_number(call, "attn_factor", 0),
        .dims = dims,
    };
}

int tt_rope_frequencies(const struct tt_op_call *call, int64_t dims, double *frequency, double *attention,
                        struct tt_error *error)
{
    const char *name = tt_op_string(call, "scaling", "none");
    scale_function scale = find_scaling(name);
    struct scaling s = read_scaling(call, dims);
    const struct tt_value *factors = call->weight[0];
    int bits = (int)tt_op_number(call, "frequency_bits", 0);
    if (!scale)
        return tt_fail(error, TT_EINPUT, "rope: unknown scaling '%s' (none, linear, llama3, yarn)", name);
    if (factors && dims && tt_value_count(factors) != dims / 2)
        return tt_fail(error, TT_EINPUT, "rope: %lld frequency factors for %lld pairs",
                       (long long)tt_value_count(factors), (long long)dims / 2);
    for (int64_t i = 0; i < dims / 2; i++) {
        double plain = pow(s.theta, -2.0 * (double)i / (double)dims);
        frequency[i] = scale(&s, i, factors ? plain / factors->v[i] : plain);
        frequency[i] = tt_round_bits(frequency[i], bits);
    }
    *attention = 1;
    if (scale == scale_yarn)
        *attention = s.attention > 0 ? s.attention : s.factor > 1 ? 0.1 * log(s.factor) + 1 : 1;
    return 0;
}
