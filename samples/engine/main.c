/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap-engine: token ids in, greedily chosen token ids out.
 *
 * Standard output holds the generated ids and nothing that depends on time, threads or addresses.
 */
#include <cblas.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "forward.h"
#include "kernels.h"
#include "model.h"
#include "npy.h"

#ifdef TENSORTAP_ENGINE_OWN_ATTENTION
#define OWN_ATTENTION true
#else
#define OWN_ATTENTION false
#endif

static const char usage[] =
    "usage: tensortap-engine -m MODEL -t ID,ID,… [options]\n"
    "  -m MODEL                 a .gguf file, or a folder with config.json and model.safetensors\n"
    "  -t ID,ID,…               token ids of the prompt\n"
    "  -n N                     tokens to generate (default 4)\n"
    "  --chunk C                most prompt tokens in one pass (default 512)\n"
    "  --dtype f32|bf16         how activations and weights are stored (default f32)\n"
    "  --attention blas|own     who multiplies in attention\n"
    "  --all-logits             compute the logits of every token, not only of the last\n"
    "  --logits FILE.npy        write every row of logits that was computed\n"
    "  --threads N              threads of the BLAS library (default 1)\n"
    "  --fault NAME             plant a fault (see --list-faults)\n"
    "  --fault-layer L          in layer L, or in all layers for L = -1\n"
    "  --fault-component NAME   in this norm, linear layer or residual\n"
    "  --list-faults            name, component, cause, model and traffic required, layer, what it does\n";

struct options {
    const char *model, *tokens, *logits, *fault, *fault_component;
    int generate, chunk, threads, fault_layer;
    bool bf16, own_attention, all_logits, list_faults, help;
};

struct generation {
    struct engine engine;
    int *tokens; /* prompt, then what was generated */
    int prompt, generate;
    FILE *logits;
    long logits_rows;
};

static int parse_int(const char *text, int least, int *out)
{
    char *end;

    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end || errno || value < least || value > INT_MAX / 2)
        return -1;
    *out = value;
    return 0;
}

static int parse_choice(const char *text, const char *off, const char *on, bool *out)
{
    *out = !strcmp(text, on);
    return *out || !strcmp(text, off) ? 0 : -1;
}

/* One option; −1: its value makes no sense. */
static int take_option(struct options *options, int option, const char *value)
{
    switch (option) {
    case 'm':
        options->model = value;
        return 0;
    case 't':
        options->tokens = value;
        return 0;
    case 'n':
        return parse_int(value, 0, &options->generate);
    case 'c':
        return parse_int(value, 1, &options->chunk);
    case 'd':
        return parse_choice(value, "f32", "bf16", &options->bf16);
    case 'a':
        return parse_choice(value, "blas", "own", &options->own_attention);
    case 'A':
        options->all_logits = true;
        return 0;
    case 'o':
        options->logits = value;
        return 0;
    case 'T':
        return parse_int(value, 1, &options->threads);
    case 'f':
        options->fault = value;
        return 0;
    case 'l':
        return parse_int(value, FAULT_ALL_LAYERS, &options->fault_layer);
    case 'C':
        options->fault_component = value;
        return 0;
    case 'L':
        options->list_faults = true;
        return 0;
    }
    options->help = true;
    return option == 'h' ? 0 : -1;
}

