/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs that compute as engines do: of numbers that f32 holds, every op that sums products makes a result that f32 holds,
 * and another one than in f64.
 */
#include <stdlib.h>

#include "ops/op.h"
#include "checks.h"

enum { ROWS = 3, TERMS = 40 };

struct sum {
    const char *op;
    int rank[3]; /* of the inputs, then of the weight; 0: none */
    int64_t shape[3][TT_VALUE_RANK];
    bool weight; /* the last one is a weight */
};

static const struct sum cases[] = {
    {"linear", {2, 2}, {{ROWS, TERMS}, {5, TERMS}}, true},
    {"linear_each", {3, 3}, {{ROWS, 2, TERMS}, {2, 5, TERMS}}, true},
    {"conv1d", {2, 3}, {{7, 20}, {5, 20, 2}}, true},
    {"expert_linear", {2, 2, 3}, {{ROWS, TERMS}, {ROWS, 1}, {2, 5, TERMS}}, true},
    {"qk", {3, 3}, {{ROWS, 2, TERMS}, {4, 2, TERMS}}, false},
    {"pv", {3, 3}, {{ROWS, 2, TERMS}, {TERMS, 2, 5}}, false},
};

static struct tt_value filled(int rank, const int64_t *shape, bool chosen)
{
    static unsigned state = 3;
    struct tt_value value = tt_value_new(rank, shape);
    for (int64_t i = 0; i < tt_value_count(&value); i++) {
        state = state * 1664525u + 1013904223u;
        value.v[i] = chosen ? 1 : (float)(state >> 8) / (1 << 24) - 0.4F;
    }
    return value;
}

static int64_t narrow(const struct tt_value *value)
{
    int64_t count = 0;
    for (int64_t i = 0; i < tt_value_count(value); i++)
        count += (double)(float)value->v[i] == value->v[i];
    return count;
}

static void check(const struct sum *c)
{
    struct tt_value operands[3] = {0};
    struct tt_attributes attributes = {0};
    struct tt_pass_inputs pass = {.ntokens = ROWS};
    struct tt_error error = {0};
    struct tt_op_call call = {.attributes = &attributes, .pass = &pass, .value_only = true,
                              .numerics = {.u_store = 0x1p-24, .u_acc = 0x1p-24}};
    int n = 0;
    for (; n < 3 && c->rank[n]; n++)
        operands[n] = filled(c->rank[n], c->shape[n], n == 1 && c->weight && c->rank[2]);
    call.nin = c->weight ? n - 1 : n;
    for (int i = 0; i < call.nin; i++)
        call.in[i] = &operands[i];
    call.weight[0] = c->weight ? &operands[n - 1] : NULL;
    for (int single = 0; single < 2; single++) {
        struct tt_value out = {0};
        call.single = single;
        CHECK(tt_op_find(c->op)->forward(&call, &out, &error) == 0);
        if (single ? narrow(&out) != tt_value_count(&out) : narrow(&out) * 2 > tt_value_count(&out)) {
            fprintf(stderr, "%s: %lld of %lld are f32 numbers, %s\n", c->op, (long long)narrow(&out),
                    (long long)tt_value_count(&out), single ? "in a run in f32" : "in f64");
            failures++;
        }
        tt_value_free(&out);
    }
    for (int i = 0; i < n; i++)
        tt_value_free(&operands[i]);
}

int main(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(&cases[i]);
    return failures != 0;
}
