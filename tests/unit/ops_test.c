/* SPDX-License-Identifier: Apache-2.0
 *
 * The primitives. Without arguments: what can be said in C (attributes, masks, non-finite values, shapes,
 * memory). With "serve": a line protocol on stdin by which ops_test.py runs ops against foreign
 * implementations.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/op.h"
#include "checks.h"

static const struct tt_numerics f32 = {0x1p-24, 0x1p-24};

/* ---- serving ---- */

struct session {
    const struct tt_op *op;
    struct tt_op_call call;
    struct tt_attributes attributes;
    struct tt_value in[TT_OP_MAX_INPUTS], weight[TT_OP_MAX_WEIGHTS];
    struct tt_pass_inputs pass;
    int64_t *pass_numbers;
    char names[48][64];
    int nnames;
};

static const char *keep(struct session *s, const char *text)
{
    snprintf(s->names[s->nnames], sizeof s->names[0], "%s", text);
    return s->names[s->nnames++];
}

static void load(const char *path, void *to, size_t bytes)
{
    FILE *file = fopen(path, "rb");
    if (!file || fread(to, 1, bytes, file) != bytes)
        exit(2);
    fclose(file);
}

static void save(const char *prefix, const char *suffix, const double *values, int64_t count)
{
    char path[512];
    snprintf(path, sizeof path, "%s.%s", prefix, suffix);
    FILE *file = values ? fopen(path, "wb") : NULL;
    if (!file)
        return;
    fwrite(values, sizeof *values, (size_t)count, file);
    fclose(file);
}

static struct tt_value load_value(const char *line, int *index)
{
    char path[512];
    int rank = 0, used = 0;
    int64_t shape[TT_VALUE_RANK];
    sscanf(line, "%d %511s %d%n", index, path, &rank, &used);
    for (int i = 0; i < rank; i++) {
        int step = 0;
        long long extent = 0;
        sscanf(line + used, "%lld%n", &extent, &step);
        shape[i] = extent;
        used += step;
    }
    struct tt_value value = tt_value_new(rank, shape);
    load(path, value.v, (size_t)tt_value_count(&value) * sizeof(double));
    return value;
}

static void reset(struct session *s, const char *op)
{
    for (int i = 0; i < TT_OP_MAX_INPUTS; i++)
        tt_value_free(&s->in[i]);
    for (int i = 0; i < TT_OP_MAX_WEIGHTS; i++)
        tt_value_free(&s->weight[i]);
    free(s->pass_numbers);
    memset(s, 0, sizeof *s);
    s->op = tt_op_find(op);
    s->call = (struct tt_op_call){.attributes = &s->attributes, .pass = &s->pass, .numerics = f32};
}

static void load_pass(struct session *s, const char *arguments)
{
    char path[512];
    long long tokens = 0, keys = 0;
    sscanf(arguments, "%511s %lld %lld", path, &tokens, &keys);
    s->pass_numbers = calloc((size_t)(4 * tokens + keys + 1), sizeof *s->pass_numbers);
    load(path, s->pass_numbers, (size_t)(3 * tokens + keys) * sizeof *s->pass_numbers);
    int32_t *narrow = (int32_t *)(s->pass_numbers + 3 * tokens + keys);
    for (int64_t t = 0; t < tokens; t++) {
        narrow[t] = (int32_t)s->pass_numbers[t];
        narrow[tokens + t] = (int32_t)s->pass_numbers[2 * tokens + t];
    }
    s->pass =
        (struct tt_pass_inputs){.ntokens = tokens, .nkeys = keys, .tokens = narrow, .types = narrow + tokens};
    s->pass.positions = s->pass_numbers + tokens;
    s->pass.key_positions = s->pass_numbers + 3 * tokens;
}

