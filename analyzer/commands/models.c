/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap models: are two model files the same model?
 */
#include "inspect/models.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "commands/analysis.h"
#include "report/sheet.h"

struct file {
    const char *path;
    struct tt_model *model;
    struct tt_graph *graph;
};

/* `adapted`: with the adapters of --lora, which belong to A. */
static int open_file(struct tt_context *context, const char *path, bool adapted, struct file *file)
{
    struct tt_graph_options bare = {.bare = true}; /* what is missing is a finding, not bad input */
    file->path = path;
    file->model = tt_model_open(path, &context->error);
    if (!file->model || (adapted && tt_analysis_adapters(context, file->model)))
        return -1;
    file->graph = tt_graph_new_with(file->model, &bare, &context->error);
    return file->graph ? 0 : -1;
}

static void close_file(struct file *file)
{
    tt_graph_free(file->graph);
    if (file->model)
        tt_model_close(file->model);
}

/* ---- JSON ---- */

static void add_layers(cJSON *object, const struct tt_model_finding *f)
{
    cJSON *layers = f->nlayers > 1 ? cJSON_AddArrayToObject(object, "layers") : NULL;
    if (f->nlayers)
        cJSON_AddNumberToObject(object, "layer", f->layers[0]);
    else
        cJSON_AddNullToObject(object, "layer");
    for (int i = 0; layers && i < f->nlayers; i++)
        cJSON_AddItemToArray(layers, cJSON_CreateNumber(f->layers[i]));
}

static cJSON *finding_json(const struct tt_model_finding *f)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "cause", f->cause);
    cJSON_AddStringToObject(object, "class", "file");
    cJSON_AddItemToObject(object, "tensor", f->tensor[0] ? cJSON_CreateString(f->tensor) : cJSON_CreateNull());
    add_layers(object, f);
    cJSON_AddStringToObject(object, "component", f->component);
    cJSON_AddStringToObject(object, "expected", f->expected);
    cJSON_AddStringToObject(object, "found", f->found);
    cJSON_AddStringToObject(object, "evidence", f->evidence);
    cJSON_AddStringToObject(object, "confidence", f->confidence);
    cJSON_AddNumberToObject(object, "tensors", f->tensors);
    return object;
}

static void add_tensor(cJSON *object, const char *name, const struct tt_placed *placed)
{
    if (!placed) {
        cJSON_AddNullToObject(object, name);
        return;
    }
    cJSON *tensor = cJSON_AddObjectToObject(object, name);
    cJSON_AddStringToObject(tensor, "tensor", placed->tensor->name);
    cJSON_AddStringToObject(tensor, "dtype", tt_dtype_info(placed->tensor->dtype)->name);
    if (placed->tensor->form)
        cJSON_AddStringToObject(tensor, "form", placed->tensor->form->name);
    tt_json_add_shape(tensor, "shape", placed->tensor->shape, placed->tensor->rank);
}

static cJSON *row_json(const struct tt_model_row *row)
{
    const struct tt_placed *any = row->a ? row->a : row->b;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", any->name);
    if (any->layer >= 0)
        cJSON_AddNumberToObject(object, "layer", any->layer);
    else
        cJSON_AddNullToObject(object, "layer");
    cJSON_AddStringToObject(object, "status", tt_model_status_name(row->status));
    add_tensor(object, "a", row->a);
    add_tensor(object, "b", row->b);
    if (row->a && row->b) {
        tt_json_add_number(object, "nmse", row->nmse);
        tt_json_add_number(object, "expected_nmse", row->expected);
    }
    cJSON_AddStringToObject(object, "transform", row->transform);
    return object;
}

static cJSON *file_json(const struct file *file)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "path", tt_model_path(file->model));
    cJSON_AddStringToObject(object, "scheme", tt_model_scheme(file->model));
    cJSON_AddStringToObject(object, "family", tt_graph_family(file->graph));
    cJSON_AddNumberToObject(object, "tensors", (double)tt_model_ntensors(file->model));
    return object;
}

