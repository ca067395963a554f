/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening what a run is compared with.
 */
#include "commands/counterpart.h"

#include <stdlib.h>
#include <string.h>

#include "compare/compare.h"
#include "compare/rows.h"
#include "verify/reference.h"

/* "file.npz#name": where the name begins, NULL: none. */
static const char *name_in(const char *what)
{
    const char *hash = strrchr(what, '#');
    return hash && hash > what && hash[1] ? hash + 1 : NULL;
}

static char *file_of(const char *what)
{
    const char *name = name_in(what);
    return name ? tt_format("%.*s", (int)(name - 1 - what), what) : tt_strdup(what);
}

static bool has_array_suffix(const char *path)
{
    static const char *const suffixes[] = {".safetensors", ".npz", ".npy", ".pt"};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof suffixes / sizeof *suffixes; i++)
        if (strcmp(dot, suffixes[i]) == 0)
            return true;
    return false;
}

bool tt_is_array_file(const char *what)
{
    char *path = file_of(what);
    bool is = has_array_suffix(path) || has_array_suffix(what);
    free(path);
    return is;
}

struct tt_arrays *tt_open_array(const char *what, const struct tt_array **array, struct tt_error *error)
{
    bool named = !has_array_suffix(what) && name_in(what);
    char *path = named ? file_of(what) : tt_strdup(what);
    struct tt_arrays *arrays = tt_arrays_open(path, error);
    *array = NULL;
    if (arrays && named)
        *array = tt_arrays_find(arrays, name_in(what));
    else if (arrays && tt_arrays_count(arrays) == 1)
        *array = tt_arrays_at(arrays, 0);
    if (arrays && named && !*array) {
        tt_fail(error, TT_EINPUT, "%s has no array '%s' among its %zu", path, name_in(what), tt_arrays_count(arrays));
        tt_arrays_close(arrays);
        arrays = NULL;
    }
    free(path);
    return arrays;
}

/* A reference of a model of other shapes shares no value with this graph: one line instead of empty rows. */
static int check_model(struct tt_context *context, const struct tt_graph *graph, const struct tt_counterpart *c)
{
    const char *of = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(tt_capture_manifest(c->capture), "reference_of"));
    const char *model = tt_model_path(tt_graph_model(graph));
    for (int i = 0; i < c->trace->npasses; i++)
        if (c->trace->passes[i].nobservations)
            return 0;
    return tt_fail(&context->error, TT_EINPUT, "%s is a reference of %s, not of %s; make one with: tensortap ref %s --like %s",
                   tt_capture_path(c->capture), of ? of : "another model", model, model, tt_capture_path(c->capture));
}

static int open_capture(struct tt_context *context, const char *path, struct tt_graph *graph, struct tt_counterpart *c)
{
    c->capture = tt_capture_open(path, &context->error);
    if (!c->capture)
        return -1;
    if (tt_is_reference(c->capture)) {
        c->trace = tt_reference_read(c->capture, graph, &context->error);
        return c->trace ? check_model(context, graph, c) : -1;
    }
    c->naming = tt_naming_new(c->capture, graph, NULL, &context->error);
    c->trace = c->naming ? c->naming->trace : NULL;
    return c->trace ? 0 : -1;
}

int tt_counterpart_open(struct tt_context *context, const char *path, struct tt_graph *graph, const struct tt_trace *like,
                        struct tt_counterpart *c)
{
    if (!has_array_suffix(path) && tt_is_array_file(path))
        return tt_fail(&context->error, TT_EINPUT, "%s is one array, but several values are compared: give the file alone, or "
                       "show one value", path);
    if (!has_array_suffix(path))
        return open_capture(context, path, graph, c);
    c->arrays = tt_arrays_open(path, &context->error);
    c->trace = c->arrays ? tt_trace_of_arrays(c->arrays, graph, like, &context->error) : NULL;
    return c->trace ? 0 : -1;
}

int tt_counterpart_of_node(struct tt_context *context, const char *what, struct tt_graph *graph, int node,
                           const struct tt_trace *like, struct tt_counterpart *c)
{
    const struct tt_array *array;
    if (!tt_is_array_file(what))
        return open_capture(context, what, graph, c);
    c->arrays = tt_open_array(what, &array, &context->error);
    if (!c->arrays)
        return -1;
    if (!array) {
        c->trace = tt_trace_of_arrays(c->arrays, graph, like, &context->error);
        return c->trace ? 0 : -1;
    }
    c->trace = tt_trace_of_array(array, graph, node, &context->error);
    return c->trace ? 0 : -1;
}

void tt_counterpart_close(struct tt_counterpart *c)
{
    if (c->naming)
        tt_naming_free(c->naming);
    else
        tt_trace_free(c->trace);
    if (c->capture)
        tt_capture_close(c->capture);
    tt_arrays_close(c->arrays);
    *c = (struct tt_counterpart){0};
}