static void forward(struct session *s, const char *prefix)
{
    struct tt_value out = {0};
    struct tt_error error = {0};
    if (s->op->forward(&s->call, &out, &error)) {
        printf("error %s\n", error.message);
        tt_value_free(&out);
        return;
    }
    save(prefix, "v", out.v, tt_value_count(&out));
    save(prefix, "var", out.var, tt_value_count(&out));
    save(prefix, "row", out.row_var, tt_value_rows(&out));
    printf("value %d %d", out.var != NULL, out.row_var != NULL);
    for (int i = 0; i < out.rank; i++)
        printf(" %lld", (long long)out.shape[i]);
    printf("\n");
    tt_value_free(&out);
}

static void recover(struct session *s, const char *arguments)
{
    int ignored;
    struct tt_value observed = load_value(arguments, &ignored);
    static struct tt_recovery found[8];
    memset(found, 0, sizeof found);
    int count = s->op->recover ? s->op->recover(&s->call, &observed, found, 8) : 0;
    for (int i = 0; i < count; i++) {
        printf("found\t%s\t%s\t%s\t", found[i].cause, found[i].expected, found[i].found);
        for (int k = 0; k < found[i].set.count; k++) {
            const struct tt_attribute_value *item = &found[i].set.items[k];
            if (item->string)
                printf("%s%s='%s'", k ? ", " : "", item->name, item->string);
            else
                printf("%s%s=%.17g", k ? ", " : "", item->name, item->number);
        }
        printf("\n");
    }
    printf("end\n");
    tt_value_free(&observed);
}

static void list(const char *kind, const struct tt_variant *variant)
{
    for (; variant && variant->cause; variant++)
        printf("%s\t%s\t%s\t%s\n", kind, variant->cause, variant->set, variant->when ? variant->when : "");
}

static void obey(struct session *s, char *line)
{
    char name[64] = "", text[64] = "", *rest = strchr(line, ' ');
    int index = 0;
    rest = rest ? rest + 1 : line + strlen(line);
    sscanf(rest, "%63s %63s", name, text);
    if (!strncmp(line, "op ", 3)) {
        reset(s, name);
    } else if (!strncmp(line, "number ", 7)) {
        tt_attributes_set_number(&s->attributes, keep(s, name), strtod(text, NULL));
    } else if (!strncmp(line, "string ", 7)) {
        const char *kept = keep(s, name);
        tt_attributes_set_string(&s->attributes, kept, keep(s, text));
    } else if (!strncmp(line, "numerics ", 9)) {
        s->call.numerics = (struct tt_numerics){strtod(name, NULL), strtod(text, NULL)};
    } else if (!strncmp(line, "split ", 6)) {
        s->call.split_rank = 2, s->call.split[0] = atoll(name), s->call.split[1] = atoll(text);
    } else if (!strncmp(line, "input ", 6)) {
        struct tt_value value = load_value(rest, &index);
        s->in[index] = value, s->call.in[index] = &s->in[index], s->call.nin = index + 1;
    } else if (!strncmp(line, "weight ", 7)) {
        struct tt_value value = load_value(rest, &index);
        s->weight[index] = value, s->call.weight[index] = &s->weight[index];
    } else if (!strncmp(line, "pass ", 5)) {
        load_pass(s, rest);
    } else if (!strncmp(line, "forward ", 8)) {
        forward(s, name);
    } else if (!strncmp(line, "recover ", 8)) {
        recover(s, rest);
    } else if (!strncmp(line, "variants", 8)) {
        printf("defaults\t%s\n", s->op->defaults);
        for (int i = 0; i < TT_OP_MAX_WEIGHTS && s->op->weight_roles[i]; i++)
            printf("weight\t%s\n", s->op->weight_roles[i]);
        list("variant", s->op->variants);
        list("benign", s->op->benign);
        printf("end\n");
    }
    fflush(stdout);
}

static int serve(void)
{
    static struct session session;
    char line[1024];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        obey(&session, line);
    }
    reset(&session, "add");
    return 0;
}

/* ---- what C can say ---- */

static struct tt_value filled(int rank, const int64_t *shape, double start, double step)
{
    struct tt_value value = tt_value_new(rank, shape);
    for (int64_t i = 0; i < tt_value_count(&value); i++)
        value.v[i] = start + step * (double)(i % 17);
    return value;
}

