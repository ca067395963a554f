/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: fp8, int8 and fp4 weights with scales beside them, [.., rows, columns] times a scale per tensor, per channel,
 * per block of rows and columns (the last block of an axis may be partial), or per leading axis (expert).
 *   X.weight, X.weight_scale_inv     block-wise fp8; despite its name it multiplies
 *   X.weight, X.weight_scale         fp8 and int8 of the compressed-tensors and fbgemm kinds; X.weight_zero_point
 *   X.weight, X.SCB                  int8 of bitsandbytes: weight * SCB / 127
 *   X.weight_packed, X.weight_scale  fp4 of compressed-tensors, over X.weight_global_scale
 *   X.weight, X.weight_scale, X.weight_scale_2   fp4 as NVIDIA's ModelOpt saves it: times both
 * Bytes as scales are exponents of two with bias 127. fp4 (E2M1): two values a byte, the first in the low half.
 * Invariant: block counts times block lengths cover both axes, so every scale that is looked up is there.
 */
#include <math.h>

#include "model/quantised.h"

#include "model/forms.h"

#define USUAL_BLOCK 128 /* of models that say nothing */

struct scaled {
    struct tt_row_form rows;
    struct tt_model_tensor weight, scale; /* copies: the list's own entry becomes the computed tensor */
    const struct tt_model_tensor *zero;   /* NULL: none; shaped as `scale` */
    bool pairs;                           /* bytes of two fp4 values */
    uint64_t matrix_rows;                 /* rows of one matrix; leading axes are stacks of them */
    uint64_t block_rows, block_columns;
    uint64_t scale_rows, scale_columns; /* blocks of one matrix */
    bool one;                           /* one scale for all matrices */
    double factor; /* of all */
};

static double scale_at(const struct scaled *s, uint64_t index)
{
    double value = tt_element(&s->scale, index);

    if (s->scale.dtype == TT_U8)
        value = value == 255 ? NAN : ldexp(1, (int)value - 127);
    return value * s->factor;
}

/* Values of all bytes as codes of one type, the same for every weight: filled when the first is made. */
static double byte_values[TT_DTYPE_COUNT][256];

static void fill_byte_values(enum tt_dtype dtype)
{
    uint8_t bytes[256];

    for (unsigned i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    tt_decode_range(dtype, bytes, 0, 256, byte_values[dtype]);
}

/* Elements from number `first` of the whole tensor on, unscaled. */
static void read_codes(const struct scaled *s, uint64_t first, uint64_t count, double *out)
{
    const uint8_t *bytes = s->weight.data;
    const double *values = byte_values[s->weight.dtype];

    for (uint64_t i = 0; i < count && !s->pairs; i++)
        out[i] = values[bytes[first + i]];
    for (uint64_t n = first; n < first + count && s->pairs; n++)
        *out++ = tt_e2m1[n % 2 ? bytes[n / 2] >> 4 : bytes[n / 2] & 15];
}

static int read_row(const struct tt_row_form *form, uint64_t row, uint64_t first, uint64_t count, double *out,
                    struct tt_error *error)
{
    const struct scaled *s = (const struct scaled *)form;
    uint64_t matrix = s->one ? 0 : row / s->matrix_rows;
    uint64_t line = (matrix * s->scale_rows + row % s->matrix_rows / s->block_rows) * s->scale_columns;

    (void)error;
    read_codes(s, row * form->columns + first, count, out);
    for (uint64_t at = 0; at < count;) {
        uint64_t block = (first + at) / s->block_columns, end = (block + 1) * s->block_columns - first;
        double scale = scale_at(s, line + block);
        double zero = s->zero ? tt_element(s->zero, line + block) : 0;
        for (end = end < count ? end : count; at < end; at++)
            out[at] = (out[at] - zero) * scale;
    }
    return 0;
}

/* Length of a block when `length` elements have `blocks` of them, `configured` (0: not) by config.json; 0: none fits. */
static uint64_t block_length(uint64_t length, uint64_t blocks, uint64_t configured)
{
    const uint64_t candidates[] = {configured, USUAL_BLOCK};

    if (blocks <= 1)
        return blocks ? length : 0;
    if (blocks == length)
        return 1;
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++)
        if (candidates[i] && (length - 1) / candidates[i] + 1 == blocks)
            return candidates[i];
    return length % blocks == 0 ? length / blocks : 0;
}

static uint64_t configured_block(const struct tt_model *model, size_t axis)
{
    static const char *const keys[] = {"quantization_config.weight_block_size",
                                       "quantization_config.config_groups.group_0.weights.block_structure"};
    double length;

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (tt_model_array_number(model, keys[i], axis, &length) && length >= 1 && length <= 1 << 20)
            return (uint64_t)length;
    return 0;
}

static uint64_t leading(const struct tt_model_tensor *tensor, int behind)
{
    uint64_t count = 1;
    for (int i = 0; i < tensor->rank - behind; i++)
        count *= (uint64_t)tensor->shape[i];
    return count;
}

/* Blocks of one matrix as the shape of the scales tells them; false: the shapes do not fit. */
static bool count_blocks(struct scaled *s)
{
    const struct tt_model_tensor *weight = &s->weight, *scale = &s->scale;
    uint64_t count = tt_elements(scale), rows = tt_axis(weight, -2);

    s->scale_rows = s->scale_columns = 1;
    s->one = count == 1;
    if (s->one)
        return true;
    if (scale->rank == weight->rank) {
        s->scale_rows = tt_axis(scale, -2);
        s->scale_columns = tt_axis(scale, -1);
        return leading(scale, 2) == leading(weight, 2);
    }
    if (weight->rank == 2 && scale->rank == 1) { /* per output channel */
        s->scale_rows = count;
        return count == rows;
    }
    if (scale->rank == weight->rank - 1 && tt_axis(scale, -1) == rows) { /* the same, of a stack */
        s->scale_rows = rows;
        return leading(scale, 1) == leading(weight, 2);
    }
    return count == leading(weight, 2); /* one a matrix */
}

