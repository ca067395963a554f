/* SPDX-License-Identifier: Apache-2.0
 *
 * The key is a digest of all that the reference's numbers depend on: the graph as it was bound (wiring, attributes), each
 * file of the model by place, size and time of change, each tensor by name, shape, type and the bytes at its ends,
 * adapters, the tokens, the version of this program. A run that dies leaves no half reference: it is made beside its
 * place and renamed.
 */
#include "commands/reference_cache.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "commands/inspection.h"
#include "commands/run.h"
#include "verify/reference.h"

#define ENDS 4096 /* bytes at either end of a tensor that count */

/* ---- the key ---- */

static void add_bytes(XXH3_state_t *state, const void *bytes, size_t count)
{
    XXH3_128bits_update(state, bytes, count);
}

static void add_text(XXH3_state_t *state, const char *text)
{
    add_bytes(state, text ? text : "", strlen(text ? text : "") + 1);
}

static void add_file(XXH3_state_t *state, const char *path)
{
    struct stat info = {0};
    if (stat(path, &info) != 0)
        return;
    add_text(state, path);
    add_bytes(state, &info.st_size, sizeof info.st_size);
    add_bytes(state, &info.st_mtim.tv_sec, sizeof info.st_mtim.tv_sec);
    add_bytes(state, &info.st_mtim.tv_nsec, sizeof info.st_mtim.tv_nsec);
}

static void add_tensors(XXH3_state_t *state, const struct tt_model *model)
{
    const char *last = "";
    for (size_t i = 0; i < tt_model_ntensors(model); i++) {
        const struct tt_model_tensor *tensor = tt_model_tensor_at(model, i);
        if (tensor->file && strcmp(tensor->file, last) != 0)
            add_file(state, last = tensor->file);
        add_text(state, tensor->name);
        add_bytes(state, &tensor->dtype, sizeof tensor->dtype);
        add_bytes(state, tensor->shape, (size_t)tensor->rank * sizeof *tensor->shape);
        if (!tensor->data || tensor->form)
            continue;
        size_t ends = tensor->nbytes < ENDS ? (size_t)tensor->nbytes : ENDS;
        add_bytes(state, tensor->data, ends);
        add_bytes(state, (const uint8_t *)tensor->data + tensor->nbytes - ends, ends);
    }
}

static void add_attributes(XXH3_state_t *state, const struct tt_attributes *attributes)
{
    for (int i = 0; i < attributes->count; i++) {
        add_text(state, attributes->items[i].name);
        add_text(state, attributes->items[i].string);
        add_bytes(state, &attributes->items[i].number, sizeof attributes->items[i].number);
    }
}

static void add_graph(XXH3_state_t *state, const struct tt_graph *graph)
{
    add_text(state, tt_graph_family(graph));
    for (int i = 0; i < tt_graph_nnodes(graph); i++) {
        const struct tt_node *node = tt_graph_node(graph, i);
        add_text(state, tt_node_address(node).text);
        add_text(state, node->op ? node->op->name : "cache");
        add_bytes(state, node->in, (size_t)node->nin * sizeof *node->in);
        add_bytes(state, node->axes, (size_t)node->rank * sizeof *node->axes);
        add_attributes(state, &node->attributes);
        for (int w = 0; w < TT_OP_MAX_WEIGHTS; w++)
            add_text(state, node->weight[w] ? node->weight[w]->name : "");
    }
}

/* Adapters change weights whose bytes in the file stay. */
static void add_adapters(XXH3_state_t *state, const struct tt_context *context)
{
    for (size_t i = 0; i < tt_option_count(context->options, "lora"); i++) {
        const char *text = tt_option_text_at(context->options, "lora", i);
        char *path = text ? tt_format("%.*s", (int)strcspn(text, "="), text) : NULL;
        if (!path)
            continue;
        add_text(state, text);
        add_file(state, path);
        free(path);
    }
}

/* 32 hexadecimal digits, the caller's. */
static char *key_of(const struct tt_context *context, const struct tt_graph *graph, const int32_t *tokens, int64_t count)
{
    XXH3_state_t *state = XXH3_createState();
    XXH3_128bits_reset(state);
    add_text(state, TENSORTAP_VERSION);
    add_graph(state, graph);
    add_tensors(state, tt_graph_model(graph));
    add_adapters(state, context);
    add_bytes(state, tokens, (size_t)count * sizeof *tokens);
    XXH128_hash_t digest = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    return tt_format("%016llx%016llx", (unsigned long long)digest.high64, (unsigned long long)digest.low64);
}

/* ---- the folder ---- */

static char *folder(struct tt_error *error)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *path;
    if (cache && cache[0] == '/')
        path = tt_format("%s/tensortap/references", cache);
    else if (home && home[0] == '/')
        path = tt_format("%s/.cache/tensortap/references", home);
    else
        path = NULL;
    if (!path)
        tt_fail(error, TT_EINPUT, "there is no place to keep it; set XDG_CACHE_HOME");
    else if (tt_make_folders(path, 0700) != 0)
        tt_fail(error, TT_ESYSTEM, "cannot make %s: %m", path);
    else
        return path;
    free(path);
    return NULL;
}

/* A capture is a flat folder. */
static void remove_capture(const char *path)
{
    DIR *entries = opendir(path);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        char *file = tt_format("%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlink(file);
        free(file);
    }
    if (entries)
        closedir(entries);
    rmdir(path);
}

static int make(struct tt_graph *graph, const int32_t *tokens, int64_t count, const char *path, struct tt_error *error)
{
    char *beside = tt_format("%s.%d", path, (int)getpid());
    struct tt_trace *inputs = tt_trace_of_tokens(graph, tokens, count);
    struct tt_reference_options how = {.directory = beside};
    int failed = tt_reference_run(graph, inputs, &how, error);
    if (!failed && rename(beside, path) != 0 && errno != EEXIST && errno != ENOTEMPTY)
        failed = tt_fail(error, TT_ESYSTEM, "cannot keep %s: %m", path);
    remove_capture(beside); /* gone when it was renamed; another process may have been first */
    tt_trace_free(inputs);
    free(beside);
    return failed;
}

char *tt_reference_cached(struct tt_context *context, struct tt_graph *graph, const int32_t *tokens, int64_t count,
                          struct tt_error *error)
{
    char *parent = folder(error), *path = NULL;
    if (!parent)
        return NULL;
    char *key = key_of(context, graph, tokens, count);
    path = tt_format("%s/%s", parent, key);
    bool there = access(path, R_OK) == 0;
    if (!there && make(graph, tokens, count, path, error)) {
        free(path);
        path = NULL;
    } else {
        tt_note(context, "reference %s %s", there ? "as kept in" : "made and kept in", path);
    }
    free(key);
    free(parent);
    return path;
}
