/* SPDX-License-Identifier: Apache-2.0
 *
 * Each weight operand is looked at once: a look is kept by node and content, with the values when they are not the file's.
 */
#include "diagnose/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diagnose/weight_forms.h"
#include "verify/calls.h"

#define LARGEST (1 << 28) /* elements of a weight that is looked at: 2 GiB as f64 */
#define SAME    1e-3      /* NMSE */

struct look {
    int node;
    const struct tt_operand *operand;
    bool readable, differs;
    bool placed;             /* its bytes are the file's: only the way of reading them differs */
    bool known;              /* `form` names what it is, a fault or benign */
    int64_t inputs;          /* that the call multiplies */
    struct tt_weight_form form;
    struct tt_value used;    /* [outputs, inputs of the model] when it differs */
};

struct tt_weights {
    const struct tt_capture *capture;
    struct tt_graph *graph;
    struct look **looks; /* each stays where it is: overrides refer to its values */
    int nlooks;
};

struct tt_weights *tt_weights_new(const struct tt_capture *capture, struct tt_graph *graph)
{
    struct tt_weights *w = tt_alloc(sizeof *w);
    w->capture = capture;
    w->graph = graph;
    return w;
}

void tt_weights_free(struct tt_weights *w)
{
    for (int i = 0; w && i < w->nlooks; i++) {
        tt_value_free(&w->looks[i]->used);
        free(w->looks[i]);
    }
    if (w)
        free(w->looks);
    free(w);
}

/* ---- which call, which operand ---- */

static bool is_linear(const struct tt_node *node)
{
    return node->op && strcmp(node->op->name, "linear") == 0 && node->weight[0] && node->weight[0]->rank == 2;
}

/* The call that computed a linear layer in this pass: what it read or what it left was seen of it. */
static const struct tt_recorded_call *call_of(const struct tt_diagnosis *d, int node)
{
    const struct tt_trace_pass *pass = d->pass;
    for (int i = 0; i < pass->nobservations; i++) {
        const struct tt_observation *o = &pass->observations[i];
        if (o->call && ((o->consumer == node && o->port == 0) || (o->node == node && o->consumer < 0)))
            return tt_call_by_id(d->weights->capture, o->call);
    }
    return NULL;
}

struct reading { /* a call as y[rows, out] = x[rows, in] · w[out, in]ᵀ */
    const struct tt_operand *w, *x;
    bool w_turned, x_turned; /* the operand's two axes are the other way round */
    int64_t out, in;
};

/* As the result's storage suggests, or the other way: yᵀ = w·xᵀ. */
static struct reading reading_of(const struct tt_recorded_call *call, bool swapped)
{
    const struct tt_operand *a = tt_call_find(call, "a", TT_BEFORE);
    const struct tt_operand *right = tt_call_find(call, strcmp(call->op, "matvec") ? "b" : "x", TT_BEFORE);
    if (!a || !right || a->rank != 2)
        return (struct reading){0};
    if (strcmp(call->op, "matvec") == 0)
        return (struct reading){.w = a, .x = right, .out = a->shape[0], .in = a->shape[1]};
    if (strcmp(call->op, "matmul") != 0 || right->rank != 2)
        return (struct reading){0};
    if (swapped)
        return (struct reading){.w = a, .x = right, .x_turned = true, .out = a->shape[0], .in = a->shape[1]};
    return (struct reading){.w = right, .x = a, .w_turned = true, .out = right->shape[1], .in = right->shape[0]};
}

static double *read_matrix(const struct tt_capture *capture, const struct tt_operand *o, bool turn)
{
    int64_t rows = o->shape[0], columns = o->rank > 1 ? o->shape[1] : 1, count = rows * columns;
    if (count <= 0 || count > LARGEST || !tt_operand_readable(o))
        return NULL;
    double *values = tt_alloc_array((size_t)count, sizeof *values);
    if (tt_operand_read(capture, o, values, NULL)) {
        free(values);
        return NULL;
    }
    if (!turn)
        return values;
    double *out = tt_alloc_array((size_t)count, sizeof *out);
    for (int64_t i = 0; i < count; i++)
        out[i % columns * rows + i / columns] = values[i];
    free(values);
    return out;
}

/* Is the left-hand side what the layer was seen to read? Decides only where the shapes cannot. */
static bool reads_input(const struct tt_diagnosis *d, int node, const struct reading *r)
{
    const struct tt_observation *o = tt_trace_find(d->pass, tt_graph_node(d->graph, node)->in[0], node, 0);
    double *x = o && o->nseen ? read_matrix(d->weights->capture, r->x, r->x_turned) : NULL;
    int64_t row = 0, width = o ? tt_value_width(&o->value) : 0, count = (int64_t)tt_operand_count(r->x);
    bool found = false;
    while (x && row + 1 < tt_value_rows(&o->value) && !o->seen[row])
        row++;
    for (int64_t at = 0; x && width == r->in && at + width <= count && !found; at += width)
        found = memcmp(x + at, o->value.v + row * width, (size_t)width * sizeof *x) == 0;
    free(x);
    return found;
}