static const char *form_name(const struct scaled *s)
{
    bool whole_rows = s->scale_columns == 1;
    bool fp8 = s->weight.dtype != TT_I8;

    if (s->pairs)
        return s->block_columns == 16 ? "nvfp4" : "mxfp4";
    if (whole_rows && s->scale_rows == 1)
        return fp8 ? "fp8 per tensor" : "int8 per tensor";
    if (whole_rows && s->block_rows == 1)
        return fp8 ? "fp8 per channel" : "int8 per channel";
    return fp8 ? "fp8 per block" : "int8 per block";
}

static int make(struct tt_model *model, struct scaled *s, const struct tt_model_tensor *codes,
                struct tt_error *error)
{
    const struct tt_model_tensor *weight = &s->weight;
    bool fits = weight->rank >= 2 && tt_elements(weight) > 0 && count_blocks(s);

    s->matrix_rows = tt_axis(weight, -2);
    s->rows.columns = tt_axis(weight, -1);
    s->block_rows = fits ? block_length(s->matrix_rows, s->scale_rows, configured_block(model, 0)) : 0;
    s->block_columns = fits ? block_length(s->rows.columns, s->scale_columns, configured_block(model, 1)) : 0;
    if (!s->block_rows || !s->block_columns)
        return tt_quantised_misfit(codes, "the shape of its scales does not fit its own", error);
    if (tt_decode_range(s->scale.dtype, s->scale.data, 0, 0, NULL) != 0)
        return tt_quantised_misfit(codes, "its scales are of a type that cannot be read", error);
    if (s->zero && tt_elements(s->zero) != tt_elements(&s->scale))
        return tt_quantised_misfit(codes, "it has other zero points than scales", error);
    fill_byte_values(weight->dtype);
    s->rows.form = (struct tt_tensor_form){form_name(s), tt_read_rows};
    s->rows.row = read_row;
    return 0;
}

/* How the parts are called, and whether the weight is bytes of two values. */
static const struct rule {
    const char *owner, *scale, *zero, *factor; /* ends of the names; zero and factor may be NULL */
    bool bytes, needs_factor, factor_divides;
    double divisor;
} rules[] = {
    {".weight_packed", ".weight_scale", NULL, ".weight_global_scale", true, false, true, 1},
    {".weight", ".weight_scale", NULL, ".weight_scale_2", true, true, false, 1},
    {"", "_scale_inv", NULL, NULL, false, false, false, 1},
    {"", "_scale", "_zero_point", NULL, false, false, false, 1},
    {".weight", ".SCB", NULL, NULL, false, false, false, 127},
};

static double factor_of(const struct rule *rule, const struct tt_model_tensor *factor)
{
    double value = factor && tt_elements(factor) == 1 ? tt_element(factor, 0) : 1;
    return (rule->factor_divides ? 1 / value : value) / rule->divisor;
}

static const struct tt_model_tensor *part(const struct tt_model *model, const struct tt_model_tensor *codes, size_t stem,
                                          const char *suffix)
{
    return stem && suffix ? tt_model_sibling(model, codes->name, stem, suffix) : NULL;
}

/* NULL: the rule does not apply. */
static struct scaled *apply(struct tt_model *model, const struct tt_model_tensor *codes, const struct rule *rule)
{
    size_t stem = tt_stem(codes->name, rule->owner);
    const struct tt_model_tensor *scale = part(model, codes, stem, rule->scale);
    const struct tt_model_tensor *factor = part(model, codes, stem, rule->factor);

    if (!scale || rule->bytes != (codes->dtype == TT_U8) || (rule->needs_factor && !factor))
        return NULL;
    struct scaled *s = tt_model_alloc(model, sizeof *s);
    s->weight = *codes;
    s->scale = *scale;
    s->zero = part(model, codes, stem, rule->zero);
    s->factor = factor_of(rule, factor);
    s->pairs = rule->bytes || (codes->dtype == TT_I8 && scale->dtype == TT_U8);
    if (s->pairs && codes->rank > 0 && codes->shape[codes->rank - 1] <= INT64_MAX / 4)
        s->weight.shape[codes->rank - 1] *= 2;
    return s;
}

/* The computed tensor takes the place of its codes, or that of the weight that they are packed for. */
static void place(struct tt_model *model, struct tt_model_tensor *codes, struct scaled *s)
{
    size_t stem = tt_stem(codes->name, ".weight_packed");
    struct tt_model_tensor *weight = stem ? tt_computed_add(model, codes, stem, ".weight") : codes;

    if (!weight)
        return;
    weight->rank = s->weight.rank;
    memcpy(weight->shape, s->weight.shape, sizeof weight->shape);
    weight->form = &s->rows.form;
    if (s->pairs) {
        weight->dtype = TT_F32;
        weight->data = NULL;
    }
}

int tt_quantised_scaled(struct tt_model *model, size_t index, struct tt_error *error)
{
    struct tt_model_tensor *codes = &model->tensors.items[index];
    struct scaled *s = NULL;

    if (codes->dtype != TT_F8_E4M3 && codes->dtype != TT_F8_E5M2 && codes->dtype != TT_I8 && codes->dtype != TT_U8)
        return 0;
    for (size_t i = 0; i < sizeof rules / sizeof *rules && !s; i++)
        s = apply(model, codes, &rules[i]);
    if (!s)
        return 0;
    if (make(model, s, codes, error) != 0)
        return -1;
    place(model, codes, s);
    return 1;
}
