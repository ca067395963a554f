/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: 4-bit codes that stand for values of a table: nf4 and fp4 of bitsandbytes, MXFP4 with its scales beside it.
 *   X.weight [n/2, 1] two codes a byte, the first in the high half; X.weight.quant_map [16] the values;
 *   X.weight.absmax [n/blocksize] a factor per block of elements, or with double quantisation bytes that stand for
 *   nested_quant_map[byte] * nested_absmax[block] + nested_offset; shape and sizes in JSON, in
 *   X.weight.quant_state.bitsandbytes__nf4 (or __fp4).
 *   X_blocks [.., rows, columns/32, 16] two codes a byte, the first in the low half; X_scales [.., rows, columns/32]
 *   exponents of two with bias 127.
 * Invariant: counts were checked, so no index that a form computes is outside its tensors.
 */
#include "model/quantised.h"

#include <math.h>
#include <stdlib.h>

#include "model/config.h"
#include "model/forms.h"

/* ---- bitsandbytes ---- */

struct codes {
    struct tt_tensor_form form;
    struct tt_model_tensor bytes;  /* a copy: the list's own entry becomes the computed tensor */
    double values[16];             /* of the codes */
    uint64_t block;                /* elements with one factor */
    struct tt_model_tensor absmax; /* [blocks] */
    bool nested;                   /* absmax holds bytes */
    float table[256];              /* nested: values of those bytes */
    struct tt_model_tensor outer;  /* nested: [blocks of blocks] */
    uint64_t outer_block;
    float offset;
};

/* Rounded to f32 at each step, as factors are before weights are multiplied with them. */
static double factor(const struct codes *c, uint64_t block)
{
    double value = tt_element(&c->absmax, block);

    if (!c->nested)
        return value;
    float scaled = c->table[(uint8_t)value] * (float)tt_element(&c->outer, block / c->outer_block);
    return (double)(float)((double)scaled + (double)c->offset);
}

static int read_codes(const struct tt_tensor_form *form, uint64_t first, uint64_t count, double *out,
                      struct tt_error *error)
{
    const struct codes *c = (const struct codes *)form;
    const uint8_t *bytes = c->bytes.data;

    (void)error;
    for (uint64_t at = 0; at < count;) {
        uint64_t block = (first + at) / c->block, end = (block + 1) * c->block - first;
        double scale = factor(c, block);
        for (end = end < count ? end : count; at < end; at++) {
            uint64_t n = first + at;
            out[at] = c->values[n % 2 ? bytes[n / 2] & 15 : bytes[n / 2] >> 4] * scale;
        }
    }
    return 0;
}

static const struct tt_model_tensor *part(const struct tt_model *model, const struct tt_model_tensor *weight,
                                          const char *suffix)
{
    const struct tt_model_tensor *tensor = tt_model_sibling(model, weight->name, strlen(weight->name), suffix);
    return tensor && !tensor->form && tt_decode_range(tensor->dtype, tensor->data, 0, 0, NULL) == 0 ? tensor : NULL;
}

/* The JSON that says what the codes are, owned by the caller; *quantiser names its form. */
static cJSON *read_state(const struct tt_model *model, const struct tt_model_tensor *weight, const char **quantiser,
                         struct tt_error *error)
{
    static const char *const kinds[][2] = {{".quant_state.bitsandbytes__nf4", "nf4"},
                                           {".quant_state.bitsandbytes__fp4", "fp4"}};
    char *what = tt_format("%s: quant_state of '%s'", weight->file,
                           tt_printable(weight->name, strlen(weight->name)).text);
    cJSON *json = NULL;

    for (size_t i = 0; i < 2 && !json; i++) {
        const struct tt_model_tensor *state = part(model, weight, kinds[i][0]);
        *quantiser = kinds[i][1];
        if (state && state->dtype == TT_U8)
            json = tt_json_parse_bytes(state->data, state->nbytes, what, error);
    }
    free(what);
    return json;
}

static uint64_t whole(const cJSON *json, const char *key, uint64_t fallback)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    bool usable = cJSON_IsNumber(item) && item->valuedouble >= 1 && item->valuedouble <= 0x1p40;
    return usable ? (uint64_t)item->valuedouble : fallback;
}

static bool take_shape(const cJSON *json, struct tt_model_tensor *weight)
{
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(json, "shape"), *item;
    uint64_t count;

    weight->rank = 0;
    cJSON_ArrayForEach (item, shape) {
        if (!cJSON_IsNumber(item) || !(item->valuedouble >= 1 && item->valuedouble <= 0x1p40) ||
            weight->rank == TT_TENSOR_RANK)
            return false;
        weight->shape[weight->rank++] = (int64_t)item->valuedouble;
    }
    return weight->rank > 0 && tt_shape_count(weight->rank, weight->shape, &count) &&
           (count + 1) / 2 == weight->nbytes;
}