static bool find_reading(const struct tt_diagnosis *d, int node, const struct tt_recorded_call *call, struct reading *out)
{
    const struct tt_model_tensor *tensor = tt_graph_node(d->graph, node)->weight[0];
    struct reading one = reading_of(call, false), other = reading_of(call, true);
    bool fits_one = one.w && one.out == tensor->shape[0] && one.in <= tensor->shape[1];
    bool fits_other = other.w && other.out == tensor->shape[0] && other.in <= tensor->shape[1];
    *out = fits_one ? one : other;
    if (fits_one && fits_other && other.w != one.w && !reads_input(d, node, &one) && reads_input(d, node, &other))
        *out = other;
    return fits_one || fits_other;
}

/* ---- one look ---- */

/* Do the operand's bytes, wherever they lie, hold the file's numbers in the file's order? */
static bool is_placed(const struct tt_operand *o, bool turned, const double *used, const struct tt_value *file)
{
    int64_t outputs = file->shape[0], inputs = file->shape[1], count = outputs * inputs, told = 0;
    int64_t by_output = o->strides[turned ? 1 : 0], by_input = o->strides[turned ? 0 : 1];
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i / inputs * by_output + i % inputs * by_input;
        if (at < 0 || at >= count)
            continue;
        told++;
        if (fabs(used[i] - file->v[at]) > 2e-6 * fabs(file->v[at]))
            return false;
    }
    return 2 * told > count;
}

static double mismatch(const double *a, const double *b, int64_t n)
{
    double error = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        error += (a[i] - b[i]) * (a[i] - b[i]);
        size += b[i] * b[i];
    }
    return size > 0 ? error / size : INFINITY;
}

/* The used rows as rows of another tensor; the first of them, -1: not there. */
static int64_t rows_within(const struct look *look, const struct tt_model_tensor *tensor)
{
    int64_t rows = look->used.shape[0], columns = look->used.shape[1], found = -1;
    uint64_t count = (uint64_t)tensor->shape[0] * (uint64_t)tensor->shape[1];
    if (tensor->rank != 2 || tensor->shape[1] != columns || tensor->shape[0] < rows || count > LARGEST)
        return -1;
    double *values = tt_alloc_array(count, sizeof *values);
    if (tt_model_read(tensor, 0, count, values, NULL) == 0)
        for (int64_t r = 0; r + rows <= tensor->shape[0] && found < 0; r++)
            if (mismatch(look->used.v, values + r * columns, columns) < SAME &&
                mismatch(look->used.v, values + r * columns, rows * columns) < SAME)
                found = r;
    free(values);
    return found;
}

static bool is_other_tensor(const struct tt_weights *w, struct look *look)
{
    const struct tt_model *model = tt_graph_model(w->graph);
    const struct tt_model_tensor *own = tt_graph_node(w->graph, look->node)->weight[0];
    for (size_t i = 0; i < tt_model_ntensors(model); i++) {
        const struct tt_model_tensor *tensor = tt_model_tensor_at(model, i);
        int64_t row = tensor == own ? -1 : rows_within(look, tensor);
        if (row < 0)
            continue;
        look->form = (struct tt_weight_form){.cause = "linear.wrong_weight"};
        snprintf(look->form.found, sizeof look->form.found, "%s", tensor->name);
        snprintf(look->form.text, sizeof look->form.text, "%.120s of the file%s", tensor->name,
                 tensor->shape[0] == own->shape[0] ? "" : ", some of its rows");
        return true;
    }
    return false;
}

static void name_form(const struct tt_weights *w, struct look *look, const struct tt_value *file)
{
    struct tt_weight_pair pair = {file->shape[0], file->shape[1], look->used.v, file->v,
                                  tt_graph_node(w->graph, look->node)->weight[0]->dtype, 0};
    look->known = tt_weight_form(&pair, &look->form) || is_other_tensor(w, look);
    if (!look->known)
        tt_weight_difference(&pair, &look->form);
}

