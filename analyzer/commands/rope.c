/* SPDX-License-Identifier: Apache-2.0
 *
 * tensortap rope: frequencies and rotation at a position, of a model or of bare numbers.
 */
#include "commands/rope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "commands/inspection.h"
#include "ops/rope.h"

#define MOST_CHANNELS (1 << 20)

/* ---- numbers ---- */

/* The op itself turns (1, 0) in every pair: the numbers shown are those that the reference computes with. */
static int rotate(struct tt_rope_class *rope, struct tt_op_call *call, struct tt_error *error)
{
    int64_t shape[] = {1, 1, rope->depth};
    struct tt_value x = tt_value_new(3, shape), y = {0};
    for (int64_t i = 0; i < rope->dims / 2; i++)
        x.v[rope->pairs[i].first] = 1;
    call->nin = 1;
    call->in[0] = &x;
    int failed = tt_op_find("rope")->forward(call, &y, error);
    for (int64_t i = 0; i < rope->dims / 2 && !failed; i++) {
        rope->pairs[i].cosine = y.v[rope->pairs[i].first];
        rope->pairs[i].sine = y.v[rope->pairs[i].second];
    }
    tt_value_free(&x);
    tt_value_free(&y);
    return failed;
}

static int fill_pairs(struct tt_rope_class *rope, struct tt_op_call *call, int64_t position, struct tt_error *error)
{
    bool interleaved = strcmp(tt_attributes_string(&rope->attributes, "pairing", "half"), "interleaved") == 0;
    double theta = tt_attributes_number(&rope->attributes, "theta", 10000), attention;
    double *frequency = tt_alloc_array((size_t)rope->dims / 2 + 1, sizeof *frequency);
    int failed = tt_rope_frequencies(call, rope->dims, frequency, &attention, error);
    rope->multiplier = attention * tt_attributes_number(&rope->attributes, "magnitude", 1);
    rope->pairs = tt_alloc_array((size_t)rope->dims / 2 + 1, sizeof *rope->pairs);
    for (int64_t i = 0; i < rope->dims / 2 && !failed; i++) {
        struct tt_rope_pair_view *pair = &rope->pairs[i];
        tt_rope_pair(interleaved, rope->dims, i, &pair->first, &pair->second);
        pair->plain = pow(theta, -2.0 * (double)i / (double)rope->dims);
        pair->frequency = frequency[i];
        pair->angle = (double)position * frequency[i];
    }
    free(frequency);
    return failed;
}

int tt_rope_turn(struct tt_rope_class *rope, int64_t position, int64_t length, struct tt_error *error)
{
    int64_t keys[] = {0, length - 1};
    struct tt_pass_inputs pass = {.ntokens = 1, .positions = &position, .nkeys = 2, .key_positions = keys};
    struct tt_op_call call = {.attributes = &rope->attributes, .pass = &pass, .numerics = {0x1p-53, 0x1p-53}};
    for (int w = 0; w < TT_OP_MAX_WEIGHTS; w++)
        call.weight[w] = rope->weight[w].rank ? &rope->weight[w] : NULL;
    rope->dims = (int64_t)tt_attributes_number(&rope->attributes, "dims", (double)rope->depth);
    if (rope->dims <= 0 || rope->dims > rope->depth || rope->dims % 2)
        return tt_fail(error, TT_EINPUT, "%lld of %lld channels of a head cannot turn in pairs: give an even --dim",
                       (long long)rope->dims, (long long)rope->depth);
    int failed = fill_pairs(rope, &call, position, error);
    return failed ? failed : rotate(rope, &call, error);
}

/* ---- classes of a model ---- */

struct classes {
    struct tt_rope_class *items;
    size_t count;
};

static void free_class(struct tt_rope_class *class)
{
    for (int w = 0; w < TT_OP_MAX_WEIGHTS; w++)
        tt_value_free(&class->weight[w]);
    free(class->layers);
    free(class->pairs);
}

static bool same_attribute(const struct tt_attribute_value *a, const struct tt_attribute_value *b)
{
    if (strcmp(a->name, b->name) != 0)
        return false;
    if (strcmp(a->name, "layer") == 0)
        return true;
    return a->string && b->string ? strcmp(a->string, b->string) == 0 : !a->string && !b->string && a->number == b->number;
}

