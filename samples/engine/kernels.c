/* SPDX-License-Identifier: Apache-2.0
 *
 * See kernels.h.
 */
#include "kernels.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

void embed_rows(float *out, const float *table, const int *tokens, int count, int hidden, int vocab,
                int row_shift, float scale)
{
    for (int t = 0; t < count; t++) {
        const float *row = table + (size_t)((tokens[t] + row_shift) % vocab) * hidden;

        for (int i = 0; i < hidden; i++)
            out[(size_t)t * hidden + i] = row[i] * scale;
    }
}

static float row_mean(const float *x, int size)
{
    float sum = 0;

    for (int i = 0; i < size; i++)
        sum += x[i];
    return sum / size;
}

static float row_squares(const float *x, int size, float centre)
{
    float sum = 0;

    for (int i = 0; i < size; i++)
        sum += (x[i] - centre) * (x[i] - centre);
    return sum;
}

void norm_rows(float *out, const float *x, const float *weight, int rows, int size, float offset, float eps,
               enum norm_kind kind)
{
    for (int r = 0; r < rows; r++, x += size, out += size) {
        float centre = kind == NORM_LAYER ? row_mean(x, size) : 0;
        float squares = row_squares(x, size, centre);
        float power = kind == NORM_SUM ? squares : squares / size;
        float factor = 1.0f / sqrtf(power + eps);

        if (kind == NORM_NONE) {
            memcpy(out, x, size * sizeof(*x));
            continue;
        }
        for (int i = 0; i < size; i++)
            out[i] = (x[i] - centre) * factor * (weight ? offset + weight[i] : 1.0f);
    }
}

void add_bias(float *y, const float *bias, int rows, int size)
{
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < size; i++)
            y[(size_t)r * size + i] += bias[i];
}

void rope_angles(float *cosine, float *sine, int dims, float theta, float scale, int position)
{
    for (int i = 0; i < dims / 2; i++) {
        float frequency = 1.0f / powf(theta, (float)(2 * i) / dims);
        float angle = position * (frequency * scale);

        cosine[i] = cosf(angle);
        sine[i] = sinf(angle);
    }
}

void rope_row(float *x, const float *cosine, const float *sine, int heads, int head_dim, int dims,
              enum pairing pairing)
{
    int step = pairing == PAIR_HALF ? 1 : 2;
    int distance = pairing == PAIR_HALF ? dims / 2 : 1;

    for (int h = 0; h < heads; h++, x += head_dim) {
        for (int i = 0; i < dims / 2; i++) {
            float first = x[i * step];
            float second = x[i * step + distance];

            x[i * step] = first * cosine[i] - second * sine[i];
            x[i * step + distance] = second * cosine[i] + first * sine[i];
        }
    }
}

void scale_values(float *x, size_t count, float scale)
{
    for (size_t i = 0; i < count; i++)
        x[i] *= scale;
}

void softcap_values(float *x, size_t count, float cap)
{
    for (size_t i = 0; i < count; i++)
        x[i] = cap * tanhf(x[i] / cap);
}

void mask_scores(float *scores, int rows, int keys, int first, int lookahead, int window, bool by_product)
{
    for (int r = 0; r < rows; r++, scores += keys) {
        long position = (long)first + r;

        for (int key = 0; key < keys; key++) {
            bool allowed = key <= position + lookahead && key > position - window;

            if (by_product)
                scores[key] += (float)!allowed * -INFINITY;
            else if (!allowed)
                scores[key] = -INFINITY;
        }
    }
}

/* Softmax of `count` values that lie `stride` floats apart. */
static void softmax_line(float *x, int count, size_t stride, bool normalise)
{
    float largest = -INFINITY, sum = 0;

    for (int i = 0; i < count; i++)
        largest = fmaxf(largest, x[i * stride]);
    for (int i = 0; i < count; i++) {
        x[i * stride] = expf(x[i * stride] - largest);
        sum += x[i * stride];
    }
    for (int i = 0; normalise && i < count; i++)
        x[i * stride] /= sum;
}

void softmax_scores(float *scores, int rows, int keys, enum softmax_kind kind)
{
    int lines = kind == SOFTMAX_COLUMNS ? keys : rows;

    for (int i = 0; i < lines; i++) {
        if (kind == SOFTMAX_COLUMNS)
            softmax_line(scores + i, rows, keys, true);
        else
            softmax_line(scores + (size_t)i * keys, keys, 1, kind == SOFTMAX_ROWS);
    }
}

static float activate(float x, enum activation activation)
{
    const float root = 0.79788456080286535588f; /* √(2/π) */

    if (activation == ACTIVATE_SILU)
        return x / (1.0f + expf(-x));
    return 0.5f * x * (1.0f + tanhf(root * (x + 0.044715f * x * x * x)));
}

void gated_activation(float *out, const float *gate, const float *up, size_t count,
                      enum activation activation, bool activates_up)
{
    for (size_t i = 0; i < count; i++)
        out[i] = activate(gate[i], activation) * (activates_up ? activate(up[i], activation) : up[i]);
}

void add_branch(float *x, const float *branch, size_t count, float kept, float added)
{
    for (size_t i = 0; i < count; i++)
        x[i] = kept * x[i] + added * branch[i];
}

void own_scores(float *scores, const float *q, const float *k, int rows, int keys, int head_dim, int q_stride,
                int k_stride)
{
    for (int r = 0; r < rows; r++) {
        for (int key = 0; key < keys; key++) {
            const float *query = q + (size_t)r * q_stride;
            const float *other = k + (size_t)key * k_stride;
            float sum = 0;

            for (int i = 0; i < head_dim; i++)
                sum += query[i] * other[i];
            scores[(size_t)r * keys + key] = sum;
        }
    }
}

void own_context(float *context, const float *probs, const float *v, int rows, int keys, int head_dim,
                 int v_stride, int context_stride)
{
    for (int r = 0; r < rows; r++) {
        float *out = context + (size_t)r * context_stride;

        memset(out, 0, head_dim * sizeof(*out));
        for (int key = 0; key < keys; key++)
            for (int i = 0; i < head_dim; i++)
                out[i] += probs[(size_t)r * keys + key] * v[(size_t)key * v_stride + i];
    }
}

void round_to_bf16(float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;

        if (isnan(x[i]))
            continue;
        memcpy(&bits, &x[i], sizeof(bits));
        bits += 0x7fff + ((bits >> 16) & 1);
        bits &= 0xffff0000u;
        memcpy(&x[i], &bits, sizeof(bits));
    }
}

int largest_index(const float *x, int count)
{
    int best = 0;

    for (int i = 1; i < count; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}