/* A call that multiplies fewer inputs than the layer has, with the file's numbers for those. */
static void look_at_part(struct look *look, const double *values, const struct tt_value *file)
{
    double error = 0, size = 0;
    for (int64_t i = 0; i < file->shape[0] * look->inputs; i++) {
        double f = file->v[i / look->inputs * file->shape[1] + i % look->inputs];
        error += (values[i] - f) * (values[i] - f);
        size += f * f;
    }
    look->readable = true;
    look->known = error <= SAME * size;
    snprintf(look->form.cause, sizeof look->form.cause, "linear.truncated");
    snprintf(look->form.found, sizeof look->form.found, "truncate %lld", (long long)look->inputs);
    snprintf(look->form.text, sizeof look->form.text, "the file's in the first %lld of %lld inputs; the call leaves out the rest",
             (long long)look->inputs, (long long)file->shape[1]);
}

static void look_at(const struct tt_weights *w, struct look *look, const struct reading *r)
{
    const struct tt_node *node = tt_graph_node(w->graph, look->node);
    const struct tt_value *file = tt_graph_weight(w->graph, node->weight[0], NULL);
    double *values = file ? read_matrix(w->capture, r->w, r->w_turned) : NULL;
    look->inputs = r->in;
    if (!values)
        return;
    if (r->in < file->shape[1]) {
        look_at_part(look, values, file);
        free(values);
        return;
    }
    struct tt_weight_pair pair = {file->shape[0], file->shape[1], values, file->v, node->weight[0]->dtype, 0};
    look->readable = true;
    look->differs = !tt_weight_same(&pair);
    if (!look->differs) {
        free(values);
        return;
    }
    look->used = tt_value_new(2, file->shape);
    memcpy(look->used.v, values, (size_t)tt_value_count(file) * sizeof *values);
    look->placed = is_placed(r->w, r->w_turned, values, file);
    free(values);
    name_form(w, look, file);
}

static bool same_content(const struct tt_operand *a, const struct tt_operand *b)
{
    bool shape = a->rank == b->rank && memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) == 0 &&
                 memcmp(a->strides, b->strides, (size_t)a->rank * sizeof *a->strides) == 0;
    if (!shape || a->kept != b->kept)
        return false;
    if (a->kept == TT_KEPT_FILE)
        return a->file && b->file && a->file_offset == b->file_offset && strcmp(a->file, b->file) == 0;
    return a->has_digest && b->has_digest && memcmp(&a->digest, &b->digest, sizeof a->digest) == 0;
}

/* NULL: no call, or no operand that fits. The layer must use its weight as it lies in the file. */
static const struct look *look_of(const struct tt_diagnosis *d, int node)
{
    struct tt_weights *w = d->weights;
    const struct tt_node *n = tt_graph_node(d->graph, node);
    struct reading r;
    if (!w || !w->capture || !is_linear(n) || tt_attributes_number(&n->attributes, "transpose", 0) != 0 ||
        tt_attributes_number(&n->attributes, "permute_block", 0) != 0)
        return NULL;
    const struct tt_recorded_call *call = call_of(d, node);
    if (!call || !find_reading(d, node, call, &r))
        return NULL;
    for (int i = 0; i < w->nlooks; i++)
        if (w->looks[i]->node == node && same_content(w->looks[i]->operand, r.w))
            return w->looks[i];
    w->looks = tt_grow(w->looks, (size_t)w->nlooks + 1, sizeof *w->looks);
    struct look *look = w->looks[w->nlooks++] = tt_alloc(sizeof *look);
    look->node = node;
    look->operand = r.w;
    look_at(w, look, &r);
    return look;
}

/* ---- hypotheses ---- */

static struct tt_hypothesis *add(const struct tt_diagnosis *d, int node, const char *cause, struct tt_hypotheses *out)
{
    struct tt_hypothesis *h = tt_hypotheses_add(out, node, TT_FROM_OPERAND, cause);
    tt_overrides_add(&h->overrides, node);
    snprintf(h->expected, sizeof h->expected, "%.63s", tt_graph_node(d->graph, node)->weight[0]->name);
    return h;
}

static void set_number(struct tt_hypothesis *h, const char *name, double number)
{
    struct tt_scalar value = tt_scalar_number(number);
    tt_override_set(&h->overrides.items[0], name, &value);
}

static void add_weight(const struct tt_diagnosis *d, const struct look *look, struct tt_hypotheses *out)
{
    bool part = look->inputs < tt_graph_node(d->graph, look->node)->weight[0]->shape[1];
    if (!look->readable || look->form.benign || (part ? !look->known : !look->differs))
        return;
    struct tt_hypothesis *h = add(d, look->node, look->form.cause, out);
    bool call = part || look->placed || strcmp(look->form.cause, "linear.leading_dimension") == 0;
    if (part)
        set_number(h, "truncate", (double)look->inputs);
    else
        h->overrides.items[0].weight_value = &look->used;
    h->fault_class = call ? "call" : "weights";
    snprintf(h->found, sizeof h->found, "%s", look->form.found);
    snprintf(h->evidence, sizeof h->evidence, "the weight that the engine used is %s", look->form.text);
}