static void test_attributes(void)
{
    struct tt_attributes attributes = {0};
    CHECK(tt_attributes_number(NULL, "a", 3) == 3);
    CHECK(!tt_attributes_set_number(&attributes, "a", 1));
    CHECK(!tt_attributes_set_number(&attributes, "a", 2));
    CHECK(attributes.count == 1 && tt_attributes_number(&attributes, "a", 0) == 2);
    CHECK(!tt_attributes_set_string(&attributes, "a", "text"));
    CHECK(!strcmp(tt_attributes_string(&attributes, "a", ""), "text"));
    CHECK(tt_attributes_number(&attributes, "a", 7) == 7);
    attributes.items[attributes.count++] = (struct tt_attribute_value){.name = "a", .number = 5};
    CHECK(tt_attributes_number(&attributes, "a", 0) == 5);
    enum { room = sizeof attributes.items / sizeof *attributes.items };
    static char names[room][16];
    for (int i = 0; i < room - 2; i++) { /* "a" is there twice */
        snprintf(names[i], sizeof names[i], "n%d", i);
        CHECK(tt_attributes_set_number(&attributes, names[i], i) == 0);
    }
    CHECK(attributes.count == room && tt_attributes_set_number(&attributes, "more", 1) == -1);
    CHECK(tt_op_find("no such op") == NULL);
}

static const int64_t key_positions[] = {0, 1, 2, 3};
static const struct tt_pass_inputs three = {
    .ntokens = 3, .nkeys = 4, .positions = key_positions + 1, .key_positions = key_positions};

static int run(const char *op, const struct tt_attributes *attributes, const struct tt_value *a,
               const struct tt_value *b, const struct tt_value *weight, struct tt_value *out)
{
    struct tt_op_call call = {.nin = b ? 2 : 1,
                              .in = {a, b},
                              .weight = {weight},
                              .attributes = attributes,
                              .pass = &three,
                              .numerics = f32};
    struct tt_error error = {0};
    memset(out, 0, sizeof *out);
    return tt_op_find(op)->forward(&call, out, &error);
}

static void test_masks(void)
{
    struct tt_value scores = filled(3, (int64_t[]){3, 2, 4}, -1, 0.3), out;
    CHECK(!run("softmax", NULL, &scores, NULL, NULL, &out));
    for (int64_t i = 0; i < 24; i++) {
        int64_t query = i / 8 + 1, key = i % 4;
        CHECK((out.v[i] == 0) == (key > query));
        CHECK(key <= query || out.var[i] == 0);
    }
    tt_value_free(&out);
    struct tt_attributes nothing = {0};
    tt_attributes_set_number(&nothing, "offset", -4); /* no key is visible */
    CHECK(!run("softmax", &nothing, &scores, NULL, NULL, &out));
    for (int64_t i = 0; i < 24; i++)
        CHECK(out.v[i] == 0 && out.var[i] == 0);
    tt_value_free(&out);
    tt_value_free(&scores);
}

static void test_masked_score_may_be_anything(void)
{
    struct tt_value scores = filled(3, (int64_t[]){3, 2, 4}, -1, 0.3), out;
    scores.v[3] = NAN;       /* token 0, key 3: masked */
    scores.v[8] = -INFINITY; /* masked by the engine itself */
    CHECK(!run("softmax", NULL, &scores, NULL, NULL, &out));
    CHECK(out.v[3] == 0 && isfinite(out.v[0]) && out.v[8] == 0 && isfinite(out.v[9]));
    tt_value_free(&out);
    scores.v[0] = NAN;
    CHECK(!run("softmax", NULL, &scores, NULL, NULL, &out));
    CHECK(isnan(out.v[0]) && isnan(out.v[1]) && out.v[3] == 0 && isfinite(out.v[4]));
    for (int64_t i = 0; i < 24; i++)
        CHECK(isfinite(out.var[i]));
    tt_value_free(&out);
    tt_value_free(&scores);
}

