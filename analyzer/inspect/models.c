/* SPDX-License-Identifier: Apache-2.0
 *
 * Findings are told once: the same cause in the same component of several layers is one of them, and a layer that is
 * another one is one, not nine.
 */
#include "inspect/models.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "inspect/behaviour.h"
#include "inspect/settings.h"

const char *tt_model_status_name(enum tt_model_status status)
{
    static const char *const names[] = {"equal", "rounded", "different", "missing", "extra"};
    return names[status];
}

/* ---- findings ---- */

static void component_of(const struct tt_placed *placed, char *text, size_t size)
{
    const char *dot = strrchr(placed->name, '.');
    snprintf(text, size, "%.*s", (int)(dot ? dot - placed->name : (long)strlen(placed->name)), placed->name);
}

static void add_layer(struct tt_model_finding *finding, int layer)
{
    for (int i = 0; i < finding->nlayers; i++)
        if (finding->layers[i] == layer)
            return;
    if (layer < 0)
        return;
    finding->layers = tt_grow(finding->layers, (size_t)finding->nlayers + 1, sizeof *finding->layers);
    finding->layers[finding->nlayers++] = layer;
}

/* Gate and up are one exchange; a layer's weights in another layer are one shift. */
static bool belongs(const struct tt_model_finding *finding, const char *cause, const char *component, int shift)
{
    if (shift || finding->shift)
        return shift == finding->shift;
    return strcmp(finding->cause, cause) == 0 &&
           (strcmp(finding->component, component) == 0 || strcmp(cause, "mlp.gate_up_swapped") == 0);
}

static struct tt_model_finding *finding_for(struct tt_models *m, const char *cause, const char *component, int shift)
{
    for (int i = 0; i < m->nfindings; i++)
        if (belongs(&m->findings[i], cause, component, shift))
            return &m->findings[i];
    m->findings = tt_grow(m->findings, (size_t)m->nfindings + 1, sizeof *m->findings);
    struct tt_model_finding *finding = &m->findings[m->nfindings++];
    *finding = (struct tt_model_finding){.confidence = "certain", .shift = shift};
    snprintf(finding->cause, sizeof finding->cause, "%s", cause);
    snprintf(finding->component, sizeof finding->component, "%s", component);
    return finding;
}

static void add_finding(struct tt_models *m, const struct tt_placed *placed, const struct tt_explanation *why)
{
    char component[64];
    bool shifted = why->from_layer >= 0 && placed->layer >= 0;
    component_of(placed, component, sizeof component);
    struct tt_model_finding *finding =
        finding_for(m, shifted ? "linear.wrong_weight" : why->cause, component, shifted ? why->from_layer - placed->layer : 0);
    if (!finding->tensors++) {
        snprintf(finding->tensor, sizeof finding->tensor, "%s", placed->tensor->name);
        snprintf(finding->expected, sizeof finding->expected, "%s", why->expected);
        snprintf(finding->found, sizeof finding->found, "%s", why->found);
        snprintf(finding->evidence, sizeof finding->evidence, "%s", why->evidence);
        finding->confidence = why->confidence;
    }
    add_layer(finding, placed->layer);
}