static int parse_options(struct options *options, int argc, char **argv, struct problem *problem)
{
    static const struct option names[] = {
        {"model", required_argument, NULL, 'm'},
        {"tokens", required_argument, NULL, 't'},
        {"chunk", required_argument, NULL, 'c'},
        {"dtype", required_argument, NULL, 'd'},
        {"attention", required_argument, NULL, 'a'},
        {"all-logits", no_argument, NULL, 'A'},
        {"logits", required_argument, NULL, 'o'},
        {"threads", required_argument, NULL, 'T'},
        {"fault", required_argument, NULL, 'f'},
        {"fault-layer", required_argument, NULL, 'l'},
        {"fault-component", required_argument, NULL, 'C'},
        {"list-faults", no_argument, NULL, 'L'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    *options = (struct options){
        .generate = 4,
        .chunk = 512,
        .threads = 1,
        .fault_layer = FAULT_DEFAULT_LAYER,
        .own_attention = OWN_ATTENTION,
    };
    opterr = 0;
    while ((option = getopt_long(argc, argv, "m:t:n:h", names, NULL)) != -1) {
        if (take_option(options, option, optarg) == 0)
            continue;
        if (option == '?')
            return fail(problem, "%s: unknown option or missing value, see --help", argv[optind - 1]);
        return fail(problem, "%s: value out of range, see --help", argv[optind - 1]);
    }
    if (optind < argc)
        return fail(problem, "%s: unexpected argument, see --help", argv[optind]);
    if (!options->help && !options->list_faults && (!options->model || !options->tokens))
        return fail(problem, "-m MODEL and -t ID,ID,… are needed, see --help");
    return 0;
}

/* Ids to generation->tokens, with room for what will be generated. */
static int parse_tokens(struct generation *generation, const char *text, int vocab, struct problem *problem)
{
    size_t capacity = strlen(text) / 2 + 1 + generation->generate;
    const char *at = text;

    generation->tokens = calloc(capacity, sizeof(int));
    if (!generation->tokens)
        return fail(problem, "out of memory");
    for (;;) {
        char *end;
        long id = strtol(at, &end, 10);

        if (end == at || (*end && *end != ','))
            return fail(problem, "-t %.40s: not a comma separated list of token ids", at);
        if (id < 0 || id >= vocab)
            return fail(problem, "-t: token id %ld is outside the vocabulary of %d", id, vocab);
        generation->tokens[generation->prompt++] = id;
        if (!*end)
            return 0;
        at = end + 1;
    }
}

/* One pass; its logits go to the file. */
static int run_pass(struct generation *generation, const struct pass *pass, struct problem *problem)
{
    struct engine *engine = &generation->engine;
    int rows = engine_forward(engine, pass);
    size_t vocab = engine->model->config.vocab;

    generation->logits_rows += rows;
    if (generation->logits &&
        fwrite(engine->logits, sizeof(float) * vocab, rows, generation->logits) != (size_t)rows)
        return fail(problem, "--logits: %s", strerror(errno));
    if (pass->wants_logits && pass->first_position + pass->count < generation->prompt + generation->generate)
        generation->tokens[pass->first_position + pass->count] =
            largest_index(engine->logits + (rows - 1) * vocab, vocab);
    return 0;
}

static int generate(struct generation *generation, const struct options *options, struct problem *problem)
{
    struct pass pass = {.prompt_tokens = generation->prompt, .all_logits = options->all_logits};

    for (int at = 0; at < generation->prompt; at += pass.count) {
        int left = generation->prompt - at;

        pass.tokens = generation->tokens + at;
        pass.first_position = at;
        pass.count = left < options->chunk ? left : options->chunk;
        pass.wants_logits = pass.count == left;
        if (run_pass(generation, &pass, problem) < 0)
            return -1;
    }
    pass.decoding = true;
    pass.count = 1;
    for (int i = 0; i + 1 < generation->generate; i++) {
        pass.first_position = generation->prompt + i;
        pass.tokens = generation->tokens + pass.first_position;
        if (run_pass(generation, &pass, problem) < 0)
            return -1;
    }
    return 0;
}

static int close_logits(struct generation *generation, long vocab, struct problem *problem)
{
    FILE *file = generation->logits;
    int failed;

    if (!file)
        return 0;
    failed = fseek(file, 0, SEEK_SET) < 0 || npy_header(file, generation->logits_rows, vocab) < 0;
    failed |= fclose(file) != 0;
    return failed ? fail(problem, "--logits: %s", strerror(errno)) : 0;
}

static void print_tokens(const struct generation *generation)
{
    for (int i = 0; i < generation->generate; i++)
        printf("%s%d", i ? " " : "", generation->tokens[generation->prompt + i]);
    printf("\n");
}

static int run(const struct options *options, struct model *model, struct generation *generation,
               struct problem *problem)
{
    int chunk, positions;

    if (model_load(model, options->model, options->bf16, problem) < 0)
        return -1;
    if (options->fault &&
        fault_plant(model, options->fault, options->fault_layer, options->fault_component, problem) < 0)
        return -1;
    generation->generate = options->generate;
    if (parse_tokens(generation, options->tokens, model->config.vocab, problem) < 0)
        return -1;
    chunk = options->chunk < generation->prompt ? options->chunk : generation->prompt;
    positions = generation->prompt + generation->generate;
    if (engine_init(&generation->engine, model, chunk, positions) < 0)
        return fail(problem, "out of memory for %d positions", positions);
    generation->engine.own_attention = options->own_attention;
    generation->engine.round_bf16 = options->bf16;
    if (options->logits) {
        generation->logits = fopen(options->logits, "wb");
        if (!generation->logits || npy_header(generation->logits, 0, model->config.vocab) < 0)
            return fail(problem, "%s: %s", options->logits, strerror(errno));
    }
    openblas_set_num_threads(options->threads);
    if (generate(generation, options, problem) < 0)
        return -1;
    return close_logits(generation, model->config.vocab, problem);
}

int main(int argc, char **argv)
{
    struct generation generation = {0};
    struct model model = {0};
    struct options options;
    struct problem problem = {""};
    int status = 2;

    if (parse_options(&options, argc, argv, &problem) < 0)
        goto out;
    status = 0;
    if (options.help)
        fputs(usage, stdout);
    else if (options.list_faults)
        fault_list();
    else if (run(&options, &model, &generation, &problem) < 0)
        status = 2;
    else
        print_tokens(&generation);
    if (status == 0 && fflush(stdout) != 0)
        status = 2, fail(&problem, "standard output: %s", strerror(errno));
out:
    if (status)
        fprintf(stderr, "tensortap-engine: %s\n", problem.text);
    engine_free(&generation.engine);
    free(generation.tokens);
    model_unload(&model);
    return status;
}
