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
    struct tt_tensor_form form;
    uint64_t columns; /* inputs */
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

#define TILE  16  /* outputs read together: those of a line of the cache, where outputs lie beside each other */
#define PIECE 256 /* inputs unpacked together: whole words of every kind */

/* The `count` codes of each output of a tile, word by word. */
static void unpack_words(const struct packed *p, uint64_t output, uint64_t first, uint64_t count,
                         uint8_t out[TILE][PIECE])
{
    const unsigned bits = p->bits, each = 32 / bits, mask = (1u << bits) - 1;
    const uint8_t *words = p->codes.words + 4 * (output * p->codes.line_stride);

    for (uint64_t i = 0; i < count; i += each) {
        const uint8_t *line = words + 4 * ((first + i) * bits / 32 * p->codes.word_stride);
        unsigned filled = count - i < each ? (unsigned)(count - i) : each;
        for (unsigned j = 0; j < TILE; j++) {
            uint32_t word = tt_load_u32(line + 4 * j * p->codes.line_stride);
            for (unsigned k = 0; k < filled; k++)
                out[j][i + k] = (uint8_t)(word >> k * bits & mask);
        }
    }
}

/* The same for AWQ, where a word has one code of each of eight outputs. */
static void unpack_lanes(const struct packed *p, uint64_t output, uint64_t first, uint64_t count,
                         uint8_t out[TILE][PIECE])
{
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *words = p->codes.words + 4 * ((first + i) * p->codes.line_stride + output / 8);
        for (unsigned j = 0; j < TILE; j++)
            out[j][i] = tt_load_u32(words + j / 8 * 4) >> 4 * awq_order[j % 8] & 15;
    }
}

/* Codes of `outputs` outputs from `output` on, inputs [first, first + count), as out[output][input]. */
static void unpack_outputs(const struct packed *p, uint64_t output, unsigned outputs, uint64_t first, uint64_t count,
                           uint8_t out[TILE][PIECE])
{
    bool tile = outputs == TILE && first % PIECE == 0;

    if (tile && p->input_lines && output % 8 == 0)
        unpack_lanes(p, output, first, count, out);
    else if (tile && !p->input_lines && 32 % p->bits == 0)
        unpack_words(p, output, first, count, out);
    else
        for (uint64_t i = 0; i < count; i++)
            for (unsigned j = 0; j < outputs; j++)
                out[j][i] = (uint8_t)(p->input_lines ? code(&p->codes, p->bits, first + i, output + j)
                                                     : code(&p->codes, p->bits, output + j, first + i));
}

struct group { /* of one output */
    double scale, zero;
};

/* A zero point beyond the codes' range starts again at 0, as it does where engines add one in place. */
static struct group load_group(const struct packed *p, uint64_t number, uint64_t output)
{
    unsigned zero = p->zeros.words ? code(&p->zeros, p->bits, number, output) : 0;
    double scale = tt_element(&p->scales, number * p->scale_group + output * p->scale_output);

    return (struct group){
        scale, p->zeros.words ? (double)((zero + (unsigned)p->offset) & ((1u << p->bits) - 1)) : p->offset};
}

/* Not checked: may be beyond the groups that there are. */
static uint64_t group_of(const struct packed *p, uint64_t input)
{
    if (!p->g_idx)
        return input / p->group_size;
    const uint8_t *data = p->g_idx->data;
    return p->g_idx->dtype == TT_I32 ? tt_load_u32(data + 4 * input) : tt_load_u64(data + 8 * input);
}

static int no_group(const struct packed *p, uint64_t input, struct tt_error *error)
{
    return tt_fail(error, TT_EINPUT, "%s: '%s' puts input %llu into group %.0f of %llu; download it again",
                   p->scales.file, p->name, (unsigned long long)input, tt_element(p->g_idx, input),
                   (unsigned long long)p->groups);
}

#define MOST_GROUPS 256 /* of which an output's are looked up beforehand */

/* Inputs of a piece that follow each other within one group; with desc_act groups may take turns from input to input. */
struct runs {
    unsigned count;
    uint64_t group[PIECE];
    uint16_t end[PIECE]; /* inputs of the piece */
};

