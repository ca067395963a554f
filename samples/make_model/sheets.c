/* SPDX-License-Identifier: Apache-2.0
 *
 * Which tensors a model has, and their values.
 *
 * Scale as in trained models: linear weights of about 1/√inputs with a different gain per tensor, norm
 * weights around one with spread, and one massive channel: a hidden channel that embedding and down_proj
 * drive to tens of times the others, and that norms damp. Queries and keys are large enough that attention
 * is far from uniform and depends on position.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "maker.h"

#define MASSIVE_EMBEDDING 40.0f
#define MASSIVE_DOWN_PROJ 30.0f
#define MASSIVE_NORM      0.06f

struct randomness {
    uint64_t state;
};

static uint64_t next_bits(struct randomness *randomness) /* splitmix64 */
{
    uint64_t z = randomness->state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double next_uniform(struct randomness *randomness) /* in (0, 1) */
{
    return ((double)(next_bits(randomness) >> 11) + 0.5) / 9007199254740992.0;
}

static double next_normal(struct randomness *randomness) /* Box and Muller */
{
    double radius = sqrt(-2 * log(next_uniform(randomness)));

    return radius * cos(6.283185307179586 * next_uniform(randomness));
}

static int massive_channel(const struct recipe *recipe)
{
    struct randomness randomness = {recipe->seed ^ 0x6d617373u};

    return next_bits(&randomness) % recipe->config.hidden;
}

/* Standard deviation over 1/√inputs. */
static double gain_of(const char *component)
{
    static const struct {
        const char *component;
        double gain;
    } gains[] = {
        {"attn.q_proj", 2.6},   {"attn.k_proj", 2.6}, {"attn.v_proj", 2.0},   {"attn.o_proj", 0.9},
        {"ffn.gate_proj", 3.0}, {"ffn.up_proj", 2.0}, {"ffn.down_proj", 0.7}, {"lm_head", 2.5},
    };

    for (size_t i = 0; i < sizeof(gains) / sizeof(gains[0]); i++)
        if (!strcmp(gains[i].component, component))
            return gains[i].gain;
    return 1.0;
}

static void fill_embedding(const struct recipe *recipe, const struct sheet *sheet,
                           struct randomness *randomness, float *values)
{
    bool gemma = !strcmp(recipe->config.family, "gemma"); /* its embeddings are multiplied by √hidden */
    double deviation = gemma ? 0.5 / sqrt(sheet->columns) : 0.5;
    int massive = massive_channel(recipe);

    for (int r = 0; r < sheet->rows; r++) {
        float *row = values + (size_t)r * sheet->columns;

        for (int c = 0; c < sheet->columns; c++)
            row[c] = deviation * next_normal(randomness);
        row[massive] = MASSIVE_EMBEDDING * deviation * (1 + 0.15 * next_normal(randomness));
    }
}

static void fill_norm(const struct recipe *recipe, const struct sheet *sheet, struct randomness *randomness,
                      float *values)
{
    double centre = 0.8 + 0.6 * next_uniform(randomness);
    float folded = strcmp(recipe->config.family, "gemma") ? 0.0f : 1.0f; /* gemma stores w, uses 1 + w */

    for (int c = 0; c < sheet->columns; c++)
        values[c] = centre * (1 + 0.2 * next_normal(randomness)) - folded;
    values[massive_channel(recipe)] = MASSIVE_NORM - folded;
}

static void fill_linear(const struct recipe *recipe, const struct sheet *sheet, struct randomness *randomness,
                        float *values)
{
    double deviation = gain_of(sheet->part->component) / sqrt(sheet->columns);
    size_t count = (size_t)sheet->rows * sheet->columns;
    int massive = massive_channel(recipe);

    deviation *= 0.8 + 0.4 * next_uniform(randomness);
    for (size_t i = 0; i < count; i++)
        values[i] = deviation * next_normal(randomness);
    if (!strcmp(sheet->part->component, "ffn.down_proj"))
        for (int c = 0; c < sheet->columns; c++)
            values[(size_t)massive * sheet->columns + c] *= MASSIVE_DOWN_PROJ;
}

static void fill_bias(const struct sheet *sheet, struct randomness *randomness, float *values)
{
    for (int c = 0; c < sheet->columns; c++)
        values[c] = 0.6 * next_normal(randomness);
}

void fill_sheet(const struct recipe *recipe, const struct sheet *sheet, float *values)
{
    uint64_t place = ((uint64_t)(sheet->layer + 1) << 32) + (sheet->bias ? 1u << 16 : 0);
    struct randomness randomness;

    place +=
        sheet->layer < 0 ? (uint64_t)(sheet->part - end_parts) : (uint64_t)(sheet->part - layer_parts) + 64;
    randomness.state = recipe->seed * 0x2545f4914f6cdd1du + place * 0xd6e8feb86659fd93u;
    next_bits(&randomness);

    if (sheet->bias)
        fill_bias(sheet, &randomness, values);
    else if (sheet->part->kind == PART_EMBEDDING)
        fill_embedding(recipe, sheet, &randomness, values);
    else if (sheet->part->kind == PART_NORM)
        fill_norm(recipe, sheet, &randomness, values);
    else
        fill_linear(recipe, sheet, &randomness, values);
    round_values(values, (size_t)sheet->rows * sheet->columns, recipe->type);
}

/* transformers' attention_bias covers all four projections of attention and nothing else; qwen2 has three. */
static bool has_bias(const struct recipe *recipe, const struct part *part)
{
    if (!strcmp(recipe->config.family, "qwen2"))
        return !strcmp(part->component, "attn.q_proj") || !strcmp(part->component, "attn.k_proj") ||
               !strcmp(part->component, "attn.v_proj");
    return recipe->bias && part->kind == PART_LINEAR && !strncmp(part->component, "attn.", 5);
}

static void add_part(const struct recipe *recipe, struct sheet *sheets, size_t *count,
                     const struct part *part, int layer)
{
    int outputs = dimension_size(&recipe->config, part->outputs);
    int inputs = dimension_size(&recipe->config, part->inputs);

    sheets[(*count)++] = (struct sheet){part, layer, false, part->kind == PART_NORM ? 1 : outputs, inputs};
    if (has_bias(recipe, part))
        sheets[(*count)++] = (struct sheet){part, layer, true, 1, outputs};
}

struct sheet *list_sheets(const struct recipe *recipe, size_t *count)
{
    size_t most = nend_parts + 2 * nlayer_parts * recipe->config.layers;
    struct sheet *sheets = calloc(most, sizeof(*sheets));

    *count = 0;
    if (!sheets)
        return NULL;
    for (size_t i = 0; i < nend_parts; i++)
        if (!recipe->tied || strcmp(end_parts[i].component, "lm_head"))
            add_part(recipe, sheets, count, &end_parts[i], -1);
    for (int l = 0; l < recipe->config.layers; l++)
        for (size_t i = 0; i < nlayer_parts; i++)
            add_part(recipe, sheets, count, &layer_parts[i], l);
    return sheets;
}