/* A NaN in one row reaches that row's values, and no variance anywhere. */
static void check_containment(const char *op, const struct tt_value *a, const struct tt_value *b,
                              const struct tt_value *weight)
{
    struct tt_value out;
    CHECK(!run(op, NULL, a, b, weight, &out));
    int64_t row = tt_value_count(&out) / 3;
    bool any = false;
    for (int64_t i = 0; i < tt_value_count(&out); i++) {
        any |= isnan(out.v[i]);
        CHECK(i / row == 1 || isfinite(out.v[i]));
        CHECK(!out.var || isfinite(out.var[i]));
    }
    for (int64_t i = 0; out.row_var && i < tt_value_rows(&out); i++)
        CHECK(isfinite(out.row_var[i]));
    if (!any)
        fprintf(stderr, "%s lost a NaN\n", op);
    CHECK(any);
    tt_value_free(&out);
}

static void test_nonfinite(void)
{
    struct tt_value x = filled(3, (int64_t[]){3, 2, 4}, -1, 0.3),
                    y = filled(3, (int64_t[]){3, 2, 4}, 1, -0.2);
    struct tt_value keys = filled(3, (int64_t[]){4, 1, 4}, 1, 0.1);
    struct tt_value weight = filled(2, (int64_t[]){5, 8}, -1, 0.1), gain = filled(1, (int64_t[]){4}, 1, 0.1);
    x.v[9] = NAN; /* token 1 */
    check_containment("add", &x, &y, NULL);
    check_containment("mul", &x, &y, NULL);
    check_containment("activation", &x, NULL, NULL);
    check_containment("scale", &x, NULL, NULL);
    check_containment("rmsnorm", &x, NULL, &gain);
    check_containment("layernorm", &x, NULL, &gain);
    check_containment("linear", &x, NULL, &weight);
    check_containment("rope", &x, NULL, NULL);
    check_containment("qk", &x, &keys, NULL);
    check_containment("pv", &x, &keys, NULL);
    check_containment("softmax", &x, NULL, NULL);
    tt_value_free(&x), tt_value_free(&y), tt_value_free(&keys), tt_value_free(&weight), tt_value_free(&gain);
}

static void test_unused_value_rows(void)
{
    struct tt_value probs = filled(3, (int64_t[]){3, 1, 4}, 0.1, 0.01),
                    v = filled(3, (int64_t[]){4, 1, 2}, 1, 1), out;
    v.v[6] = NAN; /* key 3 */
    probs.v[3] = 0;
    CHECK(!run("pv", NULL, &probs, &v, NULL, &out));
    CHECK(isfinite(out.v[0]) && isnan(out.v[2]) && isfinite(out.v[3]));
    tt_value_free(&out), tt_value_free(&probs), tt_value_free(&v);
}

static void test_bad_shapes(void)
{
    struct tt_value x = filled(3, (int64_t[]){3, 2, 4}, 0, 1), odd = filled(2, (int64_t[]){3, 7}, 0, 1), out;
    CHECK(run("linear", NULL, &x, NULL, &odd, &out) == -1);
    CHECK(run("linear", NULL, &x, NULL, NULL, &out) == -1);
    CHECK(run("add", NULL, &x, &odd, NULL, &out) == -1);
    CHECK(run("mul", NULL, &x, &odd, NULL, &out) == -1);
    CHECK(run("qk", NULL, &x, &odd, NULL, &out) == -1);
    CHECK(run("pv", NULL, &x, &odd, NULL, &out) == -1);
    CHECK(run("softmax", NULL, &odd, NULL, NULL, &out) == -1);
    CHECK(run("rmsnorm", NULL, &odd, NULL, &x, &out) == -1);
    CHECK(run("rope", NULL, &odd, NULL, NULL, &out) == -1);
    CHECK(run("embedding", NULL, &x, NULL, NULL, &out) == -1);
    struct tt_attributes wrong = {0};
    tt_attributes_set_string(&wrong, "fn", "sin");
    CHECK(run("activation", &wrong, &x, NULL, NULL, &out) == -1);
    tt_value_free(&x), tt_value_free(&odd);
}

