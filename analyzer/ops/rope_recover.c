/* SPDX-License-Identifier: Apache-2.0
 *
 * Recovers what a rotary embedding did from x before and after: which elements form pairs (their norms
 * survive), then the angle of every pair at a few tokens, then the one parameter that explains all angles.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/fit.h"
#include "ops/rope.h"
#include "ops/support.h"

#define PROBES 6 /* tokens whose angles are read */

struct angles {
    int64_t pairs;
    int probes;
    int64_t token[PROBES];
    double position[PROBES]; /* nominal */
    double *angle, *weight;  /* [probes, pairs] radians, Σ over heads of |x||y| */
    double *frequency;       /* [pairs] nominal */
    double magnitude;        /* |y| / |x| */
    double mismatch;         /* share of norm that pairs do not keep or that changes beside them, 0: none */
};

struct recovery {
    struct tt_recoveries list;
    struct tt_rope rope;
    struct angles angles;
    struct tt_attributes form; /* pairing and dims where they differ from the nominal ones */
    char form_text[32];
};

static void choose_tokens(const struct tt_rope *rope, const struct tt_pass_inputs *pass, struct angles *a)
{
    a->probes = rope->tokens < PROBES ? (int)rope->tokens : PROBES;
    for (int i = 0; i < a->probes; i++) {
        a->token[i] = a->probes > 1 ? i * (rope->tokens - 1) / (a->probes - 1) : 0;
        a->position[i] = (double)pass->positions[a->token[i]];
    }
}

/* y·conj(x) summed over heads: its argument is the angle, weighted by what the pair holds. */
static void read_pair(const struct tt_rope *rope, const double *y, int64_t token, int64_t pair, double *angle,
                      double *weight, double *norms)
{
    double real = 0, imaginary = 0;
    int64_t first, second;
    tt_rope_pair(rope->interleaved, rope->dims, pair, &first, &second);
    for (int64_t h = 0; h < rope->heads; h++) {
        int64_t start = (token * rope->heads + h) * rope->depth;
        double x0 = rope->x->v[start + first], x1 = rope->x->v[start + second];
        double y0 = y[start + first], y1 = y[start + second];
        real += x0 * y0 + x1 * y1;
        imaginary += x0 * y1 - x1 * y0;
        double before = hypot(x0, x1), after = hypot(y0, y1);
        norms[0] += before * before, norms[1] += before * after, norms[2] += after * after;
    }
    *angle = atan2(imaginary, real);
    *weight = hypot(real, imaginary);
}

/* Σ (y - x)² over the elements that do not rotate. */
static double change_beside(const struct tt_rope *rope, const double *y, const struct angles *a)
{
    double sum = 0;
    for (int probe = 0; probe < a->probes; probe++) {
        int64_t first = a->token[probe] * rope->heads, last = first + rope->heads;
        for (int64_t row = first; row < last; row++) {
            for (int64_t i = row * rope->depth + rope->dims; i < (row + 1) * rope->depth; i++)
                sum += (y[i] - rope->x->v[i]) * (y[i] - rope->x->v[i]);
        }
    }
    return sum;
}

static void read_angles(const struct tt_op_call *call, const struct tt_rope *rope, const double *y,
                        struct angles *a)
{
    double norms[3] = {0}; /* Σ |x|², Σ |x||y|, Σ |y|² */
    choose_tokens(rope, call->pass, a);
    a->pairs = rope->dims / 2;
    size_t count = (size_t)(a->probes * a->pairs);
    a->angle = tt_alloc_array(2 * count + (size_t)a->pairs, sizeof *a->angle);
    a->weight = a->angle + count, a->frequency = a->weight + count;
    for (int64_t i = 0; i < (int64_t)count; i++)
        read_pair(rope, y, a->token[i / a->pairs], i % a->pairs, &a->angle[i], &a->weight[i], norms);
    a->magnitude = norms[0] > 0 ? norms[1] / norms[0] : 1;
    a->mismatch = norms[2] > 0 ? 1 - norms[1] * norms[1] / (norms[0] * norms[2]) : 0;
    a->mismatch += norms[2] > 0 ? change_beside(rope, y, a) / norms[2] : 0;
    for (int64_t i = 0; i < (int64_t)count; i++) /* a massive pair must not outvote the rest */
        a->weight[i] = a->weight[i] > 0 ? 1 : 0;
}

