/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: hash a tensor in another form without ever holding that form whole.
 * Invariant: working memory stays near PIECE bytes, or one line of the tensor where that is more.
 */
#include "model/content.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "model/half.h"
#include "model/tensors.h"

#define PIECE (8u << 20) /* bytes */

static bool convertible(enum tt_dtype dtype)
{
    return dtype == TT_F64 || dtype == TT_F32 || dtype == TT_F16 || dtype == TT_BF16;
}

/* Values are rounded through f32, which is where engines convert from. */
static void encode(enum tt_dtype dtype, const double *in, uint64_t count, uint8_t *out)
{
    for (uint64_t i = 0; i < count; i++) {
        float value = (float)in[i];
        uint16_t half = dtype == TT_F16 ? tt_f32_to_f16(value) : tt_f32_to_bf16(value);
        if (dtype == TT_F64)
            memcpy(out + 8 * i, &in[i], 8);
        else if (dtype == TT_F32)
            memcpy(out + 4 * i, &value, 4);
        else
            memcpy(out + 2 * i, &half, 2);
    }
}

struct source { /* a tensor read as `dtype` */
    const struct tt_model_tensor *tensor;
    enum tt_dtype dtype;
    bool stored; /* its bytes are that already */
    uint64_t rows, columns;
    double *values; /* [columns] scratch */
};

/* The bytes in the file are content in their own right even where values are computed from them (fp8 with scales);
 * any other content is made of the values. */
static bool from_bytes(const struct tt_model_tensor *tensor, const struct tt_content *content)
{
    bool same = tensor->data && tensor->dtype == content->dtype && tensor->dtype != TT_NONE;
    return same && (!tensor->form || content->transform == TT_IDENTITY_NONE || !convertible(content->dtype));
}

static struct source source_of(const struct tt_model_tensor *tensor, const struct tt_content *content)
{
    struct source source = {.tensor = tensor, .dtype = content->dtype, .rows = 1, .columns = 1};

    source.stored = from_bytes(tensor, content);
    if (tensor->rank > 0)
        source.rows = (uint64_t)tensor->shape[0];
    for (int i = 1; i < tensor->rank; i++)
        source.columns *= (uint64_t)tensor->shape[i];
    return source;
}

/* Elements [first, first + count), count at most the scratch; as stored only from a block's start on. */
static void read_elements(const struct source *source, uint64_t first, uint64_t count, uint8_t *out)
{
    const struct tt_model_tensor *tensor = source->tensor;
    const struct tt_dtype_info *info = tt_dtype_info(tensor->dtype);

    if (source->stored) {
        memcpy(out, (const uint8_t *)tensor->data + first / info->block * info->bytes,
               count / info->block * info->bytes);
        return;
    }
    if (tt_model_read(tensor, first, count, source->values, NULL) != 0) /* damaged: it is nothing's content */
        memset(source->values, 0xff, count * sizeof *source->values);
    encode(source->dtype, source->values, count, out);
}

static void hash_in_order(XXH3_state_t *state, const struct source *whole)
{
    struct source source = *whole;
    const uint64_t piece = 4096; /* elements: whole blocks of every type */
    uint64_t count = source.rows * source.columns;
    uint32_t width = tt_dtype_info(source.dtype)->bytes;
    uint8_t *out = tt_alloc(piece * width);

    source.values = tt_alloc(piece * sizeof *source.values);
    for (uint64_t first = 0; first < count; first += piece) {
        uint64_t taken = count - first < piece ? count - first : piece;
        read_elements(&source, first, taken, out);
        XXH3_128bits_update(state, out, taken * width);
    }
    free(source.values);
    free(out);
}

/* Columns [first, first + taken) of the tensor as lines [taken, rows]. */
static void gather_columns(const struct source *source, uint64_t first, uint64_t taken, uint8_t *line,
                           uint8_t *out)
{
    uint32_t width = tt_dtype_info(source->dtype)->bytes;

    for (uint64_t row = 0; row < source->rows; row++) {
        read_elements(source, row * source->columns + first, taken, line);
        for (uint64_t i = 0; i < taken; i++)
            memcpy(out + (i * source->rows + row) * width, line + i * width, width);
    }
}

