/* SPDX-License-Identifier: Apache-2.0
 *
 * Matching is by nearest column over all tokens, distances in units of each token's error. Rules tried: the
 * layout changes that converters make (half and interleaved rotary pairs within each head, any transposition
 * of a block), rotations, and two runs exchanged.
 */
#include "ops/linear_permutation.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/support.h"

#define BLOCK 256 /* observed columns matched at a time */

struct columns {              /* rows of tokens, scaled by 1/σ of the token */
    double *observed, *plain; /* [rows, outputs] bias taken away */
    double *plain_square;     /* [outputs] */
    int64_t rows, outputs;
};

static double row_sigma(const struct tt_value *expected, int64_t row, int64_t outputs)
{
    double sum = 0;
    for (int64_t n = 0; n < outputs; n++)
        sum += tt_value_variance(expected, row * outputs + n);
    return sqrt(sum / (double)outputs) + 1e-300;
}

static void open_columns(const struct tt_linear *l, const struct tt_value *expected, const double *observed,
                         struct columns *c)
{
    size_t count = (size_t)(l->rows * l->outputs);
    *c = (struct columns){.rows = l->rows, .outputs = l->outputs};
    c->observed = tt_alloc_array(count, sizeof(double));
    c->plain = tt_alloc_array(count, sizeof(double));
    c->plain_square = tt_alloc_array((size_t)l->outputs, sizeof(double));
    for (int64_t t = 0; t < l->rows; t++) {
        double sigma = row_sigma(expected, t, l->outputs);
        for (int64_t n = 0; n < l->outputs; n++) {
            int64_t i = t * l->outputs + n;
            double bias = l->bias ? l->bias_scale * l->bias[n] : 0;
            c->observed[i] = isfinite(observed[i]) ? (observed[i] - bias) / sigma : 0;
            c->plain[i] = (expected->v[i] - bias) / sigma;
            c->plain_square[n] += c->plain[i] * c->plain[i];
        }
    }
}

static void close_columns(struct columns *c)
{
    free(c->observed);
    free(c->plain);
    free(c->plain_square);
}

/* The plain column nearest to observed column n; the product loses digits, so the winner is measured again.
 */
static int64_t nearest(const struct columns *c, const double *product, int64_t n)
{
    int64_t best = 0;
    double distance = 0;
    for (int64_t m = 1; m < c->outputs; m++) {
        if (c->plain_square[m] - 2 * product[m] < c->plain_square[best] - 2 * product[best])
            best = m;
    }
    for (int64_t t = 0; t < c->rows; t++) {
        double error = c->observed[t * c->outputs + n] - c->plain[t * c->outputs + best];
        distance += error * error;
    }
    return distance <= 36 * (double)c->rows ? best : -1;
}

void tt_permutation_match(const struct tt_linear *linear, const struct tt_value *expected,
                          const double *observed, struct tt_permutation *permutation)
{
    struct columns c;
    open_columns(linear, expected, observed, &c);
    double *product = tt_alloc_array((size_t)(BLOCK * c.outputs), sizeof *product); /* [block, outputs] */
    for (int64_t first = 0; first < c.outputs; first += BLOCK) {
        int64_t count = c.outputs - first < BLOCK ? c.outputs - first : BLOCK;
        cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)count, (int)c.outputs, (int)c.rows, 1,
                    c.observed + first, (int)c.outputs, c.plain, (int)c.outputs, 0, product, (int)c.outputs);
        for (int64_t n = 0; n < count; n++)
            permutation->source[first + n] = nearest(&c, product + n * c.outputs, first + n);
    }
    free(product);
    close_columns(&c);
}

/* Share of outputs that the rule predicts; matches may be wrong where rows of W are alike. */
static bool obeys(const struct tt_permutation *p, const struct tt_linear *rule)
{
    int64_t right = 0, wrong = 0;
    for (int64_t n = 0; n < p->outputs && wrong * 20 <= p->outputs; n++) {
        bool same = p->source[n] == tt_linear_source_row(rule, n);
        right += same, wrong += !same;
    }
    return right * 20 >= p->outputs * 19;
}

static bool explain_blocks(const struct tt_permutation *p, struct tt_linear *rule)
{
    for (int64_t block = 4; block <= p->outputs; block++) {
        for (int64_t inner = 2; p->outputs % block == 0 && inner <= block / 2; inner++) {
            rule->block = block, rule->inner = inner;
            if (block % inner == 0 && obeys(p, rule))
                return true;
        }
    }
    return false;
}

static bool explain_rotation(const struct tt_permutation *p, struct tt_linear *rule)
{
    rule->block = p->outputs, rule->inner = 1, rule->rotate = p->source[0];
    return rule->rotate > 0 && obeys(p, rule);
}

static bool explain_swap(const struct tt_permutation *p, struct tt_linear *rule)
{
    int64_t first = 0, count = 0;
    while (first < p->outputs && p->source[first] == first)
        first++;
    if (first == p->outputs || p->source[first] <= first)
        return false;
    while (first + count < p->outputs && p->source[first + count] == p->source[first] + count &&
           first + count < p->source[first])
        count++;
    rule->swap[0] = first, rule->swap[1] = p->source[first], rule->swap_count = count;
    return obeys(p, rule);
}

static void set_blocks(const struct tt_linear *rule, struct tt_attributes *set)
{
    tt_attributes_set_number(set, "permute_block", (double)rule->block);
    tt_attributes_set_number(set, "permute_inner", (double)rule->inner);
    tt_attributes_set_number(set, "permute_rotate", (double)rule->rotate);
}

static void describe_blocks(const struct tt_linear *rule, char *text, size_t size)
{
    long long block = rule->block, inner = rule->inner;
    if (inner == 2)
        snprintf(text, size, "interleaved to half within %lld", block);
    else if (inner == block / 2)
        snprintf(text, size, "half to interleaved within %lld", block);
    else if (inner == 1)
        snprintf(text, size, "rotated by %lld", (long long)rule->rotate);
    else
        snprintf(text, size, "transposed %lld x %lld within %lld", inner, block / inner, block);
}

bool tt_permutation_explain(const struct tt_permutation *permutation, struct tt_attributes *set, char *text,
                            size_t size)
{
    struct tt_linear none = {.outputs = permutation->outputs}, rule = none;
    if (obeys(permutation, &none))
        return false;
    if (explain_blocks(permutation, &rule) || (rule = none, explain_rotation(permutation, &rule))) {
        set_blocks(&rule, set);
        describe_blocks(&rule, text, size);
        return true;
    }
    rule = none;
    if (!explain_swap(permutation, &rule))
        return false;
    tt_attributes_set_number(set, "swap_first", (double)rule.swap[0]);
    tt_attributes_set_number(set, "swap_second", (double)rule.swap[1]);
    tt_attributes_set_number(set, "swap_count", (double)rule.swap_count);
    snprintf(text, size, "rows %lld.. and %lld.. exchanged (%lld)", (long long)rule.swap[0],
             (long long)rule.swap[1], (long long)rule.swap_count);
    return true;
}