/* What a hypothesis predicts for the angle of a pair at a position. */
struct hypothesis {
    const double *frequency;
    double scale, offset; /* angle = (position·… + offset)·frequency·scale */
};

/* 1 - mean cosine between read and predicted angles; 0: all agree. Pairs faster than `fastest` are left out.
 */
static double disagreement(const struct angles *a, const struct hypothesis *h, double fastest)
{
    double sum = 0, weight = 0;
    for (int64_t i = 0; i < a->probes * a->pairs; i++) {
        double position = a->position[i / a->pairs] + h->offset;
        double angle = position * h->frequency[i % a->pairs];
        if (fabs(angle) > fastest || a->weight[i] == 0)
            continue;
        sum += a->weight[i] * (1 - cos(a->angle[i] - angle * h->scale));
        weight += a->weight[i];
    }
    return weight > 0 ? sum / weight : 2;
}

static int nominal_frequencies(const struct recovery *r, const char *name, double value, double *frequency)
{
    struct tt_attributes attributes =
        r->list.call->attributes ? *r->list.call->attributes : (struct tt_attributes){0};
    struct tt_op_call call = *r->list.call;
    double attention;
    call.attributes = &attributes;
    if (name && tt_attributes_set_number(&attributes, name, value))
        return -1;
    return tt_rope_frequencies(&call, r->rope.dims, frequency, &attention, NULL);
}

static bool offer(struct recovery *r, const char *cause, const char *name, double before, double after)
{
    struct tt_attributes set = r->form;
    char expected[48], found[48];
    tt_attributes_set_number(&set, name, after);
    snprintf(expected, sizeof expected, "%s %.7g", name, before);
    snprintf(found, sizeof found, "%s %.7g%s", name, after, r->form_text);
    return tt_recovery_offer(&r->list, cause, &set, expected, found);
}

/* ---- theta ---- */

static double theta_disagreement(const struct recovery *r, double theta, double *scratch)
{
    struct hypothesis h = {scratch, 1, 0};
    if (nominal_frequencies(r, "theta", theta, scratch))
        return 2;
    return disagreement(&r->angles, &h, INFINITY);
}

static void consider_theta(const struct recovery *r, double theta, double *scratch, double *best,
                           double *least)
{
    double here = theta_disagreement(r, theta, scratch);
    if (here < *least) {
        *least = here;
        *best = theta;
    }
}

/* Written values first; then those that stretching a context by a factor makes of them (NTK). */
static void search_theta(const struct recovery *r, double nominal, double *scratch, double *best,
                         double *least)
{
    static const double digits[] = {1, 1.5, 2, 2.5, 3, 4, 5, 6, 8};
    double power = (double)r->rope.dims / ((double)r->rope.dims - 2);
    for (double decade = 100; decade < 1e10; decade *= 10) {
        for (size_t i = 0; i < sizeof digits / sizeof *digits; i++)
            consider_theta(r, digits[i] * decade, scratch, best, least);
    }
    for (double factor = 1.0 / 64; factor <= 64 && r->rope.dims > 2; factor *= 2) {
        consider_theta(r, nominal * factor, scratch, best, least);
        consider_theta(r, nominal * pow(factor, power), scratch, best, least);
    }
}