static void add_alpha(const struct tt_diagnosis *d, int node, struct tt_hypotheses *out)
{
    const struct tt_recorded_call *call = call_of(d, node);
    double alpha = call ? tt_call_attr_f64(call, "alpha", 1) : 1;
    double due = tt_attributes_number(&tt_graph_node(d->graph, node)->attributes, "scale", 1);
    if (alpha == due)
        return;
    struct tt_hypothesis *h = add(d, node, "linear.scale", out);
    set_number(h, "scale", alpha);
    h->fault_class = "call";
    snprintf(h->expected, sizeof h->expected, "scale %.9g", due);
    snprintf(h->found, sizeof h->found, "scale %.9g", alpha);
    snprintf(h->evidence, sizeof h->evidence, "the call passes alpha %.9g", alpha);
}

void tt_hypotheses_of_weights(const struct tt_diagnosis *d, const int *nodes, int n, struct tt_hypotheses *out)
{
    for (int i = 0; i < n; i++) {
        if (!d->weights || !d->weights->capture || !is_linear(tt_graph_node(d->graph, nodes[i])) ||
            (d->confirmed && d->confirmed[nodes[i]]))
            continue;
        const struct look *look = look_of(d, nodes[i]);
        if (look)
            add_weight(d, look, out);
        add_alpha(d, nodes[i], out);
    }
}

const char *tt_weights_benign(const struct tt_diagnosis *d, const struct tt_observation *seen, const int *nodes, int n,
                              struct tt_judgement *judged)
{
    for (int i = 0; i < n; i++) {
        const struct look *look = is_linear(tt_graph_node(d->graph, nodes[i])) ? look_of(d, nodes[i]) : NULL;
        if (!look || !look->differs || !look->form.benign)
            continue;
        struct tt_overrides overrides = {0};
        struct tt_value expected;
        tt_overrides_add(&overrides, nodes[i])->weight_value = &look->used;
        if (tt_evaluate_as(d->evaluator, seen, &overrides, &expected, NULL))
            continue;
        struct tt_judgement j = tt_judge(seen, &expected);
        tt_value_free(&expected);
        if (j.status != TT_PASS && j.status != TT_EXACT)
            continue;
        j.status = TT_DRIFT;
        j.nmse = judged->nmse;
        *judged = j;
        return look->form.benign;
    }
    return NULL;
}

/* ---- where, and by whom ---- */

/* What is wrong with the call itself takes the cause that nothing else explains. */
static void blame_kernel(const struct tt_call_check *check, struct tt_fault *fault)
{
    size_t length = strlen(fault->evidence);
    fault->fault_class = "kernel";
    if (strcmp(fault->cause, "unknown") == 0) {
        snprintf(fault->cause, sizeof fault->cause, "%s", check->cause);
        snprintf(fault->expected, sizeof fault->expected, "%s", check->expected);
        snprintf(fault->found, sizeof fault->found, "%s", check->found);
        fault->chi2_after = check->chi2_after;
        fault->confidence = strcmp(check->cause, "unknown") == 0 ? TT_UNSURE : TT_LIKELY;
        length = 0;
    }
    snprintf(fault->evidence + length, sizeof fault->evidence - length,
             "%sthe call does not compute what its operands ask for (chi2/N %.3g)", length ? "; " : "", check->judged.chi2);
}

static void clear_the_kernel(const struct tt_call_check *check, struct tt_fault *fault)
{
    size_t length = strlen(fault->evidence);
    fault->fault_class = "call";
    snprintf(fault->evidence + length, sizeof fault->evidence - length,
             "; the call computes what its operands ask for (chi2/N %.3g)", check->judged.chi2);
}

void tt_weights_conclude(const struct tt_diagnosis *d, const struct tt_observation *seen, struct tt_fault *fault)
{
    const struct tt_weights *w = d->weights;
    if (!w || !w->capture)
        return;
    bool linear = is_linear(tt_graph_node(d->graph, fault->node));
    const struct tt_recorded_call *call = linear ? call_of(d, fault->node) : NULL;
    bool own = call && seen->node == fault->node && seen->consumer < 0;
    if (!call)
        call = tt_call_by_id(w->capture, seen->call);
    if (!call)
        return;
    fault->call = call->id;
    tt_call_place(call, fault->where, sizeof fault->where);
    struct tt_call_check check;
    if (!own || !tt_call_checkable(call))
        return;
    tt_call_check(w->capture, call, &check);
    if (check.judged.status == TT_INTRODUCED)
        blame_kernel(&check, fault);
    else if (check.judged.n && strcmp(fault->cause, "unknown") == 0)
        clear_the_kernel(&check, fault);
}