static bool same_value(const struct tt_value *a, const struct tt_value *b)
{
    if (!b || !a->rank)
        return !b && !a->rank;
    return tt_value_count(a) == tt_value_count(b) && memcmp(a->v, b->v, (size_t)tt_value_count(a) * sizeof *a->v) == 0;
}

static bool same_class(const struct tt_rope_class *class, const struct tt_node *node, const struct tt_value *const *weight)
{
    bool same = class->attributes.count == node->attributes.count && class->depth == node->axes[node->rank - 1];
    for (int i = 0; i < node->attributes.count && same; i++)
        same = same_attribute(&class->attributes.items[i], &node->attributes.items[i]);
    for (int w = 0; w < TT_OP_MAX_WEIGHTS && same; w++)
        same = same_value(&class->weight[w], weight[w]);
    return same;
}

static void add_component(struct tt_rope_class *class, const char *component)
{
    for (size_t i = 0; i < class->ncomponents; i++)
        if (strcmp(class->components[i], component) == 0)
            return;
    if (class->ncomponents < sizeof class->components / sizeof *class->components)
        class->components[class->ncomponents++] = component;
}

static void add_layer(struct tt_rope_class *class, int layer)
{
    if (class->nlayers && class->layers[class->nlayers - 1] == layer)
        return;
    class->layers = tt_grow(class->layers, class->nlayers + 1, sizeof *class->layers);
    class->layers[class->nlayers++] = layer;
}

static int add_node(struct tt_graph *graph, const struct tt_node *node, struct classes *classes, struct tt_error *error)
{
    const struct tt_value *weight[TT_OP_MAX_WEIGHTS] = {0};
    size_t i = 0;
    for (int w = 0; w < TT_OP_MAX_WEIGHTS; w++)
        if (node->weight[w] && !(weight[w] = tt_graph_weight(graph, node->weight[w], error)))
            return -1;
    while (i < classes->count && !same_class(&classes->items[i], node, weight))
        i++;
    if (i == classes->count) {
        classes->items = tt_grow(classes->items, classes->count + 1, sizeof *classes->items);
        classes->items[classes->count++] =
            (struct tt_rope_class){.attributes = node->attributes, .depth = node->axes[node->rank - 1]};
        for (int w = 0; w < TT_OP_MAX_WEIGHTS; w++)
            if (weight[w])
                classes->items[i].weight[w] = tt_value_copy(weight[w]);
    }
    add_component(&classes->items[i], node->component);
    add_layer(&classes->items[i], node->layer);
    return 0;
}

static bool is_wanted(int layer, const int *layers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (layers[i] == layer)
            return true;
    return !count;
}

static int collect(struct tt_context *context, struct tt_inspection *in, struct classes *classes)
{
    struct tt_graph *graph = in->analysis.graph;
    const char *text = tt_option_text(context->options, "layer");
    int *layers = NULL, failed = 0;
    size_t count = 0;
    if (text)
        failed = tt_inspection_layers(context, in, text, &layers, &count);
    for (int i = 0; i < tt_graph_nnodes(graph) && !failed; i++) {
        const struct tt_node *node = tt_graph_node(graph, i);
        if (node->op && strcmp(node->op->name, "rope") == 0 && node->rank > 1 && is_wanted(node->layer, layers, count))
            failed = add_node(graph, node, classes, &context->error);
    }
    if (!failed && !classes->count)
        failed = tt_fail(&context->error, TT_EINPUT, "%s has no rotary embedding in %s%s", tt_model_path(in->analysis.model),
                         text ? "layer " : "any layer", text ? text : "");
    free(layers);
    return failed;
}

/* ---- numbers given ---- */

static bool no_name(const void *user, const char *name, struct tt_scalar *out)
{
    return false;
}

struct wanted {
    const char *name;
    bool found;
};

/* The op's defaults may refer to the model; here names alone count. */
static bool any_name(const void *user, const char *name, struct tt_scalar *out)
{
    *out = tt_scalar_number(1);
    return true;
}

static int match_name(void *user, const char *name, const struct tt_scalar *value)
{
    struct wanted *wanted = user;
    wanted->found = wanted->found || strcmp(wanted->name, name) == 0;
    return 0;
}

/* Whether the op has such an attribute: a misspelt one would change nothing. */
static bool is_attribute(const char *name)
{
    const struct tt_scope scope = {.lookup = any_name};
    struct wanted wanted = {.name = name};
    tt_assignments(tt_op_find("rope")->defaults, &scope, match_name, &wanted, NULL);
    return wanted.found;
}