/* Any value: a scan of log theta at the token with the smallest position, whose angles are slowest. */
static void scan_theta(const struct recovery *r, double *scratch, double *best, double *least)
{
    struct recovery near = *r;
    for (int i = 0; i < r->angles.probes; i++) {
        if (r->angles.position[i] < 1 || r->angles.position[i] > 512)
            continue;
        near.angles.probes = 1;
        near.angles.position[0] = r->angles.position[i];
        near.angles.angle = r->angles.angle + i * r->angles.pairs;
        near.angles.weight = r->angles.weight + i * r->angles.pairs;
        double step = 0.3 / near.angles.position[0], candidate = *best, near_least = 2;
        for (double log_theta = log(10); log_theta < log(1e9); log_theta += step)
            consider_theta(&near, exp(log_theta), scratch, &candidate, &near_least);
        for (int round = 0; round < 24; round++, step /= 2) {
            double centre = candidate;
            consider_theta(&near, centre * exp(step), scratch, &candidate, &near_least);
            consider_theta(&near, centre * exp(-step), scratch, &candidate, &near_least);
        }
        consider_theta(r, tt_fit_snap(candidate, 1e-3 * candidate), scratch, best, least);
        consider_theta(r, candidate, scratch, best, least);
        return;
    }
}

static void recover_theta(struct recovery *r)
{
    double nominal = tt_op_number(r->list.call, "theta", 10000), best = nominal, least = 2;
    double *scratch = tt_alloc_array((size_t)r->angles.pairs, sizeof *scratch);
    search_theta(r, nominal, scratch, &best, &least);
    if (best == nominal || !offer(r, "rope.theta", "theta", nominal, best)) {
        scan_theta(r, scratch, &best, &least);
        if (best != nominal)
            offer(r, "rope.theta", "theta", nominal, best);
    }
    free(scratch);
}

/* ---- settings of the scaling ---- */

#define MOST_VALUES 16

static const struct {
    const char *name;
    double values[MOST_VALUES]; /* beside the nominal one times powers of two; 0: no more */
} settings[] = {
    {"factor", {1, 2, 2.5, 3, 4, 5, 6, 8, 10, 16, 20, 32, 40, 64, 128}},
    {"original_context", {512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072}},
    {"low_freq_factor", {0.5, 1, 2, 3}},
    {"high_freq_factor", {1, 2, 3, 4, 6, 8}},
    {"beta_fast", {8, 16, 24, 32, 48, 64}},
    {"beta_slow", {0.5, 1, 2, 3, 4}},
};

static void consider_setting(const struct recovery *r, const char *name, double value, double *scratch, double *best,
                             double *least)
{
    struct hypothesis h = {scratch, 1, 0};
    double here = value > 0 && !nominal_frequencies(r, name, value, scratch) ? disagreement(&r->angles, &h, INFINITY) : 2;
    if (here < *least) {
        *least = here;
        *best = value;
    }
}

/* One number of the scaling that is another than the model's: those that people write. */
static void recover_setting(struct recovery *r)
{
    double *scratch = tt_alloc_array((size_t)r->angles.pairs, sizeof *scratch);
    bool scaled = strcmp(tt_op_string(r->list.call, "scaling", "none"), "none") != 0;
    for (size_t i = 0; scaled && i < sizeof settings / sizeof *settings; i++) {
        double nominal = tt_op_number(r->list.call, settings[i].name, 1), best = nominal, least = 2;
        consider_setting(r, settings[i].name, nominal, scratch, &best, &least);
        for (double by = 1.0 / 64; by <= 64; by *= 2)
            consider_setting(r, settings[i].name, nominal * by, scratch, &best, &least);
        for (int j = 0; j < MOST_VALUES && settings[i].values[j] > 0; j++)
            consider_setting(r, settings[i].name, settings[i].values[j], scratch, &best, &least);
        if (best != nominal)
            offer(r, "rope.frequency_scale", settings[i].name, nominal, best);
    }
    free(scratch);
}

/* ---- positions ---- */

/* The position that explains one token's angles best, among integers near 0 and near the nominal one. */
static double fit_position(const struct recovery *r, int probe, double *least)
{
    const struct angles *a = &r->angles;
    struct angles one = *a;
    double best = 0, nominal = a->position[probe], reach = fmin(fmax(2 * nominal, 64), 200000);
    one.probes = 1, one.position[0] = 0;
    one.angle = a->angle + probe * a->pairs, one.weight = a->weight + probe * a->pairs;
    *least = 2;
    for (double position = -64; position <= reach; position++) {
        struct hypothesis h = {a->frequency, 1, position};
        double here = disagreement(&one, &h, INFINITY);
        /* among positions that fit alike, the one nearest to the nominal position is the simplest */
        bool nearer = fabs(position - nominal) < fabs(best - nominal);
        if (here < *least - 1e-12 || (here <= *least + 1e-12 && nearer)) {
            *least = here;
            best = position;
        }
    }
    return best;
}

