/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a canonical weight comes from: the first of its sources that the model has. A source is a tensor's name, or an
 * object that says how the weight lies in a tensor (transposed, fused with others, stacked by experts) or that it is an
 * array of the metadata. Tensors made on the way are kept by the graph, one for a weight and layer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/architecture.h"
#include "graph/private.h"

#define MAX_EXPERTS 65536

/* ---- tensors by name ---- */

static const struct tt_model_tensor *named_tensor(const struct tt_graph *graph, const char *name)
{
    const cJSON *prefixes = member(member(graph->json, "prefix"), graph->scheme);
    const struct tt_model_tensor *tensor = tt_model_tensor(graph->model, name);
    const char *prefix;
    char full[384];
    for (int i = 0; !tensor && (prefix = tt_json_string_at(prefixes, i)); i++) {
        snprintf(full, sizeof full, "%s%s", prefix, name);
        tensor = tt_model_tensor(graph->model, full);
    }
    return tensor;
}

static const struct tt_model_tensor *pattern_tensor(const struct tt_graph *graph, const char *pattern, int layer)
{
    char name[256];
    tt_graph_expand(graph, pattern, layer, name, sizeof name);
    return named_tensor(graph, name);
}

static const struct tt_model_tensor *expert_tensor(const struct tt_graph *graph, const char *pattern, int layer, int64_t expert)
{
    const char *mark = strstr(pattern, "{expert}");
    char one[256];
    snprintf(one, sizeof one, "%.*s%lld%s", (int)(mark - pattern), pattern, (long long)expert, mark + strlen("{expert}"));
    return pattern_tensor(graph, one, layer);
}

/* ---- views ---- */

static int malformed(const struct tt_graph *graph, const char *weight, const char *step, struct tt_error *error)
{
    return tt_fail(error, TT_EINPUT, "%s: weight %s: '%s' does not fit the tensor it is to be taken from",
                   tt_model_path(graph->model), weight, step);
}

static int read_shape(const struct tt_graph *graph, const cJSON *json, int layer, int64_t shape[8], struct tt_error *error)
{
    int rank = cJSON_GetArraySize(json);
    if (rank > 8)
        return tt_fail(error, TT_EINPUT, "architecture %s: a shape of %d axes", graph->family, rank);
    for (int i = 0; i < rank; i++)
        if (tt_graph_whole(graph, cJSON_GetArrayItem(json, i), layer, 0, &shape[i], error))
            return -1;
    return rank;
}

static int take(const struct tt_graph *graph, const cJSON *steps, int layer, const char *weight, struct tt_strided *view,
                struct tt_error *error)
{
    const cJSON *step;
    cJSON_ArrayForEach(step, steps)
    {
        int64_t of[4] = {0, 0, 0, 1}; /* axis, first, count, step */
        for (int i = 0; i < cJSON_GetArraySize(step) && i < 4; i++)
            if (tt_graph_whole(graph, cJSON_GetArrayItem(step, i), layer, 0, &of[i], error))
                return -1;
        if (tt_strided_take(view, (int)of[0], of[1], of[2], of[3]))
            return malformed(graph, weight, "take", error);
    }
    return 0;
}

static int view_of(const struct tt_graph *graph, const cJSON *source, int layer, const char *weight,
                   const struct tt_model_tensor *base, struct tt_strided *view, struct tt_error *error)
{
    int64_t shape[8];
    const cJSON *reshape = member(source, "shape");
    tt_strided_whole(view, base);
    if (cJSON_IsTrue(member(source, "transpose")) && tt_strided_transpose(view))
        return malformed(graph, weight, "transpose", error);
    int rank = reshape ? read_shape(graph, reshape, layer, shape, error) : 0;
    if (rank < 0)
        return -1;
    if (reshape && tt_strided_reshape(view, rank, shape))
        return malformed(graph, weight, "shape", error);
    return take(graph, member(source, "take"), layer, weight, view, error);
}

