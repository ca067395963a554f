/* SPDX-License-Identifier: Apache-2.0
 *
 * Frequencies of rotary embeddings and their long-context scalings.
 * Sources: Su et al. 2021 (RoPE), Peng et al. 2023 (YaRN; "dynamic NTK" is its section 3.3), Ding et al. 2024
 * (LongRoPE), Meta's Llama 3.1 scaling.
 */
#include <math.h>
#include <string.h>

#include "ops/rope.h"
#include "ops/support.h"

struct scaling {
    double theta, factor, low, high, context, beta_fast, beta_slow, attention;
    double longest; /* positions that the model was configured for */
    bool truncate;
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
    double low = yarn_pair(s, s->beta_fast), high = yarn_pair(s, s->beta_slow);
    low = fmax(s->truncate ? floor(low) : low, 0);
    high = fmin(s->truncate ? ceil(high) : high, (double)s->dims - 1);
    if (low == high)
        high += 0.001;
    double ramp = fmin(fmax(((double)i - low) / (high - low), 0), 1);
    return frequency / s->factor * ramp + frequency * (1 - ramp);
}

/* ---- multipliers of the result ---- */

typedef double (*attention_function)(const struct scaling *s);

static double attend_yarn(const struct scaling *s)
{
    return s->factor > 1 ? 0.1 * log(s->factor) + 1 : 1;
}

static double attend_longrope(const struct scaling *s)
{
    return s->factor > 1 ? sqrt(1 + log(s->factor) / log(s->context)) : 1;
}

/* longrope divides by its factors, dynamic has changed theta: neither scales further. */
static const struct kind {
    const char *name;
    scale_function scale;
    attention_function attention; /* NULL: 1 */
} kinds[] = {
    {"none", scale_none, NULL},
    {"linear", scale_linear, NULL},
    {"llama3", scale_llama3, NULL},
    {"yarn", scale_yarn, attend_yarn},
    {"dynamic", scale_none, NULL},
    {"longrope", scale_none, attend_longrope},
};

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!strcmp(kinds[i].name, name))
            return &kinds[i];
    }
    return NULL;
}

/* Positions up to the last one that the pass knows. Keys count: rows of a pass may have been gathered. */
static double reach_of(const struct tt_pass_inputs *pass)
{
    int64_t last = -1;
    for (int64_t i = 0; pass && pass->positions && i < pass->ntokens; i++)
        last = pass->positions[i] > last ? pass->positions[i] : last;
    for (int64_t i = 0; pass && pass->key_positions && i < pass->nkeys; i++)
        last = pass->key_positions[i] > last ? pass->key_positions[i] : last;
    return (double)last + 1;
}

/* The base grows with the length of the sequence once that is beyond what the model was configured for. */
static double dynamic_theta(const struct scaling *s, double reach)
{
    double stretched = s->factor * fmax(reach, s->longest) / s->longest - (s->factor - 1);
    return s->dims > 2 ? s->theta * pow(stretched, (double)s->dims / (double)(s->dims - 2)) : s->theta;
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
        .longest = tt_op_number(call, "max_context", 8192),
        .truncate = tt_op_number(call, "truncate", 1) != 0,
        .dims = dims,
    };
}

/* Divisors of the frequencies: those for long sequences where there are two sets; NULL: none. */
static const struct tt_value *factors_of(const struct tt_op_call *call, const struct scaling *s, const char *name)
{
    double wanted = tt_op_number(call, "long", -1);
    bool beyond = wanted < 0 ? reach_of(call->pass) > s->context : wanted != 0;
    return !strcmp(name, "longrope") && beyond ? call->weight[1] : call->weight[0];
}

static int check(const char *name, const struct kind *kind, const struct tt_value *factors, int64_t dims,
                 struct tt_error *error)
{
    if (!kind)
        return tt_fail(error, TT_EINPUT,
                       "rope: unknown scaling '%s' (none, linear, llama3, yarn, dynamic, longrope)", name);
    if (factors && dims && tt_value_count(factors) != dims / 2)
        return tt_fail(error, TT_EINPUT, "rope: %lld frequency factors for %lld pairs",
                       (long long)tt_value_count(factors), (long long)dims / 2);
    if (!factors && !strcmp(name, "longrope"))
        return tt_fail(error, TT_EINPUT, "rope: scaling 'longrope' needs frequency factors, the model has none");
    return 0;
}

int tt_rope_frequencies(const struct tt_op_call *call, int64_t dims, double *frequency, double *attention,
                        struct tt_error *error)
{
    const char *name = tt_op_string(call, "scaling", "none");
    const struct kind *kind = find_kind(name);
    struct scaling s = read_scaling(call, dims);
    const struct tt_value *factors = factors_of(call, &s, name);
    int bits = (int)tt_op_number(call, "frequency_bits", 0);
    if (check(name, kind, factors, dims, error))
        return -1;
    if (!strcmp(name, "dynamic"))
        s.theta = dynamic_theta(&s, reach_of(call->pass));
    for (int64_t i = 0; i < dims / 2; i++) {
        double plain = pow(s.theta, -2.0 * (double)i / (double)dims);
        frequency[i] = kind->scale(&s, i, factors ? plain / factors->v[i] : plain);
        frequency[i] = tt_round_bits(frequency[i], bits);
    }
    *attention = !kind->attention ? 1 : s.attention > 0 ? s.attention : kind->attention(&s);
    return 0;
}