static void recover_position(struct recovery *r)
{
    const struct angles *a = &r->angles;
    bool offset = true, stuck = true, scaled = true;
    double found[PROBES] = {0}, least, ratio = 0;
    for (int i = 0; i < a->probes; i++) {
        found[i] = fit_position(r, i, &least);
        offset &= found[i] - a->position[i] == found[0] - a->position[0];
        stuck &= found[i] == found[0];
        if (a->position[i] != 0)
            ratio = found[i] / a->position[i];
    }
    for (int i = 0; i < a->probes; i++)
        scaled &= found[i] == ratio * a->position[i];
    if (offset && found[0] != a->position[0])
        offer(r, "rope.position_offset", "position_offset", 0, found[0] - a->position[0]);
    if (stuck && (found[0] != a->position[0] || a->probes > 1))
        offer(r, "rope.position_stuck", "stuck_position", a->position[0], found[0]);
    if (scaled && ratio != 1 && ratio != 0 && !(offset && a->probes == 1))
        offer(r, "rope.position_offset", "position_scale", 1, ratio);
}

/* ---- frequency scale, direction, magnitude ---- */

static double scale_disagreement(const struct recovery *r, double scale, double fastest)
{
    struct hypothesis h = {r->angles.frequency, scale, 0};
    return disagreement(&r->angles, &h, fastest);
}

/* Slow pairs give a coarse scale without ambiguity, faster ones refine it. */
static double search_scale(const struct recovery *r, double sign)
{
    double best = sign, low = log(1.0 / 128), high = log(128);
    for (double fastest = 30; fastest < 1e7; fastest *= 8) {
        double step = 0.2 / fastest, least = 4, centre = best;
        for (double s = low; s <= high; s += step) {
            double here = scale_disagreement(r, sign * exp(s), fastest);
            if (here < least)
                least = here, centre = s;
        }
        best = centre, low = centre - 8 * step, high = centre + 8 * step;
    }
    return sign * exp(best);
}

static void recover_frequency_scale(struct recovery *r)
{
    static const double usual[] = {1.0 / 64, 1.0 / 32, 1.0 / 16, 1.0 / 8, 1.0 / 4, 1.0 / 2,
                                   2,        4,        8,        16,      32,      64};
    double best = 1, least = 1e-3;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        double here = scale_disagreement(r, usual[i], INFINITY);
        if (here < least)
            least = here, best = usual[i];
    }
    if (scale_disagreement(r, -1, INFINITY) < least)
        offer(r, "rope.direction", "direction", 1, -tt_op_number(r->list.call, "direction", 1));
    if (best == 1) {
        best = search_scale(r, 1);
        double snapped = tt_fit_snap(best, 1e-3 * best);
        if (scale_disagreement(r, snapped, INFINITY) <= scale_disagreement(r, best, INFINITY) + 1e-6)
            best = snapped;
    }
    if (best != 1 && scale_disagreement(r, best, INFINITY) < 1e-2)
        offer(r, "rope.frequency_scale", "frequency_scale", 1, best);
}

static void recover_magnitude(struct recovery *r)
{
    struct tt_value expected = {0};
    double ratio, sigma, magnitude = r->rope.magnitude;
    if (tt_op_find("rope")->forward(r->list.call, &expected, NULL))
        return;
    if (tt_fit_scale(r->list.call, &expected, expected.v, r->list.observed->v, &ratio, &sigma) &&
        fabs(ratio - 1) > 6 * sigma)
        offer(r, "rope.magnitude_scale", "magnitude", magnitude, tt_fit_snap(ratio * magnitude, 6 * sigma));
    tt_value_free(&expected);
}