struct setting {
    struct tt_rope_class *class;
    struct tt_error *error;
};

static int set_attribute(void *user, const char *name, const struct tt_scalar *value)
{
    const struct setting *setting = user;
    struct tt_rope_class *class = setting->class;
    if (!is_attribute(name))
        return tt_fail(setting->error, TT_EINPUT,
                       "--set %s: a rotary embedding has no such attribute; docs/architectures.md lists them", name);
    if (class->ngiven == sizeof class->given / sizeof *class->given || strlen(name) >= sizeof class->given->name)
        return -1;
    char *own = class->given[class->ngiven].name, *text = class->given[class->ngiven++].text;
    strcpy(own, name);
    if (!value->is_string)
        return tt_attributes_set_number(&class->attributes, own, value->number);
    snprintf(text, sizeof class->given->text, "%s", value->text);
    return tt_attributes_set_string(&class->attributes, own, text);
}

/* What the options say, on top of the class. */
static int apply_given(struct tt_context *context, struct tt_rope_class *class)
{
    const struct tt_options *given = context->options;
    const struct tt_scope scope = {.lookup = no_name};
    const char *pairing = tt_option_text(given, "pairing"), *set = tt_option_text(given, "set");
    if (tt_option_flag(given, "dim")) {
        int64_t dim = tt_option_integer(given, "dim", 0);
        class->depth = dim > class->depth ? dim : class->depth; /* another head size than the model's: shown as given */
        tt_attributes_set_number(&class->attributes, "dims", (double)dim);
    }
    if (tt_option_flag(given, "theta"))
        tt_attributes_set_number(&class->attributes, "theta", tt_option_number(given, "theta", 0));
    if (pairing)
        tt_attributes_set_string(&class->attributes, "pairing", pairing);
    context->error.message[0] = 0;
    if (!set || !tt_assignments(set, &scope, set_attribute, &(struct setting){class, &context->error}, &context->error))
        return 0;
    return context->error.message[0] ? -1 : tt_fail(&context->error, TT_EINPUT, "--set '%s': too many or too long names", set);
}

static bool agrees(const struct tt_context *context, const struct tt_rope_class *class)
{
    const struct tt_options *given = context->options;
    const char *pairing = tt_option_text(given, "pairing"), *own = tt_attributes_string(&class->attributes, "pairing", "half");
    int64_t dim = tt_option_integer(given, "dim", 0), dims = (int64_t)tt_attributes_number(&class->attributes, "dims",
                                                                                         (double)class->depth);
    double theta = tt_attributes_number(&class->attributes, "theta", 10000);
    return (!dim || dim == dims || dim == class->depth) && (!pairing || strcmp(pairing, own) == 0) &&
           fabs(tt_option_number(given, "theta", theta) - theta) <= 1e-6 * theta;
}

/* Given numbers pick the classes that have them. *difference: none has. */
static void check_given(const struct tt_context *context, struct classes *classes, char **difference)
{
    size_t kept = 0;
    for (size_t i = 0; i < classes->count; i++)
        kept += agrees(context, &classes->items[i]);
    if (kept) {
        size_t to = 0;
        for (size_t i = 0; i < classes->count; i++) {
            if (agrees(context, &classes->items[i]))
                classes->items[to++] = classes->items[i];
            else
                free_class(&classes->items[i]);
        }
        classes->count = to;
        return;
    }
    const struct tt_rope_class *class = &classes->items[0];
    *difference = tt_format("the model has theta %g, %g of %lld channels, pairing %s",
                            tt_attributes_number(&class->attributes, "theta", 10000),
                            tt_attributes_number(&class->attributes, "dims", (double)class->depth), (long long)class->depth,
                            tt_attributes_string(&class->attributes, "pairing", "half"));
}

static int bare_class(struct tt_context *context, struct classes *classes)
{
    int64_t dim = tt_option_integer(context->options, "dim", 0);
    if (!tt_option_flag(context->options, "dim") || !tt_option_flag(context->options, "theta"))
        return tt_fail(&context->error, TT_EINPUT, "give a model, or --dim 128 --theta 10000");
    classes->items = tt_alloc(sizeof *classes->items);
    classes->items[0].depth = dim;
    classes->count = 1;
    return 0;
}

/* ---- the command ---- */