static int find_runs(const struct packed *p, uint64_t first, uint64_t count, struct runs *runs, struct tt_error *error)
{
    runs->count = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = group_of(p, first + i);
        if (number >= p->groups)
            return no_group(p, first + i, error);
        if (runs->count == 0 || runs->group[runs->count - 1] != number)
            runs->group[runs->count++] = number;
        runs->end[runs->count - 1] = (uint16_t)(i + 1);
    }
    return 0;
}

/* `table` has the groups of the output, NULL: to be looked up. */
static void scale(const struct packed *p, uint64_t output, const struct group *table, const struct runs *runs,
                  const uint8_t *codes, double *out)
{
    unsigned i = 0;

    for (unsigned run = 0; run < runs->count; run++) {
        struct group group = table ? table[runs->group[run]] : load_group(p, runs->group[run], output);
        for (; i < runs->end[run]; i++)
            out[i] = ((double)codes[i] - group.zero) * group.scale;
    }
}

/* Inputs [first, first + count) of some outputs, out[output * count + input]. */
static int read_outputs(const struct packed *p, uint64_t output, unsigned outputs, uint64_t first, uint64_t count,
                        double *out, struct tt_error *error)
{
    struct group groups[TILE][MOST_GROUPS];
    uint8_t codes[TILE][PIECE];
    struct runs runs;
    bool looked_up = p->g_idx && p->groups <= MOST_GROUPS && count >= p->groups;
    int rc = 0;

    for (unsigned j = 0; looked_up && j < outputs; j++)
        for (uint64_t i = 0; i < p->groups; i++)
            groups[j][i] = load_group(p, i, output + j);
    for (uint64_t at = 0; at < count && rc == 0; at += PIECE) {
        uint64_t taken = count - at < PIECE ? count - at : PIECE;
        rc = find_runs(p, first + at, taken, &runs, error);
        if (rc == 0)
            unpack_outputs(p, output, outputs, first + at, taken, codes);
        for (unsigned j = 0; j < outputs && rc == 0; j++)
            scale(p, output + j, looked_up ? groups[j] : NULL, &runs, codes[j], out + j * count + at);
    }
    return rc;
}

/* Whole outputs by the tile, the rest one by one. */
static int read_packed(const struct tt_tensor_form *form, uint64_t first, uint64_t count, double *out,
                       struct tt_error *error)
{
    const struct packed *p = (const struct packed *)form;
    uint64_t columns = p->columns;
    int rc = 0;

    while (count > 0 && rc == 0) {
        uint64_t left = columns - first % columns, taken = left < count ? left : count;
        bool tile = first % columns == 0 && count / TILE >= columns;
        rc = read_outputs(p, first / columns, tile ? TILE : 1, first % columns, taken, out, error);
        taken *= tile ? TILE : 1;
        first += taken;
        out += taken;
        count -= taken;
    }
    return rc;
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
    p->group_size = p->g_idx ? 1 : group_size(model, p->columns, p->groups);
    if (p->group_size == 0)
        return tt_quantised_misfit(codes, "its inputs do not split into as many groups as it has scales", error);
    struct tt_model_tensor *weight = tt_computed_add(model, codes, stem, ".weight");
    if (!weight)
        return 0;
    weight->shape[0] = (int64_t)outputs;
    weight->shape[1] = (int64_t)p->columns;
    p->name = weight->name;
    p->form = (struct tt_tensor_form){form, read_packed};
    weight->form = &p->form;
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
    p->columns = tt_axis(parts.qweight, 0);
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
    p->columns = inputs;
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
    p->columns = inputs >= 1 && inputs <= 0x1p40 ? (uint64_t)inputs : 0;
    p->bits = packed_bits(model, tt_axis(codes, 1), p->columns);
    p->groups = tt_axis(scales, 1);
    p->scale_group = 1;
    p->scale_output = p->groups;
    p->g_idx = usable_g_idx(tt_model_sibling(model, codes->name, stem, ".weight_g_idx"));
    p->codes = (struct packing){codes->data, tt_axis(codes, 1), 1, NULL};
    if (!p->bits || tt_element(shape, 0) != (double)tt_axis(codes, 0) || !read_zeros(p, zeros, tt_axis(codes, 0)) ||
        (p->g_idx && tt_elements(p->g_idx) != p->columns))
        return tt_quantised_misfit(codes, "its shape is not that of codes of 2 to 8 bits in 32-bit words", error);
    return add(model, codes, stem, p, tt_axis(codes, 0), "packed integers", error);
}