/* ---- pairs ---- */

static double form_mismatch(const struct recovery *r, bool interleaved, int64_t dims)
{
    struct tt_rope rope = r->rope;
    struct angles a = {0};
    rope.interleaved = interleaved, rope.dims = dims;
    read_angles(r->list.call, &rope, r->list.observed->v, &a);
    free(a.angle);
    return a.mismatch;
}

/* Pairing and rotated dims whose pairs keep their norms; the nominal form wins unless another is far better.
 */
static void choose_form(struct recovery *r)
{
    bool nominal = r->rope.interleaved;
    int64_t dims = r->rope.dims;
    double least = form_mismatch(r, nominal, dims);
    for (int64_t d = r->rope.depth; d >= 4 && d >= r->rope.depth / 8; d /= 2) {
        for (int other = 0; d % 2 == 0 && other < 2; other++) {
            double here = form_mismatch(r, nominal != other, d);
            if (here < least / 16 && least > 1e-10) {
                least = here;
                r->rope.interleaved = nominal != other, r->rope.dims = d;
            }
        }
    }
    if (r->rope.interleaved != nominal)
        tt_attributes_set_string(&r->form, "pairing", r->rope.interleaved ? "interleaved" : "half");
    if (r->rope.dims != dims)
        tt_attributes_set_number(&r->form, "dims", (double)r->rope.dims);
    if (r->form.count)
        snprintf(r->form_text, sizeof r->form_text, ", %s, dims %lld",
                 r->rope.interleaved ? "interleaved" : "half", (long long)r->rope.dims);
}

/* Fewer rotated dims keep the norms of interleaved pairs: only re-execution tells. */
static void offer_fewer_dims(struct recovery *r, int64_t dims)
{
    char expected[48], found[48];
    for (int64_t d = dims / 2; d >= 2 && d >= dims / 8 && d % 2 == 0; d /= 2) {
        struct tt_attributes set = {0};
        tt_attributes_set_number(&set, "dims", (double)d);
        snprintf(expected, sizeof expected, "%lld dims", (long long)dims);
        snprintf(found, sizeof found, "%lld dims", (long long)d);
        tt_recovery_offer(&r->list, "rope.partial_dims", &set, expected, found);
    }
}

/* The form alone, before anything else is fitted. */
static void offer_form(struct recovery *r, bool nominal_interleaved, int64_t nominal_dims)
{
    bool pairing = r->rope.interleaved != nominal_interleaved;
    char expected[48], found[48];
    if (!r->form.count)
        return;
    snprintf(expected, sizeof expected, "%s, dims %lld", nominal_interleaved ? "interleaved" : "half",
             (long long)nominal_dims);
    snprintf(found, sizeof found, "%s", r->form_text + 2);
    tt_recovery_offer(&r->list, pairing ? "rope.pairing" : "rope.partial_dims", &r->form, expected, found);
}

static void recover_parameters(struct recovery *r)
{
    static void (*const steps[])(struct recovery *) = {recover_theta, recover_setting, recover_position,
                                                       recover_frequency_scale, recover_magnitude};
    read_angles(r->list.call, &r->rope, r->list.observed->v, &r->angles);
    if (!nominal_frequencies(r, NULL, 0, r->angles.frequency)) {
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
            steps[i](r);
    }
    free(r->angles.angle);
}

int tt_rope_recover(const struct tt_op_call *call, const struct tt_value *observed, struct tt_recovery *found,
                    int most)
{
    struct recovery r = {.list = {"rope", call, observed, found, most, 0, 0}};
    if (tt_rope_read(call, &r.rope, NULL) || tt_value_count(observed) != tt_value_count(r.rope.x) ||
        r.rope.dims < 2 || !r.rope.tokens)
        return 0;
    bool nominal = r.rope.interleaved;
    int64_t dims = r.rope.dims;
    choose_form(&r);
    offer_form(&r, nominal, dims);
    if (!r.form.count)
        offer_fewer_dims(&r, r.rope.dims);
    if (!r.list.count)
        recover_parameters(&r);
    return r.list.count;
}
