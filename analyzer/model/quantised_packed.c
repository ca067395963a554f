/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: integer codes of 2 to 8 bits packed into 32-bit words, with a scale and a zero point per group of inputs:
 * weight[out, in] = scale[group, out] * (code[out, in] - zero[group, out]).
 *   GPTQ  X.qweight [in*bits/32, out], codes of one output follow each other as bits of a stream; X.qzeros
 *         [groups, out*bits/32], less one unless checkpoint_format is gptq_v2; X.scales [groups, out]; X.g_idx [in]
 *   AWQ   X.qweight [in, out*bits/32], X.qzeros [groups, out*bits/32]; the eight codes of a word lie in the order
 *         0 2 4 6 1 3 5 7; X.scales [groups, out]
 *   compressed-tensors  X.weight_packed [out, in*bits/32], X.weight_scale [out, groups], X.weight_zero_point
 *         [out*bits/32, groups], X.weight_shape; codes and zero points are offset by half of their range
 * Invariant: shapes were checked against each other; only the group numbers of g_idx are checked when read.
 */
#include "model/quantised.h"

#include "model/forms.h"

/* A matrix of codes: element `n` of line `line` is one of the codes of a stream of words. */
struct packing {
    const uint8_t *words; /* NULL: all codes are 0 */
    uint64_t line_stride; /* words between the starts of two lines */
    uint64_t word_stride; /* words between two words of a line */
    const uint8_t *order; /* [8] place of a code in its word; NULL: in order */
};

struct packed {
    struct tt_row_form rows; /* a row is an output */
    unsigned bits;
    struct packing codes, zeros;
    bool input_lines;                    /* a line of `codes` is an input, not an output */
    struct tt_model_tensor scales;       /* a copy */
    uint64_t scale_group, scale_output;  /* elements from one group, one output to the next */
    uint64_t groups, group_size;         /* of inputs */
    const struct tt_model_tensor *g_idx; /* group of each input; NULL: by group_size */
    double offset;                       /* of a zero point as stored */
    const char *name;                    /* of the weight, for messages */
};

struct group { /* of one output, the last one used */
    uint64_t number;
    double scale, zero;
};

static const uint8_t awq_order[8] = {0, 4, 1, 5, 2, 6, 3, 7};

static unsigned code(const struct packing *packing, unsigned bits, uint64_t line, uint64_t n)
{
    uint64_t slot = packing->order ? n / 8 * 8 + packing->order[n % 8] : n;
    uint64_t bit = slot * bits, word = line * packing->line_stride + bit / 32 * packing->word_stride;
    unsigned shift = bit % 32;
    uint64_t pair = tt_load_u32(packing->words + 4 * word);

    if (shift + bits > 32) /* three bits across two words */
        pair |= (uint64_t)tt_load_u32(packing->words + 4 * (word + packing->word_stride)) << 32;
    return (unsigned)(pair >> shift) & ((1u << bits) - 1);
}

/* A zero point beyond the codes' range starts again at 0, as it does where engines add one in place. */
static void load_group(const struct packed *p, uint64_t number, uint64_t output, struct group *group)
{
    unsigned zero = p->zeros.words ? code(&p->zeros, p->bits, number, output) : 0;

    group->number = number;
    group->scale = tt_element(&p->scales, number * p->scale_group + output * p->scale_output);
    group->zero = p->zeros.words ? (double)((zero + (unsigned)p->offset) & ((1u << p->bits) - 1)) : p->offset;
}

static int group_of(const struct packed *p, uint64_t input, uint64_t *number, struct tt_error *error)
{
    double group = p->g_idx ? tt_element(p->g_idx, input) : 0;

    if (group >= 0)
        *number = p->g_idx ? (uint64_t)group : input / p->group_size;
    if (group < 0 || *number >= p->groups)
        return tt_fail(error, TT_EINPUT, "%s: '%s' puts input %llu into group %.0f of %llu; download it again",
                       p->scales.file, p->name, (unsigned long long)input, group, (unsigned long long)p->groups);
    return 0;
}

static int read_row(const struct tt_row_form *form, uint64_t row, uint64_t first, uint64_t count, double *out,
                    struct tt_error *error)
{
    const struct packed *p = (const struct packed *)form;
    struct group group = {.number = UINT64_MAX};
    uint64_t number = 0;

    for (uint64_t i = 0; i < count; i++) {
        uint64_t input = first + i;
        if (group_of(p, input, &number, error) != 0)
            return -1;
        if (number != group.number)
            load_group(p, number, row, &group);
        unsigned value = p->input_lines ? code(&p->codes, p->bits, input, row) : code(&p->codes, p->bits, row, input);
        out[i] = ((double)value - group.zero) * group.scale;
    }
    return 0;
}

/* ---- set-up ---- */

static bool is_matrix(const struct tt_model_tensor *tensor, enum tt_dtype dtype)
{
    return tensor && tensor->rank == 2 && tt_elements(tensor) > 0 && !tensor->form &&
           (dtype == TT_NONE ? tt_decode_range(tensor->dtype, tensor->data, 0, 0, NULL) == 0 : tensor->dtype == dtype);
}