static void hash_transposed(XXH3_state_t *state, const struct source *whole)
{
    struct source source = *whole;
    uint32_t width = tt_dtype_info(source.dtype)->bytes;
    uint64_t fit = PIECE / (source.rows * width) + 1, batch = fit < source.columns ? fit : source.columns;
    uint8_t *line = tt_alloc(batch * width), *out = tt_alloc_array(batch * source.rows, width);

    source.values = tt_alloc(batch * sizeof *source.values);
    for (uint64_t first = 0; first < source.columns; first += batch) {
        uint64_t taken = source.columns - first < batch ? source.columns - first : batch;
        gather_columns(&source, first, taken, line, out);
        XXH3_128bits_update(state, out, taken * source.rows * width);
    }
    free(source.values);
    free(line);
    free(out);
}

/* Row of the tensor that becomes row `row` of the operand, both counted within a head of `length` rows. */
static uint64_t row_before(uint64_t row, uint64_t length, bool to_interleaved)
{
    uint64_t half = length / 2;
    return to_interleaved ? row % 2 * half + row / 2 : row % half * 2 + row / half;
}

static void hash_permuted(XXH3_state_t *state, const struct source *whole, const struct tt_content *content)
{
    struct source source = *whole;
    const struct tt_dtype_info *info = tt_dtype_info(source.dtype);
    uint64_t length = source.rows / (uint64_t)content->heads,
             nbytes = source.columns / info->block * info->bytes;
    uint8_t *line = tt_alloc(nbytes);

    source.values = tt_alloc_array(source.columns, sizeof *source.values);
    for (uint64_t row = 0; row < source.rows; row++) {
        uint64_t from = row / length * length + row_before(row % length, length, content->to_interleaved);
        read_elements(&source, from * source.columns, source.columns, line);
        XXH3_128bits_update(state, line, nbytes);
    }
    free(source.values);
    free(line);
}

/* Heads of two rows are the same in both pairings. */
static bool splits_into_heads(const struct source *source, int heads)
{
    uint64_t length = heads > 0 ? source->rows / (uint64_t)heads : 0;
    return length >= 4 && length % 2 == 0 && source->rows % (uint64_t)heads == 0 &&
           source->columns % tt_dtype_info(source->dtype)->block == 0;
}

bool tt_content_possible(const struct tt_model_tensor *tensor, const struct tt_content *content)
{
    struct source source = source_of(tensor, content);
    double probe;
    bool readable;

    if (source.rows * source.columns == 0) /* nothing to tell it by */
        return false;
    readable = source.stored ||
               (convertible(content->dtype) && tt_model_read(tensor, 0, 1, &probe, NULL) == 0);
    switch (content->transform) {
    case TT_IDENTITY_NONE:
        return source.stored;
    case TT_IDENTITY_DEQUANTISED:
        return readable && !source.stored;
    case TT_IDENTITY_TRANSPOSED:
        return readable && tensor->rank == 2 && tt_dtype_info(content->dtype)->block == 1;
    case TT_IDENTITY_PERMUTED:
        return readable && (tensor->rank == 1 || tensor->rank == 2) &&
               splits_into_heads(&source, content->heads);
    }
    return false;
}

void tt_content_digest(const struct tt_model_tensor *tensor, const struct tt_content *content,
                       struct tt_digest *digest)
{
    struct source source = source_of(tensor, content);
    XXH3_state_t *state = XXH3_createState();
    XXH128_canonical_t canonical;

    XXH3_128bits_reset(state);
    if (content->transform == TT_IDENTITY_NONE)
        XXH3_128bits_update(state, tensor->data, tensor->nbytes);
    else if (content->transform == TT_IDENTITY_DEQUANTISED)
        hash_in_order(state, &source);
    else if (content->transform == TT_IDENTITY_TRANSPOSED)
        hash_transposed(state, &source);
    else
        hash_permuted(state, &source, content);
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
    memcpy(digest->bytes, canonical.digest, sizeof digest->bytes);
    XXH3_freeState(state);
}