/* ---- tensors made ---- */

static const struct tt_model_tensor *keep(struct tt_graph *graph, const char *name, int layer,
                                          const struct tt_model_tensor *tensor)
{
    struct made_tensor *made = tt_alloc(sizeof *made);
    *made = (struct made_tensor){.next = graph->made, .name = tt_graph_intern(graph, name), .layer = layer, .tensor = *tensor};
    graph->made = made;
    return &made->tensor;
}

static const struct tt_model_tensor *made_before(const struct tt_graph *graph, const char *name, int layer)
{
    for (const struct made_tensor *m = graph->made; m; m = m->next)
        if (m->layer == layer && strcmp(m->name, name) == 0)
            return &m->tensor;
    return NULL;
}

/* In the weight's own shape when the number of elements agrees; else as it is, for the shape check to complain. */
static int finish_view(struct tt_graph *graph, const cJSON *entry, int layer, const struct tt_strided *view,
                       struct tt_model_tensor *out, struct tt_error *error)
{
    int64_t shape[8], wanted = 1, count = 1;
    int rank = read_shape(graph, member(entry, "shape"), layer, shape, error);
    if (rank < 0)
        return -1;
    bool fits = rank > 0; /* numbers of the metadata may be any */
    for (int i = 0; i < rank; i++)
        fits = fits && !__builtin_mul_overflow(wanted, shape[i], &wanted);
    for (int i = 0; i < view->rank; i++)
        count *= view->shape[i];
    fits = fits && wanted == count;
    tt_strided_tensor(view, fits ? rank : view->rank, fits ? shape : view->shape, out);
    return 0;
}

static bool is_plain(const cJSON *source)
{
    return !member(source, "transpose") && !member(source, "shape") && !member(source, "take");
}

static int view_source(struct tt_graph *graph, const cJSON *entry, const cJSON *source, int layer,
                       const struct tt_model_tensor *base, const struct tt_model_tensor **out, struct tt_error *error)
{
    struct tt_strided view;
    struct tt_model_tensor tensor;
    *out = base;
    if (!base || is_plain(source))
        return 0;
    if (view_of(graph, source, layer, entry->string, base, &view, error) ||
        finish_view(graph, entry, layer, &view, &tensor, error))
        return -1;
    *out = keep(graph, entry->string, layer, &tensor);
    return 0;
}

/* Views of the experts' tensors have names of their own, so that they are not taken for the whole. */
static int expert_view(struct tt_graph *graph, const cJSON *source, int layer, const char *weight,
                       const struct tt_model_tensor **part, struct tt_error *error)
{
    struct tt_strided view;
    struct tt_model_tensor tensor;
    if (is_plain(source))
        return 0;
    if (view_of(graph, source, layer, weight, *part, &view, error))
        return -1;
    tt_strided_tensor(&view, view.rank, view.shape, &tensor);
    *part = keep(graph, "", layer, &tensor);
    return 0;
}

static bool same_shape(const struct tt_model_tensor *a, const struct tt_model_tensor *b)
{
    return a->rank == b->rank && memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) == 0;
}

static int stack_source(struct tt_graph *graph, const cJSON *entry, const cJSON *source, int layer, const char *pattern,
                        const struct tt_model_tensor **out, struct tt_error *error)
{
    const cJSON *number = member(source, "experts");
    cJSON *fallback = number ? NULL : cJSON_CreateString("experts");
    int64_t n = 0;
    int failed = tt_graph_whole(graph, number ? number : fallback, layer, 0, &n, error);
    cJSON_Delete(fallback);
    if (failed || !n || n > MAX_EXPERTS || !expert_tensor(graph, pattern, layer, 0))
        return failed;
    const struct tt_model_tensor **parts = tt_alloc_array((size_t)n, sizeof(*parts));
    struct tt_model_tensor tensor;
    for (int64_t i = 0; i < n && !failed; i++) {
        parts[i] = expert_tensor(graph, pattern, layer, i);
        if (!parts[i])
            failed = tt_fail(error, TT_EINPUT, "%s: expert %lld of %s is missing; is this a complete model?",
                             tt_model_path(graph->model), (long long)i, entry->string);
        else
            failed = expert_view(graph, source, layer, entry->string, &parts[i], error);
        if (!failed && (parts[i]->rank >= 8 || !same_shape(parts[i], parts[0])))
            failed = tt_fail(error, TT_EINPUT, "%s: expert %lld of %s has another shape than the first",
                             tt_model_path(graph->model), (long long)i, entry->string);
    }
    if (!failed) {
        tt_stacked_tensor(parts, n, &tensor);
        *out = keep(graph, entry->string, layer, &tensor);
    }
    free(parts);
    return failed;
}