/* Bits of a code when `count` codes fill `words` words; 0: none of 2 to 8. */
static unsigned bits_of(uint64_t words, uint64_t count)
{
    for (unsigned bits = 2; bits <= 8; bits++)
        if (count <= UINT64_MAX / 8 && (count * bits + 31) / 32 == words && (count * bits) % 32 == 0)
            return bits;
    return 0;
}

static uint64_t configured_group(const struct tt_model *model, uint64_t inputs)
{
    double size;
    if (tt_model_number(model, "quantization_config.group_size", &size) && size >= 1 && size <= (double)inputs)
        return (uint64_t)size;
    return 0;
}

/* Inputs of a group: as configured where that gives as many groups as there are, else all of one size. */
static uint64_t group_size(const struct tt_model *model, uint64_t inputs, uint64_t groups)
{
    uint64_t size = configured_group(model, inputs);

    if (size && (inputs - 1) / size + 1 == groups)
        return size;
    return groups && inputs % groups == 0 ? inputs / groups : 0;
}

static int add(struct tt_model *model, const struct tt_model_tensor *codes, size_t stem, struct packed *p,
               uint64_t outputs, const char *form, struct tt_error *error)
{
    p->group_size = p->g_idx ? 1 : group_size(model, p->rows.columns, p->groups);
    if (p->group_size == 0)
        return tt_quantised_misfit(codes, "its inputs do not split into as many groups as it has scales", error);
    struct tt_model_tensor *weight = tt_computed_add(model, codes, stem, ".weight");
    if (!weight)
        return 0;
    weight->shape[0] = (int64_t)outputs;
    weight->shape[1] = (int64_t)p->rows.columns;
    p->name = weight->name;
    p->rows.form = (struct tt_tensor_form){form, tt_read_rows};
    p->rows.row = read_row;
    weight->form = &p->rows.form;
    return 1;
}

static const char *method(const struct tt_model *model)
{
    const char *text = "";
    tt_model_string(model, "quantization_config.quant_method", &text);
    return text;
}

/* Codes and zero points lie in words along the outputs in both kinds that have `qweight`. */
static struct packing zeros_of(const struct tt_model_tensor *qzeros, const uint8_t *order)
{
    return (struct packing){qzeros->data, tt_axis(qzeros, 1), 1, order};
}

struct parts { /* of X.qweight */
    const struct tt_model_tensor *qweight, *qzeros, *scales, *g_idx;
    size_t stem;
};

static bool find_parts(const struct tt_model *model, size_t index, struct parts *parts)
{
    const struct tt_model_tensor *qweight = &model->tensors.items[index];
    size_t stem = tt_stem(qweight->name, ".qweight");

    *parts = (struct parts){qweight, tt_model_sibling(model, qweight->name, stem, ".qzeros"),
                            tt_model_sibling(model, qweight->name, stem, ".scales"),
                            tt_model_sibling(model, qweight->name, stem, ".g_idx"), stem};
    return is_matrix(qweight, TT_I32) && is_matrix(parts->qzeros, TT_I32) && is_matrix(parts->scales, TT_NONE) &&
           tt_axis(parts->qzeros, 0) == tt_axis(parts->scales, 0);
}

static struct packed *new_packed(struct tt_model *model, const struct tt_model_tensor *scales)
{
    struct packed *p = tt_model_alloc(model, sizeof *p);
    p->scales = *scales;
    p->groups = tt_axis(scales, 0);
    p->scale_group = tt_axis(scales, 1);
    p->scale_output = 1;
    return p;
}

int tt_quantised_awq(struct tt_model *model, size_t index, struct tt_error *error)
{
    struct parts parts;

    if (strcmp(method(model), "gptq") == 0 || !find_parts(model, index, &parts) ||
        tt_axis(parts.qweight, 1) == tt_axis(parts.scales, 1))
        return 0;
    uint64_t outputs = tt_axis(parts.scales, 1);
    if (outputs % 8 != 0 || bits_of(tt_axis(parts.qweight, 1), outputs) != 4 ||
        tt_axis(parts.qzeros, 1) != tt_axis(parts.qweight, 1))
        return tt_quantised_misfit(parts.qweight, "its shape is not that of AWQ's gemm packing with 4 bits", error);
    struct packed *p = new_packed(model, parts.scales);
    p->bits = 4;
    p->rows.columns = tt_axis(parts.qweight, 0);
    p->input_lines = true;
    p->codes = (struct packing){parts.qweight->data, tt_axis(parts.qweight, 1), 1, awq_order};
    p->zeros = zeros_of(parts.qzeros, awq_order);
    return add(model, parts.qweight, parts.stem, p, outputs, "awq", error);
}

/* The group numbers of the inputs, if there are any that can be read. */
static const struct tt_model_tensor *usable_g_idx(const struct tt_model_tensor *g_idx)
{
    bool usable = g_idx && g_idx->rank == 1 && !g_idx->form && tt_elements(g_idx) > 0 &&
                  (g_idx->dtype == TT_I32 || g_idx->dtype == TT_I64);
    return usable ? g_idx : NULL;
}