/* First order propagation against perturbation: Monte Carlo through the op itself, inputs with errors far
 * above u. */
static double noise(uint64_t *state)
{
    double sum = 0;
    for (int i = 0; i < 12; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        sum += (double)(*state >> 11) * 0x1p-53;
    }
    return sum - 6;
}

static void check_propagation(const char *op, const struct tt_value *a, const struct tt_value *b,
                              bool noisy_b, const struct tt_value *weight)
{
    struct tt_value x = tt_value_copy(a), y = {0}, expected, out;
    const struct tt_value *second = b;
    if (b)
        y = tt_value_copy(b), second = &y;
    struct tt_value *moved = noisy_b ? &y : &x;
    int64_t count = tt_value_count(moved);
    for (int64_t i = 0; i < count; i++)
        tt_value_need_var(moved)[i] = 1e-8;
    CHECK(!run(op, NULL, &x, second, weight, &expected));
    const struct tt_value *original = noisy_b ? b : a;
    double chi2 = 0, terms = 0;
    uint64_t state = 42;
    for (int trial = 0; trial < 400; trial++) {
        for (int64_t i = 0; i < count; i++)
            moved->v[i] = original->v[i] + 1e-4 * noise(&state);
        CHECK(!run(op, NULL, &x, second, weight, &out));
        for (int64_t i = 0; i < tt_value_count(&out); i++) {
            double variance = tt_value_variance(&expected, i), e = out.v[i] - expected.v[i];
            if (expected.v[i] != 0)
                chi2 += e * e / variance, terms++;
        }
        tt_value_free(&out);
    }
    chi2 /= terms;
    /* norms leave out what an element's own error does to its row's moments: 1/width, much for rows this
     * short */
    if (!(chi2 > 0.3 && chi2 < 2))
        fprintf(stderr, "%s: propagated variance is off by %.3g\n", op, chi2);
    CHECK(chi2 > 0.3 && chi2 < 2);
    tt_value_free(&expected), tt_value_free(&x), tt_value_free(&y);
}

static void test_propagation(void)
{
    struct tt_value x = filled(3, (int64_t[]){3, 2, 4}, -1, 0.31),
                    y = filled(3, (int64_t[]){3, 2, 4}, 1.3, -0.23);
    struct tt_value keys = filled(3, (int64_t[]){4, 1, 4}, 1, 0.17);
    struct tt_value weight = filled(2, (int64_t[]){5, 8}, -1, 0.13), gain = filled(1, (int64_t[]){4}, 1, 0.1);
    check_propagation("add", &x, &y, true, NULL);
    check_propagation("mul", &x, &y, false, NULL);
    check_propagation("mul", &x, &y, true, NULL);
    check_propagation("activation", &x, NULL, false, NULL);
    check_propagation("scale", &x, NULL, false, NULL);
    check_propagation("linear", &x, NULL, false, &weight);
    check_propagation("rope", &x, NULL, false, NULL);
    check_propagation("qk", &x, &keys, false, NULL);
    check_propagation("qk", &x, &keys, true, NULL);
    check_propagation("pv", &x, &keys, false, NULL);
    check_propagation("pv", &x, &keys, true, NULL);
    check_propagation("softmax", &x, NULL, false, NULL);
    check_propagation("rmsnorm", &x, NULL, false, &gain);
    check_propagation("layernorm", &x, NULL, false, &gain);
    tt_value_free(&x), tt_value_free(&y), tt_value_free(&keys), tt_value_free(&weight), tt_value_free(&gain);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "serve"))
        return serve();
    test_attributes();
    test_masks();
    test_masked_score_may_be_anything();
    test_nonfinite();
    test_unused_value_rows();
    test_bad_shapes();
    test_propagation();
    if (failures)
        fprintf(stderr, "%d checks failed\n", failures);
    return failures != 0;
}