struct numbers_form {
    struct tt_tensor_form form;
    double values[];
};

static int read_numbers(const struct tt_tensor_form *form, uint64_t first, uint64_t count, double *out,
                        struct tt_error *error)
{
    (void)error;
    memcpy(out, ((const struct numbers_form *)form)->values + first, (size_t)count * sizeof *out);
    return 0;
}

static const struct tt_model_tensor *metadata_source(struct tt_graph *graph, const cJSON *entry, int layer, const char *key)
{
    char expanded[256];
    tt_graph_expand_key(graph, key, layer, expanded, sizeof expanded);
    size_t n = tt_model_array_length(graph->model, expanded);
    double first;
    if (!n || !tt_model_array_number(graph->model, expanded, 0, &first))
        return NULL;
    struct numbers_form *made = tt_alloc(sizeof *made + n * sizeof *made->values);
    made->form = (struct tt_tensor_form){"numbers of the metadata", read_numbers};
    for (size_t i = 0; i < n; i++)
        tt_model_array_number(graph->model, expanded, i, &made->values[i]);
    struct tt_model_tensor tensor = {.name = tt_graph_intern(graph, expanded), .dtype = TT_F64, .rank = 1,
                                     .shape = {(int64_t)n}, .file = tt_model_path(graph->model), .form = &made->form};
    return keep(graph, entry->string, layer, &tensor);
}

static int object_source(struct tt_graph *graph, const cJSON *entry, const cJSON *source, int layer,
                         const struct tt_model_tensor **out, struct tt_error *error)
{
    const char *key = text_of(source, "metadata"), *pattern = text_of(source, "tensor");
    if ((*out = made_before(graph, entry->string, layer)))
        return 0;
    if (key) {
        *out = metadata_source(graph, entry, layer, key);
        return 0;
    }
    if (!pattern)
        return tt_fail(error, TT_EINPUT, "architecture %s: a source of %s has neither 'tensor' nor 'metadata'", graph->family,
                       entry->string);
    if (strstr(pattern, "{expert}"))
        return stack_source(graph, entry, source, layer, pattern, out, error);
    return view_source(graph, entry, source, layer, pattern_tensor(graph, pattern, layer), out, error);
}

static int one_source(struct tt_graph *graph, const cJSON *entry, const cJSON *source, int layer,
                      const struct tt_model_tensor **out, struct tt_error *error)
{
    const char *pattern = cJSON_GetStringValue(source);
    if (!pattern)
        return cJSON_IsObject(source) ? object_source(graph, entry, source, layer, out, error) : 0;
    *out = pattern_tensor(graph, pattern, layer);
    return 0;
}

static int wanted(const struct tt_graph *graph, const cJSON *entry, int layer, struct tt_error *error)
{
    struct tt_scalar value;
    const char *when = text_of(entry, "when");
    if (!when)
        return 1;
    return tt_graph_evaluate(graph, when, layer, &value, error) ? -1 : value.number != 0;
}

static int read_nothing(const struct tt_tensor_form *form, uint64_t first, uint64_t count, double *out,
                        struct tt_error *error)
{
    (void)form, (void)first, (void)count, (void)out;
    return tt_fail(error, TT_EINPUT, "there is only a configuration, no file with weights");
}