int tt_quantised_gptq(struct tt_model *model, size_t index, struct tt_error *error)
{
    const char *format = "gptq";
    struct parts parts;

    if (!find_parts(model, index, &parts) || tt_axis(parts.qweight, 1) != tt_axis(parts.scales, 1))
        return tt_quantised_misfit(&model->tensors.items[index],
                                   "no .qzeros and .scales beside it that fit its shape", error);
    uint64_t outputs = tt_axis(parts.scales, 1);
    unsigned bits = bits_of(tt_axis(parts.qzeros, 1), outputs);
    uint64_t inputs = bits ? tt_axis(parts.qweight, 0) * 32 / bits : 0;
    const struct tt_model_tensor *g_idx = usable_g_idx(parts.g_idx);
    if (!bits || inputs * bits != tt_axis(parts.qweight, 0) * 32 || (g_idx && tt_elements(g_idx) != inputs))
        return tt_quantised_misfit(parts.qweight, "its shape is not that of GPTQ codes of 2 to 8 bits", error);
    struct packed *p = new_packed(model, parts.scales);
    tt_model_string(model, "quantization_config.checkpoint_format", &format);
    p->offset = strcmp(format, "gptq_v2") == 0 ? 0 : 1;
    p->bits = bits;
    p->g_idx = g_idx;
    p->rows.columns = inputs;
    p->codes = (struct packing){parts.qweight->data, 1, outputs, NULL};
    p->zeros = zeros_of(parts.qzeros, NULL);
    return add(model, parts.qweight, parts.stem, p, outputs, p->offset ? "gptq" : "gptq_v2", error);
}

/* ---- compressed-tensors ---- */

static bool read_zeros(struct packed *p, const struct tt_model_tensor *zeros, uint64_t outputs)
{
    if (!zeros) {
        p->offset = (double)(1u << (p->bits - 1));
        return true;
    }
    p->zeros = (struct packing){zeros->data, 1, p->groups, NULL}; /* line: group, n: output */
    return is_matrix(zeros, TT_I32) && tt_axis(zeros, 1) == p->groups &&
           tt_axis(zeros, 0) == (outputs * p->bits + 31) / 32;
}

/* As configured where that fits, else as many as there is room for. */
static unsigned packed_bits(const struct tt_model *model, uint64_t words, uint64_t inputs)
{
    double bits = 0;

    tt_model_number(model, "quantization_config.config_groups.group_0.weights.num_bits", &bits);
    if (bits >= 2 && bits <= 8 && inputs && (inputs * (unsigned)bits + 31) / 32 == words)
        return (unsigned)bits;
    uint64_t most = inputs ? words * 32 / inputs : 0;
    return most >= 2 && most <= 8 && (inputs * most + 31) / 32 == words ? (unsigned)most : 0;
}

int tt_quantised_packed(struct tt_model *model, size_t index, struct tt_error *error)
{
    const struct tt_model_tensor *codes = &model->tensors.items[index];
    size_t stem = tt_stem(codes->name, ".weight_packed");
    const struct tt_model_tensor *scales = tt_model_sibling(model, codes->name, stem, ".weight_scale");
    const struct tt_model_tensor *shape = tt_model_sibling(model, codes->name, stem, ".weight_shape");
    const struct tt_model_tensor *zeros = tt_model_sibling(model, codes->name, stem, ".weight_zero_point");

    if (codes->dtype != TT_I32 || !shape)
        return 0;
    if (!is_matrix(codes, TT_I32) || !is_matrix(scales, TT_NONE) || tt_elements(shape) != 2 ||
        tt_axis(scales, 0) != tt_axis(codes, 0))
        return tt_quantised_misfit(codes, "no .weight_scale and .weight_shape beside it that fit its shape", error);
    double inputs = tt_element(shape, 1);
    struct packed *p = new_packed(model, scales);
    p->rows.columns = inputs >= 1 && inputs <= 0x1p40 ? (uint64_t)inputs : 0;
    p->bits = packed_bits(model, tt_axis(codes, 1), p->rows.columns);
    p->groups = tt_axis(scales, 1);
    p->scale_group = 1;
    p->scale_output = p->groups;
    p->g_idx = usable_g_idx(tt_model_sibling(model, codes->name, stem, ".weight_g_idx"));
    p->codes = (struct packing){codes->data, tt_axis(codes, 1), 1, NULL};
    if (!p->bits || tt_element(shape, 0) != (double)tt_axis(codes, 0) || !read_zeros(p, zeros, tt_axis(codes, 0)) ||
        (p->g_idx && tt_elements(p->g_idx) != p->rows.columns))
        return tt_quantised_misfit(codes, "its shape is not that of codes of 2 to 8 bits in 32-bit words", error);
    return add(model, codes, stem, p, tt_axis(codes, 0), "packed integers", error);
}