static int check_numbers(struct tt_context *context, int64_t *position, int64_t *length)
{
    *position = tt_option_integer(context->options, "pos", 1);
    *length = tt_option_integer(context->options, "length", *position + 1);
    if (*position < 0 || *position > INT32_MAX)
        return tt_fail(&context->error, TT_EINPUT, "--pos %lld: expected a position from 0 to %d", (long long)*position,
                       INT32_MAX);
    int64_t dim = tt_option_integer(context->options, "dim", 2);
    if (dim <= 0 || dim % 2 || dim > MOST_CHANNELS)
        return tt_fail(&context->error, TT_EINPUT, "--dim %lld: expected an even number of channels from 2 to %d",
                       (long long)dim, MOST_CHANNELS);
    if (*length <= *position)
        return tt_fail(&context->error, TT_EINPUT, "--length %lld: a sequence with position %lld is longer",
                       (long long)*length, (long long)*position);
    if (!(tt_option_number(context->options, "theta", 1) > 0))
        return tt_fail(&context->error, TT_EINPUT, "--theta %g: expected a positive number",
                       tt_option_number(context->options, "theta", 1));
    return 0;
}

static int find_classes(struct tt_context *context, struct tt_inspection *in, struct classes *classes,
                        struct tt_rope_report *report)
{
    bool given = tt_option_flag(context->options, "dim") || tt_option_flag(context->options, "theta") ||
                 tt_option_flag(context->options, "pairing");
    if (!context->nargs)
        return bare_class(context, classes);
    if (tt_inspection_open(context, "rope", in) || collect(context, in, classes))
        return -1;
    report->model = tt_model_path(in->analysis.model);
    if (given)
        check_given(context, classes, &report->difference);
    return 0;
}

static int run_rope(struct tt_context *context)
{
    struct tt_inspection in = {0};
    struct classes classes = {0};
    struct tt_rope_report report = {0};
    int status = check_numbers(context, &report.position, &report.length);
    if (!status)
        status = find_classes(context, &in, &classes, &report);
    for (size_t i = 0; i < classes.count && !status; i++) {
        if (report.difference || !report.model || tt_option_flag(context->options, "set"))
            status = apply_given(context, &classes.items[i]);
        if (!status)
            status = tt_rope_turn(&classes.items[i], report.position, report.length, &context->error);
    }
    report.classes = classes.items;
    report.nclasses = classes.count;
    if (!status)
        status = tt_rope_print(context, &report);
    for (size_t i = 0; i < classes.count; i++)
        free_class(&classes.items[i]);
    free(classes.items);
    free(report.difference);
    tt_inspection_close(&in);
    return status;
}

static const struct tt_option options[] = {
    {"pos", 0, TT_OPTION_INTEGER, "P", "position at which to turn (1)", NULL, NULL},
    {"layer", 'l', TT_OPTION_TEXT, "LIST", "these layers alone, as 0,5 or -1", NULL, NULL},
    {"dim", 0, TT_OPTION_INTEGER, "D", "channels that turn; with a model: checked against it", NULL, NULL},
    {"theta", 0, TT_OPTION_NUMBER, "T", "base of the frequencies; with a model: checked against it", NULL, NULL},
    {"pairing", 0, TT_OPTION_TEXT, "P", "half (i with i + D/2) or interleaved (2i with 2i + 1)", "half|interleaved", NULL},
    {"set", 0, TT_OPTION_TEXT, "WHAT", "other attributes, as in \"scaling='yarn', factor=4\"", NULL, NULL},
    {"length", 0, TT_OPTION_INTEGER, "N", "length of the sequence, for scalings that depend on it (P + 1)", NULL, NULL},
    {"all", 'a', TT_OPTION_FLAG, NULL, "every pair, not the first and last alone", NULL, NULL},
    {0},
};

const struct tt_command tt_command_rope = {
    .name = "rope",
    .summary = "rotary frequencies of a model and the rotation at a position",
    .usage = "[MODEL] --pos P [--dim D --theta T]",
    .description = "Frequencies, wavelengths, cosines and sines as the reference engine uses them, for each class of layers "
                   "that turn alike, with the long-context scaling explained. Without a model for --dim and --theta.\n\n"
                   "Exit status: 0; 1 when --dim, --theta or --pairing are not the model's; 2 bad input.",
    .options = options,
    .min_args = 0,
    .max_args = 1,
    .related_keys = TT_CHECK_KEYS,
    .run = run_rope,
};
