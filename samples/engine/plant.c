/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding the fault and the place to plant it; listing the table.
 */
#include <stdio.h>
#include <string.h>

#include "faults.h"
#include "parts.h"

static const struct {
    unsigned need;
    const char *words;
} need_words[] = {
    {NEED_SCALED_EMBEDDING, "gemma"},
    {NEED_NORM_OFFSET, "gemma-hf"},
    {NEED_GROUPED_HEADS, "grouped-heads"},
    {NEED_SQUARE_WEIGHT, "square-weight"},
    {NEED_BIAS, "bias"},
    {NEED_TWO_LAYERS, "two-layers"},
};
static const size_t nneeds = sizeof(need_words) / sizeof(need_words[0]);

static const struct fault *find_fault(const char *name)
{
    for (size_t i = 0; i < nfaults; i++)
        if (!strcmp(faults[i].name, name))
            return &faults[i];
    return NULL;
}

static const struct part *find_part(const struct part *parts, size_t count, const char *component)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(parts[i].component, component))
            return &parts[i];
    return NULL;
}

static void aim_at_part(struct fault_target *target, const struct part *part, char *base, char *other)
{
    if (part->kind == PART_NORM)
        target->norm = (struct norm *)(base + part->offset);
    if (part->kind == PART_LINEAR) {
        target->linear = (struct linear *)(base + part->offset);
        target->other_linear = (struct linear *)(other + part->offset);
    }
}

/* Components without weights of their own leave norm, linear and residual NULL. */
static struct fault_target aim(struct model *model, int layer, const char *component)
{
    int other = layer ? layer - 1 : model->config.layers > 1 ? 1 : 0;
    struct fault_target target = {
        .model = model, .layer = &model->layers[layer], .other_layer = &model->layers[other]};
    const struct part *inner = find_part(layer_parts, nlayer_parts, component);
    const struct part *end = find_part(end_parts, nend_parts, component);

    if (inner)
        aim_at_part(&target, inner, (char *)target.layer, (char *)target.other_layer);
    else if (end)
        aim_at_part(&target, end, (char *)model, (char *)model);
    else if (!strcmp(component, "attn_residual"))
        target.residual = &target.layer->attn_residual;
    else if (!strcmp(component, "ffn_residual"))
        target.residual = &target.layer->ffn_residual;
    return target;
}

static unsigned met_needs(const struct fault_target *target)
{
    const struct config *config = &target->model->config;
    const struct linear *linear = target->linear;
    unsigned met = 0;

    if (target->model->embed.scale != 1.0f)
        met |= NEED_SCALED_EMBEDDING;
    if (target->model->final_norm.offset != 0)
        met |= NEED_NORM_OFFSET;
    if (config->kv_heads > 1 && config->kv_heads < config->heads)
        met |= NEED_GROUPED_HEADS;
    if (linear && linear->inputs == linear->outputs)
        met |= NEED_SQUARE_WEIGHT;
    if (linear && linear->bias)
        met |= NEED_BIAS;
    if (config->layers > 1)
        met |= NEED_TWO_LAYERS;
    return met;
}

/* A fault of norms is planted into norms only, and so on. */
static bool same_kind(const struct fault_target *one, const struct fault_target *other)
{
    return !one->norm == !other->norm && !one->linear == !other->linear && !one->residual == !other->residual;
}

static int plant_at(struct model *model, const struct fault *fault, int layer, const char *component,
                    struct problem *problem)
{
    struct fault_target usual = aim(model, layer, fault->component);
    struct fault_target target = aim(model, layer, component);
    unsigned missing = fault->needs & ~met_needs(&target);
    bool kept = !strcmp(component, fault->component);

    if (!kept && (!same_kind(&usual, &target) || !(usual.norm || usual.linear || usual.residual)))
        return fail(problem, "--fault-component %.60s: %s cannot hit it", component, fault->name);
    for (size_t i = 0; i < nneeds; i++)
        if (missing & need_words[i].need)
            return fail(problem, "--fault %s at %s needs a model of kind %s", fault->name, component,
                        need_words[i].words);
    if (target.linear && target.linear == target.other_linear && (fault->needs & NEED_TWO_LAYERS))
        return fail(problem, "--fault %s: %s exists only once", fault->name, component);
    if (fault->plant(&target) < 0)
        return fail(problem, "--fault %s: out of memory", fault->name);
    return 0;
}

int fault_plant(struct model *model, const char *name, int layer, const char *component,
                struct problem *problem)
{
    const struct fault *fault = find_fault(name);
    int layers = model->config.layers;

    if (!fault)
        return fail(problem, "--fault %.60s: no such fault, see --list-faults", name);
    if (layer >= layers)
        return fail(problem, "--fault-layer %d: the model has %d layers", layer, layers);
    if (!component)
        component = fault->component;
    if (layer == FAULT_DEFAULT_LAYER)
        layer = fault->layer < layers ? fault->layer : layers - 1;
    if (find_part(end_parts, nend_parts, component) || !strcmp(component, "logits"))
        layer = 0; /* exists once, whatever the layer */
    int first = layer == FAULT_ALL_LAYERS ? 0 : layer;
    int last = layer == FAULT_ALL_LAYERS ? layers - 1 : layer;
    for (int l = first; l <= last; l++)
        if (plant_at(model, fault, l, component, problem) < 0)
            return -1;
    return 0;
}

static void list_needs(unsigned needs)
{
    const char *separator = "";

    if (!needs)
        printf("any");
    for (size_t i = 0; i < nneeds; i++) {
        if (!(needs & need_words[i].need))
            continue;
        printf("%s%s", separator, need_words[i].words);
        separator = ",";
    }
}

void fault_list(void)
{
    for (size_t i = 0; i < nfaults; i++) {
        printf("%s\t%s\t%s\t", faults[i].name, faults[i].component, faults[i].cause);
        list_needs(faults[i].needs);
        printf("\t%s\t", faults[i].traffic);
        if (faults[i].layer == FAULT_ALL_LAYERS)
            printf("all");
        else
            printf("%d", faults[i].layer);
        printf("\t%s\n", faults[i].what);
    }
}