static cJSON *document(const struct tt_models *m, const struct file *a, const struct file *b)
{
    cJSON *json = tt_json_document("models"), *counts, *list;
    cJSON_AddStringToObject(json, "verdict", m->nfindings ? "mismatch" : "match");
    cJSON_AddItemToObject(json, "a", file_json(a));
    cJSON_AddItemToObject(json, "b", file_json(b));
    list = cJSON_AddArrayToObject(json, "findings");
    for (int i = 0; i < m->nfindings; i++)
        cJSON_AddItemToArray(list, finding_json(&m->findings[i]));
    counts = cJSON_AddObjectToObject(json, "counts");
    for (int i = 0; i < TT_MODEL_STATUS_COUNT; i++)
        cJSON_AddNumberToObject(counts, tt_model_status_name(i), m->counts[i]);
    list = cJSON_AddArrayToObject(json, "tensors");
    for (int i = 0; i < m->nrows; i++)
        cJSON_AddItemToArray(list, row_json(&m->rows[i]));
    list = cJSON_AddArrayToObject(json, "notes");
    for (int i = 0; i < m->nnotes; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(m->notes[i]));
    return json;
}

/* ---- text ---- */

static void print_headline(const struct tt_term *term, const struct tt_models *m, const struct file *a, const struct file *b)
{
    bool match = !m->nfindings;
    fprintf(term->out, "%s%s%s  %d of %d weights agree, %s\n", tt_style_begin(term, match ? TT_GREEN : TT_RED),
            match ? "MATCH" : "MISMATCH", tt_style_end(term, match ? TT_GREEN : TT_RED),
            m->counts[TT_MODEL_EQUAL] + m->counts[TT_MODEL_ROUNDED], m->nrows, tt_plural((uint64_t)m->nfindings, "finding").text);
    tt_fact(term, "A", "%s (%s, %s)", tt_model_path(a->model), tt_graph_family(a->graph), tt_model_scheme(a->model));
    tt_fact(term, "B", "%s (%s, %s)", tt_model_path(b->model), tt_graph_family(b->graph), tt_model_scheme(b->model));
}

/* "L0-3,7": runs of layers. */
static void layer_text(const struct tt_model_finding *f, struct tt_string *text)
{
    for (int i = 0, run; i < f->nlayers; i += run) {
        run = 1;
        while (i + run < f->nlayers && f->layers[i + run] == f->layers[i] + run)
            run++;
        tt_string_add(text, run > 1 ? "%s%d-%d" : "%s%d", i ? "," : "L", f->layers[i], f->layers[i + run - 1]);
    }
    if (f->nlayers)
        tt_string_add(text, " ");
}

static void print_finding(const struct tt_term *term, const struct tt_model_finding *f)
{
    struct tt_string where = {0};
    layer_text(f, &where);
    tt_string_add(&where, "%s", f->component);
    bool certain = strcmp(f->confidence, "certain") == 0;
    fprintf(term->out, "\n%s%s%s  %s%s%s\n", tt_style_begin(term, TT_BOLD), f->cause, tt_style_end(term, TT_BOLD), where.text,
            certain ? "" : "  ", certain ? "" : f->confidence);
    tt_string_free(&where);
    if (f->tensor[0])
        tt_fact(term, "tensor", f->tensors > 1 ? "%s and %d more" : "%s", f->tensor, f->tensors - 1);
    if (f->expected[0])
        tt_fact(term, "expected", "%s", f->expected);
    tt_fact(term, "found", "%s", f->found);
    if (f->evidence[0])
        tt_fact(term, "evidence", "%s", f->evidence);
}

/* Rows by type pair: how many, the largest error, what it may be. */
struct type_pair {
    enum tt_dtype a, b;
    int count, right;
    double nmse, expected;
    const char *transform;
};

static int collect(const struct tt_models *m, struct type_pair *pairs, int room)
{
    int n = 0;
    for (int i = 0; i < m->nrows; i++) {
        const struct tt_model_row *row = &m->rows[i];
        int at = 0;
        if (!row->a || !row->b)
            continue;
        while (at < n && (pairs[at].a != row->a->tensor->dtype || pairs[at].b != row->b->tensor->dtype))
            at++;
        if (at == room)
            continue;
        if (at == n)
            pairs[n++] = (struct type_pair){.a = row->a->tensor->dtype, .b = row->b->tensor->dtype};
        bool right = row->status == TT_MODEL_EQUAL || row->status == TT_MODEL_ROUNDED;
        pairs[at].count++;
        pairs[at].right += right;
        if (right && row->nmse >= pairs[at].nmse) {
            pairs[at].nmse = row->nmse;
            pairs[at].expected = row->expected;
        }
    }
    return n;
}

