/* SPDX-License-Identifier: Apache-2.0
 *
 * Experts whose weights come as a stream: only those that a token chose are read, each once; the result is that of weights
 * held in memory; an unreadable one is an error; without an error bar nothing but values is made.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/op.h"
#include "checks.h"

enum { EXPERTS = 16, OUTPUTS = 6, INPUTS = 10, TOKENS = 4, PLACES = 2 };

struct file { /* what a model file would be */
    double weight[EXPERTS * OUTPUTS * INPUTS];
    int reads[EXPERTS];
    int broken; /* expert that cannot be read, -1: none */
};

static int read_elements(const void *user, uint64_t first, uint64_t count, double *out, struct tt_error *error)
{
    struct file *file = (struct file *)user;
    uint64_t each = OUTPUTS * INPUTS;
    CHECK(first % each == 0 && count == each);
    file->reads[first / each]++;
    if ((int)(first / each) == file->broken)
        return tt_fail(error, TT_EINPUT, "expert %d is not there", file->broken);
    memcpy(out, file->weight + first, count * sizeof *out);
    return 0;
}

struct example {
    struct file file;
    struct tt_value x, topk, weight;
    struct tt_weight_stream stream;
    struct tt_op_call call;
};

static void fill(double *to, int64_t count, double step)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = step * (double)((i * 37) % 101 - 50);
}

static void open_example(struct example *e)
{
    static const double chosen[] = {3, 7, 7, 3, 15, 3, 0, 7};
    memset(e, 0, sizeof *e);
    e->file.broken = -1;
    fill(e->file.weight, EXPERTS * OUTPUTS * INPUTS, 0.01);
    e->x = tt_value_new(2, (int64_t[]){TOKENS, INPUTS});
    fill(e->x.v, TOKENS * INPUTS, 0.3);
    e->topk = tt_value_new(2, (int64_t[]){TOKENS, PLACES});
    memcpy(e->topk.v, chosen, sizeof chosen);
    e->weight = (struct tt_value){.rank = 3, .shape = {EXPERTS, OUTPUTS, INPUTS}};
    e->stream = (struct tt_weight_stream){read_elements, &e->file};
    e->call = (struct tt_op_call){.nin = 2, .in = {&e->x, &e->topk}, .weight = {&e->weight}};
    e->call.stream[0] = &e->stream;
    e->call.numerics = (struct tt_numerics){0x1p-24, 0x1p-24};
}

static void close_example(struct example *e)
{
    tt_value_free(&e->x);
    tt_value_free(&e->topk);
}

static int run(const struct example *e, struct tt_value *out, struct tt_error *error)
{
    memset(out, 0, sizeof *out);
    return tt_op_find("expert_linear")->forward(&e->call, out, error);
}

static void test_only_chosen_experts_are_read(void)
{
    struct example e;
    struct tt_value out;
    open_example(&e);
    CHECK(tt_op_find("expert_linear")->streams == 1);
    CHECK(!run(&e, &out, NULL));
    for (int i = 0; i < EXPERTS; i++)
        CHECK(e.file.reads[i] == (i == 0 || i == 3 || i == 7 || i == 15));
    for (int64_t i = 0; i < TOKENS * PLACES * OUTPUTS; i++) {
        const double *w = e.file.weight + ((int64_t)e.topk.v[i / OUTPUTS] * OUTPUTS + i % OUTPUTS) * INPUTS;
        double sum = 0;
        for (int k = 0; k < INPUTS; k++)
            sum += w[k] * e.x.v[i / OUTPUTS / PLACES * INPUTS + k];
        CHECK(out.v[i] - sum < 1e-12 && sum - out.v[i] < 1e-12);
        CHECK(out.var && out.var[i] > 0);
    }
    tt_value_free(&out);
    close_example(&e);
}

static void test_held_weights_give_the_same(void)
{
    struct example e;
    struct tt_value streamed, held;
    open_example(&e);
    CHECK(!run(&e, &streamed, NULL));
    e.weight.v = e.file.weight;
    e.call.stream[0] = NULL;
    CHECK(!run(&e, &held, NULL));
    CHECK(!memcmp(streamed.v, held.v, TOKENS * PLACES * OUTPUTS * sizeof *held.v));
    CHECK(!memcmp(streamed.var, held.var, TOKENS * PLACES * OUTPUTS * sizeof *held.var));
    tt_value_free(&streamed);
    tt_value_free(&held);
    close_example(&e);
}

static void test_unreadable_expert(void)
{
    struct example e;
    struct tt_value out;
    struct tt_error error = {0};
    open_example(&e);
    e.file.broken = 7;
    CHECK(run(&e, &out, &error) == -1);
    CHECK(strstr(error.message, "expert 7 is not there"));
    tt_value_free(&out);
    e.file.broken = 8; /* nobody chose it */
    CHECK(!run(&e, &out, &error));
    tt_value_free(&out);
    close_example(&e);
}

static void test_values_only(void)
{
    struct example e;
    struct tt_value out, exact;
    open_example(&e);
    CHECK(!run(&e, &out, NULL));
    e.call.value_only = true;
    CHECK(!run(&e, &exact, NULL));
    CHECK(!exact.var && !exact.row_var);
    CHECK(!memcmp(out.v, exact.v, TOKENS * PLACES * OUTPUTS * sizeof *out.v));
    tt_value_free(&out);
    tt_value_free(&exact);
    close_example(&e);
}

static void test_open_place(void)
{
    struct example e;
    struct tt_value sure, open;
    open_example(&e);
    CHECK(!run(&e, &sure, NULL));
    tt_value_need_var(&e.topk)[2] = TT_UNKNOWN_VARIANCE;
    e.topk.var[5] = EXPERTS * EXPERTS; /* only the order is open */
    CHECK(!run(&e, &open, NULL));
    CHECK(!memcmp(sure.v, open.v, TOKENS * PLACES * OUTPUTS * sizeof *open.v));
    for (int64_t i = 0; i < TOKENS * PLACES * OUTPUTS; i++)
        CHECK(tt_unknown(open.var[i]) == (i / OUTPUTS == 2));
    tt_value_free(&sure);
    tt_value_free(&open);
    close_example(&e);
}

int main(void)
{
    test_open_place();
    test_only_chosen_experts_are_read();
    test_held_weights_give_the_same();
    test_unreadable_expert();
    test_values_only();
    return failures != 0;
}