static void add_note(struct tt_models *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_note(struct tt_models *m, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    m->notes = tt_grow(m->notes, (size_t)m->nnotes + 1, sizeof *m->notes);
    m->notes[m->nnotes++] = tt_strdup(text);
}

/* ---- settings ---- */

/* A list "a, b, c" within `size` bytes, cut between two names. */
static void shorten(const char *list, char *out, size_t size)
{
    static const char rest[] = ", …";
    snprintf(out, size, "%.*s", (int)size - 1, list);
    if (strlen(list) < size)
        return;
    out[size - sizeof rest] = 0;
    char *comma = strrchr(out, ',');
    if (comma)
        memcpy(comma, rest, sizeof rest);
}

static void add_settings(struct tt_models *m)
{
    struct tt_setting_differences d = tt_compare_settings(m->sides.a, m->sides.b);
    for (int i = 0; i < d.count; i++) {
        const struct tt_setting_difference *row = &d.items[i];
        char key[64];
        snprintf(key, sizeof key, "%.20s %.40s", row->name, row->components);
        struct tt_model_finding *finding = finding_for(m, "file.metadata", key, 0);
        shorten(row->components, finding->component, sizeof finding->component);
        snprintf(finding->expected, sizeof finding->expected, "%.30s %.60s", row->name, row->expected);
        snprintf(finding->found, sizeof finding->found, "%.30s %.60s", row->name, row->found);
        snprintf(finding->evidence, sizeof finding->evidence, "%s", row->evidence);
        for (int layer = 0; row->layer >= 0 && layer < row->nlayers; layer++)
            add_layer(finding, row->layer + layer);
    }
    for (int i = 0; i < d.nunused; i++)
        add_note(m, "%s is %s in A and %s in B; nothing computes with it", d.unused[i].name, d.unused[i].expected,
                 d.unused[i].found);
    tt_setting_differences_free(&d);
}

/* ---- weights ---- */

static struct tt_model_row *add_row(struct tt_models *m, const struct tt_placed *a, const struct tt_placed *b)
{
    m->rows = tt_grow(m->rows, (size_t)m->nrows + 1, sizeof *m->rows);
    m->rows[m->nrows] = (struct tt_model_row){.a = a, .b = b};
    return &m->rows[m->nrows++];
}

static void add_transform(struct tt_model_row *row, const char *words)
{
    size_t length = strlen(row->transform);
    snprintf(row->transform + length, sizeof row->transform - length, "%s%s", length ? ", " : "", words);
}

/* Serves as another weight of the same place, too. */
static bool is_tied(const struct tt_placed_list *list, const struct tt_placed *placed)
{
    return placed->same_as >= 0 && strcmp(list->items[placed->same_as].name, placed->name) != 0;
}

static void name_transforms(struct tt_model_row *row, const struct tt_sides *sides)
{
    const struct tt_placed *a = row->a, *b = row->b;
    if (a->head_dim && b->head_dim && a->interleaved != b->interleaved)
        add_transform(row, "rows in the order of the other rope pairing");
    if (a->offset != b->offset)
        add_transform(row, "1 folded in");
    if (a->rows != b->rows)
        add_transform(row, "padding rows left out");
    if (is_tied(&sides->in_a, a) != is_tied(&sides->in_b, b))
        add_transform(row, is_tied(&sides->in_a, a) ? "stored apart" : "tied");
}

/* A tied head that is not what A has is no wrong number: a tensor is missing. */
static void explain_tie(const struct tt_models *m, const struct tt_model_row *row, struct tt_explanation *why)
{
    const struct tt_placed *a = row->a, *b = row->b;
    bool tied_a = is_tied(&m->sides.in_a, a), tied_b = is_tied(&m->sides.in_b, b);
    if (tied_a && !tied_b) {
        snprintf(why->cause, sizeof why->cause, "logits.wrong_head");
        snprintf(why->expected, sizeof why->expected, "tied to %s", m->sides.in_a.items[a->same_as].name);
        snprintf(why->evidence, sizeof why->evidence, "A ties %s to %s, B stores %s with other numbers", a->name,
                 m->sides.in_a.items[a->same_as].name, b->tensor->name);
    } else if (!tied_a && tied_b) {
        snprintf(why->cause, sizeof why->cause, "file.tensor_missing");
        snprintf(why->expected, sizeof why->expected, "%.90s", a->tensor->name);
        snprintf(why->found, sizeof why->found, "tied to %s", m->sides.in_b.items[b->same_as].name);
        snprintf(why->evidence, sizeof why->evidence, "A stores %s, B has none and takes %s for it", a->tensor->name,
                 b->tensor->name);
    }
}

static int judge(struct tt_models *m, const struct tt_pair *pair, struct tt_model_row *row, struct tt_error *error)
{
    struct tt_pair_difference d;
    struct tt_explanation why;
    if (tt_pair_measure(pair, &d, error))
        return -1;
    row->nmse = tt_pair_nmse(&d);
    row->expected = tt_pair_expected(&d);
    row->status = d.error == 0 && !d.nonfinite ? TT_MODEL_EQUAL : tt_pair_equal(&d) ? TT_MODEL_ROUNDED : TT_MODEL_DIFFERENT;
    name_transforms(row, &m->sides);
    if (row->status != TT_MODEL_DIFFERENT)
        return 0;
    if (tt_explain(&m->sides, pair, &d, &why, error))
        return -1;
    explain_tie(m, row, &why);
    if (why.cause[0]) {
        add_finding(m, row->b, &why);
    } else {
        row->status = TT_MODEL_ROUNDED;
        add_transform(row, why.found);
    }
    return 0;
}

static void shape_text(const struct tt_model_tensor *tensor, char *text, size_t size)
{
    size_t length = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < tensor->rank && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%lld", i ? ", " : "", (long long)tensor->shape[i]);
    if (length < size)
        snprintf(text + length, size - length, "]");
}

/* Another number of columns: a transpose that was forgotten, or another tensor. */
static void misshapen(struct tt_models *m, struct tt_model_row *row)
{
    const struct tt_placed *a = row->a, *b = row->b;
    struct tt_explanation why = {.confidence = "certain", .from_layer = -2};
    bool turned = a->rows == b->columns && a->columns == b->rows;
    shape_text(a->tensor, why.expected, sizeof why.expected);
    shape_text(b->tensor, why.found, sizeof why.found);
    snprintf(why.cause, sizeof why.cause, turned ? "linear.transposed" : "file.metadata");
    snprintf(why.evidence, sizeof why.evidence, turned ? "B stores it with its two axes exchanged" : "its shape is another one");
    row->status = TT_MODEL_DIFFERENT;
    add_finding(m, b, &why);
}

/* Rows of a vocabulary may be padded; other weights have the rows that they have. */
static bool comparable(const struct tt_placed *a, const struct tt_placed *b, struct tt_pair *pair)
{
    bool vocabulary = strncmp(a->name, "embed", 5) == 0 || strncmp(a->name, "lm_head", 7) == 0;
    return tt_pair_of(a, b, pair) && (a->rows == b->rows || vocabulary);
}

/* Values for a weight that is left out where it would be zero: a bias. */
static bool is_zero(const struct tt_placed *placed)
{
    int64_t count = placed->rows * placed->columns;
    double *v = tt_alloc_array((size_t)count, sizeof *v);
    bool zero = placed->tensor->rank == 1 && tt_model_read(placed->tensor, 0, (uint64_t)count, v, NULL) == 0;
    for (int64_t i = 0; i < count && zero; i++)
        zero = v[i] == 0;
    free(v);
    return zero;
}

/* The node that reads it computes the same without: the other file says it by a setting. Or nobody needs that node. */
static const char *does_without(const struct tt_models *m, const struct tt_placed *there, bool in_a)
{
    struct tt_graph *from = in_a ? m->sides.a : m->sides.b, *to = in_a ? m->sides.b : m->sides.a;
    const struct tt_node *node = tt_graph_node(from, there->node);
    int at = tt_graph_find_at(to, node->component, node->layer, node->iteration);
    if (is_zero(there))
        return "zeros left out";
    if (at >= 0 && tt_same_behaviour(from, node, to, tt_graph_node(to, at)))
        return "said by a setting";
    int end = tt_graph_find(from, node->blame, node->layer);
    return end >= 0 && tt_graph_node(from, end)->optional_end ? "left out" : NULL;
}

static void absent(struct tt_models *m, const struct tt_placed *there, bool in_a)
{
    struct tt_model_row *row = add_row(m, in_a ? there : NULL, in_a ? NULL : there);
    struct tt_explanation why = {.cause = "file.tensor_missing", .confidence = "certain", .from_layer = -2};
    const char *without = does_without(m, there, in_a);
    row->status = in_a ? TT_MODEL_MISSING : TT_MODEL_EXTRA;
    if (without) {
        row->status = TT_MODEL_EQUAL;
        add_transform(row, without);
        return;
    }
    snprintf(why.expected, sizeof why.expected, "%.90s", in_a ? there->tensor->name : "none");
    snprintf(why.found, sizeof why.found, "%.90s", in_a ? "none" : there->tensor->name);
    snprintf(why.evidence, sizeof why.evidence, "%s has it, %s has not", in_a ? "A" : "B", in_a ? "B" : "A");
    add_finding(m, there, &why);
}

static int compare_weight(struct tt_models *m, const struct tt_placed *a, struct tt_error *error)
{
    int at = tt_placed_find(&m->sides.in_b, a->name, a->layer);
    const struct tt_placed *b = at < 0 ? NULL : &m->sides.in_b.items[at];
    bool in_a = tt_placed_present(a), in_b = b && tt_placed_present(b);
    struct tt_pair pair;
    if (in_a && !in_b)
        absent(m, a, true);
    else if (!in_a && in_b)
        absent(m, b, false);
    if (!in_a || !in_b)
        return 0;
    struct tt_model_row *row = add_row(m, a, b);
    if (comparable(a, b, &pair))
        return judge(m, &pair, row, error);
    misshapen(m, row);
    return 0;
}

/* Another family's weights, or those of another size: one line says more than a finding for each. */
static int check_kinship(const struct tt_models *m, struct tt_error *error)
{
    const struct tt_placed_list *a = &m->sides.in_a, *b = &m->sides.in_b;
    int common = 0;
    for (int i = 0; i < a->count; i++) {
        int at = tt_placed_find(b, a->items[i].name, a->items[i].layer);
        common += at >= 0 && a->items[i].rows * a->items[i].columns == b->items[at].rows * b->items[at].columns;
    }
    if (2 * common >= a->count && 2 * common >= b->count)
        return 0;
    return tt_fail(error, TT_EINPUT,
                   "%s (%s, %d weights) and %s (%s, %d weights) are no two files of one model: %d weights have the same place and size",
                   tt_model_path(tt_graph_model(m->sides.a)), tt_graph_family(m->sides.a), a->count,
                   tt_model_path(tt_graph_model(m->sides.b)), tt_graph_family(m->sides.b), b->count, common);
}

static int compare_weights(struct tt_models *m, struct tt_error *error)
{
    if (check_kinship(m, error))
        return -1;
    for (int i = 0; i < m->sides.in_a.count; i++)
        if (compare_weight(m, &m->sides.in_a.items[i], error))
            return -1;
    for (int i = 0; i < m->sides.in_b.count; i++) {
        const struct tt_placed *b = &m->sides.in_b.items[i];
        if (tt_placed_present(b) && tt_placed_find(&m->sides.in_a, b->name, b->layer) < 0)
            absent(m, b, false);
    }
    return 0;
}

/* ---- both ---- */

/* No form was found, or none but closeness. */
static bool is_unknown(const struct tt_model_finding *f)
{
    return strcmp(f->confidence, "unsure") == 0 && f->tensors;
}

/* Tensors of a file that nothing computes with: tables that engines keep, or what the family's description lacks. */
static void note_unread(struct tt_models *m, const struct tt_graph *graph, const char *file)
{
    const struct tt_model *model = tt_graph_model(graph);
    const char *first = NULL;
    int unread = 0;
    for (size_t i = 0; i < tt_model_ntensors(model); i++) {
        const struct tt_model_tensor *tensor = tt_model_tensor_at(model, i);
        if (tt_graph_reads(graph, tensor))
            continue;
        first = first ? first : tensor->name;
        unread++;
    }
    if (unread)
        add_note(m, "%d of %zu tensors of %s are read by nothing, the first is %.100s", unread, tt_model_ntensors(model), file,
                 first);
}

static int by_layer(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Weights without a known form in most places are another checkpoint: one finding. */
static void join_unknown(struct tt_models *m)
{
    int unknown = 0, kept = 0, first = -1;
    for (int i = 0; i < m->nfindings; i++)
        unknown += is_unknown(&m->findings[i]) ? m->findings[i].tensors : 0;
    if (unknown == 0 || 2 * unknown < m->nrows)
        return;
    for (int i = 0; i < m->nfindings; i++) {
        struct tt_model_finding *f = &m->findings[i];
        if (is_unknown(f) && first >= 0) {
            m->findings[first].tensors += f->tensors;
            free(f->layers);
            continue;
        }
        first = is_unknown(f) ? kept : first;
        m->findings[kept++] = *f;
    }
    m->nfindings = kept;
    struct tt_model_finding *f = &m->findings[first];
    f->component[0] = 0;
    f->nlayers = 0;
    snprintf(f->expected, sizeof f->expected, "the weights of A");
    snprintf(f->found, sizeof f->found, "other weights");
    snprintf(f->evidence, sizeof f->evidence, "%d of %d weights are no known form of A's: another checkpoint, or trained further",
             f->tensors, m->nrows);
}

static void finish(struct tt_models *m)
{
    join_unknown(m);
    note_unread(m, m->sides.a, "A");
    note_unread(m, m->sides.b, "B");
    for (int i = 0; i < m->nrows; i++)
        m->counts[m->rows[i].status]++;
    for (int i = 0; i < m->nfindings; i++) {
        struct tt_model_finding *f = &m->findings[i];
        if (f->nlayers)
            qsort(f->layers, (size_t)f->nlayers, sizeof *f->layers, by_layer);
        if (!f->shift)
            continue;
        snprintf(f->expected, sizeof f->expected, "layer %d", f->layers[0]);
        snprintf(f->found, sizeof f->found, "layer %d", f->layers[0] + f->shift);
        snprintf(f->evidence, sizeof f->evidence, "%d weights of layer %d hold the numbers of layer %d of A",
                 f->tensors / f->nlayers, f->layers[0], f->layers[0] + f->shift);
    }
}

struct tt_models *tt_models_compare(struct tt_graph *a, struct tt_graph *b, struct tt_error *error)
{
    struct tt_models *m = tt_alloc(sizeof *m);
    m->sides = (struct tt_sides){a, b, tt_placed_list(a), tt_placed_list(b)};
    add_settings(m);
    if (compare_weights(m, error)) {
        tt_models_free(m);
        return NULL;
    }
    finish(m);
    return m;
}

void tt_models_free(struct tt_models *m)
{
    if (!m)
        return;
    for (int i = 0; i < m->nfindings; i++)
        free(m->findings[i].layers);
    for (int i = 0; i < m->nnotes; i++)
        free(m->notes[i]);
    free(m->findings);
    free(m->notes);
    free(m->rows);
    tt_placed_list_free(&m->sides.in_a);
    tt_placed_list_free(&m->sides.in_b);
    free(m);
}