static bool take_nested(struct codes *c, const struct tt_model *model, const struct tt_model_tensor *weight,
                        const cJSON *json)
{
    const struct tt_model_tensor *outer = part(model, weight, ".nested_absmax");
    const struct tt_model_tensor *table = part(model, weight, ".nested_quant_map");
    const cJSON *offset = cJSON_GetObjectItemCaseSensitive(json, "nested_offset");

    c->nested = c->absmax.dtype == TT_U8;
    if (!c->nested)
        return true;
    if (!outer || !table || tt_elements(table) != 256)
        return false;
    for (uint64_t i = 0; i < 256; i++)
        c->table[i] = (float)tt_element(table, i);
    c->outer = *outer;
    c->outer_block = whole(json, "nested_blocksize", 256);
    c->offset = cJSON_IsNumber(offset) ? (float)offset->valuedouble : 0;
    return (tt_elements(&c->absmax) - 1) / c->outer_block + 1 == tt_elements(outer);
}

static bool take_parts(struct codes *c, const struct tt_model *model, struct tt_model_tensor *weight,
                       const cJSON *json)
{
    const struct tt_model_tensor *table = part(model, weight, ".quant_map"), *absmax = part(model, weight, ".absmax");

    c->bytes = *weight;
    c->block = whole(json, "blocksize", 64);
    if (!table || tt_elements(table) != 16 || !absmax || tt_elements(absmax) == 0 ||
        !take_shape(json, weight))
        return false;
    for (uint64_t i = 0; i < 16; i++)
        c->values[i] = tt_element(table, i);
    c->absmax = *absmax;
    return (tt_elements(weight) - 1) / c->block + 1 == tt_elements(absmax) && take_nested(c, model, weight, json);
}

static enum tt_dtype state_dtype(const cJSON *json)
{
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "dtype"));
    if (name && strcmp(name, "bfloat16") == 0)
        return TT_BF16;
    return name && strcmp(name, "float16") == 0 ? TT_F16 : TT_F32;
}

int tt_quantised_codes(struct tt_model *model, size_t index, struct tt_error *error)
{
    const char *absmax = model->tensors.items[index].name, *quantiser = "";
    size_t stem = tt_stem(absmax, ".absmax");
    struct tt_model_tensor *weight = (struct tt_model_tensor *)tt_model_sibling(model, absmax, stem, "");
    struct codes *c;

    if (!weight || weight->form)
        return 0;
    struct tt_error unread = {0};
    cJSON *json = read_state(model, weight, &quantiser, &unread);
    c = tt_model_alloc(model, sizeof *c);
    bool fits = json && take_parts(c, model, weight, json);
    c->form = (struct tt_tensor_form){quantiser, read_codes};
    weight->dtype = state_dtype(json);
    weight->data = NULL;
    weight->form = &c->form;
    cJSON_Delete(json);
    return fits ? 1
                : tt_quantised_misfit(weight, "its absmax, quant_map and quant_state do not fit each other", error);
}

/* ---- MXFP4 ---- */

struct mxfp4 {
    struct tt_row_form rows;
    const uint8_t *bytes;  /* [rows, columns/2] */
    const uint8_t *scales; /* [rows, columns/32] */
};

static int read_mxfp4_row(const struct tt_row_form *form, uint64_t row, uint64_t first, uint64_t count, double *out,
                          struct tt_error *error)
{
    const struct mxfp4 *m = (const struct mxfp4 *)form;
    const uint8_t *bytes = m->bytes + row * (form->columns / 2), *scales = m->scales + row * (form->columns / 32);

    (void)error;
    for (uint64_t at = 0; at < count;) {
        uint64_t block = (first + at) / 32, end = (block + 1) * 32 - first;
        double scale = scales[block] == 255 ? NAN : ldexp(1, scales[block] - 127);
        for (end = end < count ? end : count; at < end; at++) {
            uint64_t n = first + at;
            out[at] = tt_e2m1[n % 2 ? bytes[n / 2] >> 4 : bytes[n / 2] & 15] * scale;
        }
    }
    return 0;
}

int tt_quantised_mxfp4(struct tt_model *model, size_t index, struct tt_error *error)
{
    struct tt_model_tensor *blocks = &model->tensors.items[index];
    size_t stem = tt_stem(blocks->name, "_blocks");
    const struct tt_model_tensor *scales = tt_model_sibling(model, blocks->name, stem, "_scales");
    int last = blocks->rank - 1;

    if (blocks->dtype != TT_U8 || !scales || scales->dtype != TT_U8)
        return 0;
    if (last < 2 || blocks->shape[last] != 16 || tt_elements(blocks) == 0 || scales->rank != last ||
        memcmp(scales->shape, blocks->shape, (size_t)last * sizeof *blocks->shape) != 0)
        return tt_quantised_misfit(blocks, "its shape is not [.., rows, columns/32, 16] with scales for each block",
                                   error);
    struct mxfp4 *m = tt_model_alloc(model, sizeof *m);
    blocks->rank = last;
    blocks->shape[last - 1] *= 32;
    m->rows = (struct tt_row_form){{"mxfp4", tt_read_rows}, tt_axis(blocks, -1), read_mxfp4_row};
    m->bytes = blocks->data;
    m->scales = scales->data;
    blocks->dtype = TT_BF16; /* which holds each value exactly */
    blocks->data = NULL;
    blocks->form = &m->rows.form;
    return 1;
}