static void print_types(const struct tt_term *term, const struct tt_models *m)
{
    struct type_pair pairs[32];
    int n = collect(m, pairs, 32);
    fprintf(term->out, "\n");
    for (int i = 0; i < n; i++) {
        const char *a = tt_dtype_info(pairs[i].a)->name, *b = tt_dtype_info(pairs[i].b)->name;
        if (pairs[i].nmse == 0)
            tt_fact(term, i ? "" : "weights", "%d/%d equal (%s, %s)", pairs[i].right, pairs[i].count, a, b);
        else
            tt_fact(term, i ? "" : "weights", "%d/%d equal within rounding (%s, %s): NMSE up to %.2g, %.2g expected", pairs[i].right,
                    pairs[i].count, a, b, pairs[i].nmse, pairs[i].expected);
    }
    for (int i = 0; i < m->nnotes; i++)
        tt_fact(term, i ? "" : "note", "%s", m->notes[i]);
}

static void print_transforms(const struct tt_term *term, const struct tt_models *m)
{
    const char *seen[16];
    int n = 0;
    for (int i = 0; i < m->nrows && n < 16; i++) {
        int at = 0, count = 0;
        while (at < n && strcmp(seen[at], m->rows[i].transform) != 0)
            at++;
        if (!m->rows[i].transform[0] || at < n)
            continue;
        seen[n++] = m->rows[i].transform;
        for (int j = i; j < m->nrows; j++)
            count += strcmp(m->rows[j].transform, m->rows[i].transform) == 0;
        tt_fact(term, n > 1 ? "" : "converted", "%s: %s", m->rows[i].transform, tt_plural((uint64_t)count, "weight").text);
    }
}

static int report(struct tt_context *context, const struct tt_models *m, const struct file *a, const struct file *b)
{
    int status = m->nfindings || (context->strict && m->nnotes) ? TT_STATUS_MISMATCH : TT_STATUS_MATCH;
    if (context->json)
        return tt_emit_json(context, document(m, a, b), status);
    struct tt_term term = tt_term_open(context->out, context->color, context->md);
    print_headline(&term, m, a, b);
    for (int i = 0; i < m->nfindings; i++)
        print_finding(&term, &m->findings[i]);
    print_types(&term, m);
    print_transforms(&term, m);
    return status;
}

static int run_models(struct tt_context *context)
{
    struct file a = {0}, b = {0};
    int status = -1;
    if (open_file(context, context->args[0], true, &a) == 0 && open_file(context, context->args[1], false, &b) == 0) {
        struct tt_models *models = tt_models_compare(a.graph, b.graph, &context->error);
        if (models)
            status = report(context, models, &a, &b);
        tt_models_free(models);
    }
    close_file(&a);
    close_file(&b);
    return status;
}

const struct tt_command tt_command_models = {
    .name = "models",
    .summary = "two model files against each other: settings and every weight",
    .usage = "[options] A B",
    .description =
        "A and B are what --model takes: GGUF files, safetensors, folders, ids of the local hub cache; of one kind or "
        "two. A is what is expected, B what is asked about: a conversion, a quantisation, a copy. With --lora A is the model "
        "with this adapter, so that B can be what it was merged into.\n\n"
        "Settings count where something computes with them. Weights are compared in the order of one rope pairing, with "
        "constants folded or not as each kind of file has them, stacks and fused tensors taken apart; quantised ones may "
        "be off by what the steps of their blocks allow. What differs is explained: permuted, transposed, another "
        "layer's, scaled, cut off, folded twice, quantised wrongly.\n\n"
        "Exit status: 0 the same model, 1 findings, 2 bad input.",
    .min_args = 2,
    .max_args = 2,
    .run = run_models,
};
