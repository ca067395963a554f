/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap-make-model: writes a tiny random model, reproducible from its seed.
 */
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "maker.h"

static const char usage[] =
    "usage: tensortap-make-model -o OUT [options]\n"
    "  -o OUT                 OUT.gguf, or a folder for config.json and model.safetensors\n"
    "  --arch llama|gemma|qwen2 (default llama)\n"
    "  --hidden N             hidden size (192)\n"
    "  --layers N             (3)\n"
    "  --heads N              query heads (6)\n"
    "  --kv-heads N           key and value heads (2)\n"
    "  --head-dim N           (32)\n"
    "  --ffn N                (352)\n"
    "  --vocab N              (331)\n"
    "  --bias                 biases on the four projections of attention (qwen2: always, on q, k and v)\n"
    "  --tied                 the head is the embedding (always so with gemma)\n"
    "  --dtype f32|f16|bf16   (f32)\n"
    "  --theta X              base of the rotation angles (10000)\n"
    "  --eps X                epsilon of the norms (1e-5; gemma 1e-6)\n"
    "  --seed N               (7)\n"
    "  --context N            positions that the model claims to know (8192)\n";

static int parse_int(const char *text, int *out)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (end == text || *end || value < 1 || value > 1 << 24)
        return -1;
    *out = value;
    return 0;
}

static int parse_float(const char *text, float *out)
{
    char *end;
    float value = strtof(text, &end);

    if (end == text || *end || !(value > 0) || !isfinite(value))
        return -1;
    *out = value;
    return 0;
}

static int parse_seed(const char *text, uint64_t *out)
{
    char *end;

    *out = strtoull(text, &end, 10);
    return end == text || *end ? -1 : 0;
}

static int parse_type(const char *text, enum number_type *out)
{
    static const char *const names[] = {[TYPE_F32] = "f32", [TYPE_F16] = "f16", [TYPE_BF16] = "bf16"};

    for (int i = 0; i < 3; i++) {
        if (!strcmp(text, names[i])) {
            *out = i;
            return 0;
        }
    }
    return -1;
}

static int parse_family(const char *text, struct recipe *recipe)
{
    if (strcmp(text, "llama") && strcmp(text, "gemma") && strcmp(text, "qwen2"))
        return -1;
    snprintf(recipe->config.family, sizeof(recipe->config.family), "%s", text);
    return 0;
}

enum { SEED = 256, CONTEXT, HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD_DIM, FFN, VOCAB, THETA, EPS };

static int take_option(struct recipe *recipe, int option, const char *value)
{
    struct config *config = &recipe->config;
    int *sizes[] = {&recipe->context,  &config->hidden,   &config->layers, &config->heads,
                    &config->kv_heads, &config->head_dim, &config->ffn,    &config->vocab};

    if (option >= CONTEXT && option <= VOCAB)
        return parse_int(value, sizes[option - CONTEXT]);
    switch (option) {
    case 'o':
        recipe->out = value;
        return 0;
    case 'b':
        recipe->bias = true;
        return 0;
    case 't':
        recipe->tied = true;
        return 0;
    case 'a':
        return parse_family(value, recipe);
    case 'd':
        return parse_type(value, &recipe->type);
    case SEED:
        return parse_seed(value, &recipe->seed);
    case THETA:
        return parse_float(value, &config->theta);
    case EPS:
        return parse_float(value, &config->eps);
    }
    return -1;
}

static int parse_options(struct recipe *recipe, int argc, char **argv, struct problem *problem)
{
    static const struct option names[] = {
        {"output", required_argument, NULL, 'o'},
        {"arch", required_argument, NULL, 'a'},
        {"dtype", required_argument, NULL, 'd'},
        {"bias", no_argument, NULL, 'b'},
        {"tied", no_argument, NULL, 't'},
        {"hidden", required_argument, NULL, HIDDEN},
        {"layers", required_argument, NULL, LAYERS},
        {"heads", required_argument, NULL, HEADS},
        {"kv-heads", required_argument, NULL, KV_HEADS},
        {"head-dim", required_argument, NULL, HEAD_DIM},
        {"ffn", required_argument, NULL, FFN},
        {"vocab", required_argument, NULL, VOCAB},
        {"theta", required_argument, NULL, THETA},
        {"eps", required_argument, NULL, EPS},
        {"seed", required_argument, NULL, SEED},
        {"context", required_argument, NULL, CONTEXT},
        {NULL, 0, NULL, 0},
    };
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "o:", names, NULL)) != -1)
        if (take_option(recipe, option, optarg) < 0)
            return fail(problem, "%s: unknown option or bad value, see --help", argv[optind - 1]);
    if (optind < argc || !recipe->out)
        return fail(problem, "-o OUT is needed and nothing else beside options, see --help");
    return 0;
}

static int finish_recipe(struct recipe *recipe, struct problem *problem)
{
    struct config *config = &recipe->config;
    bool gemma = !strcmp(config->family, "gemma");

    if (gemma)
        recipe->tied = true;
    if (!(config->eps > 0))
        config->eps = gemma ? 1e-6f : 1e-5f;
    if (config->heads % config->kv_heads || config->head_dim % 2 || config->hidden % config->heads)
        return fail(problem, "%d heads, %d key/value heads of size %d and hidden size %d do not fit together",
                    config->heads, config->kv_heads, config->head_dim, config->hidden);
    return 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);

    return length >= strlen(end) && !strcmp(text + length - strlen(end), end);
}

int main(int argc, char **argv)
{
    struct problem problem = {""};
    struct recipe recipe = {
        .config = {.family = "llama",
                   .layers = 3,
                   .hidden = 192,
                   .heads = 6,
                   .kv_heads = 2,
                   .head_dim = 32,
                   .ffn = 352,
                   .vocab = 331,
                   .theta = 10000},
        .context = 8192,
        .seed = 7,
    };
    int result = -1;

    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
        return fputs(usage, stdout) < 0;
    if (parse_options(&recipe, argc, argv, &problem) == 0 && finish_recipe(&recipe, &problem) == 0)
        result =
            ends_with(recipe.out, ".gguf") ? write_gguf(&recipe, &problem) : write_folder(&recipe, &problem);
    if (result < 0)
        fprintf(stderr, "tensortap-make-model: %s\n", problem.text);
    return result < 0 ? 2 : 0;
}