/* A tensor that has the declared shape, and no values. */
static int shape_only(struct tt_graph *graph, const cJSON *entry, int layer, enum tt_dtype dtype,
                      const struct tt_model_tensor **out, struct tt_error *error)
{
    char name[160];
    snprintf(name, sizeof name, "%s, shape only", entry->string);
    struct tt_model_tensor tensor = {.name = tt_graph_intern(graph, entry->string), .dtype = dtype,
                                     .file = tt_model_path(graph->model)};
    if ((*out = made_before(graph, name, layer)))
        return 0;
    tensor.rank = read_shape(graph, member(entry, "shape"), layer, tensor.shape, error);
    if (tensor.rank < 0)
        return -1;
    struct tt_tensor_form *form = tt_alloc(sizeof *form);
    *form = (struct tt_tensor_form){"shape only", read_nothing};
    tensor.form = form;
    *out = keep(graph, name, layer, &tensor);
    return 0;
}

bool tt_tensor_has_values(const struct tt_model_tensor *tensor)
{
    return !tensor->form || tensor->form->read != read_nothing;
}

/* Whether an optional weight exists, tensors tell; of a configuration alone the family may know. */
static bool expected(const struct tt_graph *graph, const cJSON *entry, int layer)
{
    struct tt_scalar value;
    const char *text = text_of(entry, "expected");
    if (!cJSON_IsTrue(member(entry, "optional")))
        return true;
    return text && !tt_model_ntensors(graph->model) && tt_graph_evaluate(graph, text, layer, &value, NULL) == 0 &&
           value.number != 0;
}

static int bare_source(struct tt_graph *graph, const cJSON *entry, int layer, const struct tt_model_tensor **out,
                       struct tt_error *error)
{
    if (!graph->sized || !member(entry, graph->scheme) || !expected(graph, entry, layer))
        return 0;
    return shape_only(graph, entry, layer, TT_F32, out, error);
}

/* Where tensors are there, their absence says that another one serves; a configuration alone has to say it itself. */
static bool served_by_other(const struct tt_graph *graph, const cJSON *entry, int layer)
{
    struct tt_scalar value;
    const char *when = text_of(entry, "else_when");
    if (!graph->options.bare || tt_model_ntensors(graph->model) || !when)
        return true;
    return tt_graph_evaluate(graph, when, layer, &value, NULL) == 0 && value.number != 0;
}

static int sources_of(struct tt_graph *graph, const cJSON *entry, int layer, const struct tt_model_tensor **out,
                      struct tt_error *error)
{
    const cJSON *sources = member(entry, graph->scheme), *source;
    if (!cJSON_IsArray(sources))
        return sources ? one_source(graph, entry, sources, layer, out, error) : 0;
    cJSON_ArrayForEach(source, sources)
    {
        if (one_source(graph, entry, source, layer, out, error))
            return -1;
        if (*out)
            return 0;
    }
    return 0;
}

int tt_graph_bind_weight(struct tt_graph *graph, const char *name, int layer, const struct tt_model_tensor **out,
                         struct tt_error *error)
{
    const cJSON *entry = member(member(graph->json, "weights"), name);
    *out = NULL;
    int needed = entry ? wanted(graph, entry, layer, error) : 0;
    if (needed <= 0)
        return needed;
    if (sources_of(graph, entry, layer, out, error))
        return -1;
    if (*out && graph->sized && graph->options.sets && *graph->options.sets) /* the file's shapes mean nothing then */
        return shape_only(graph, entry, layer, (*out)->dtype, out, error);
    const char *other = text_of(entry, "else");
    if (!*out && other && served_by_other(graph, entry, layer))
        return tt_graph_bind_weight(graph, other, layer, out, error);
    return *out || !graph->options.bare ? 0 : bare_source(graph, entry, layer, out, error);
}
