/* SPDX-License-Identifier: Apache-2.0
 *
 * Views of tensors against loops that index the base element by element: transposed, split, taken with a step, stacked,
 * read whole and in pieces that begin anywhere; and which steps are refused.
 */
#include <stdio.h>
#include <string.h>

#include "graph/private.h"
#include "checks.h"

enum { A = 4, B = 6, C = 5 };

static float numbers[A * B * C];

static struct tt_model_tensor base_tensor(int rank, const int64_t *shape)
{
    struct tt_model_tensor tensor = {.name = "base", .dtype = TT_F32, .rank = rank, .file = "none", .data = numbers,
                                     .offset = 64, .nbytes = sizeof numbers};
    memcpy(tensor.shape, shape, (size_t)rank * sizeof *shape);
    for (int i = 0; i < A * B * C; i++)
        numbers[i] = (float)i;
    return tensor;
}

/* Every piece of the view equals the same piece of `wanted` [count]. */
static void check_values(const struct tt_model_tensor *view, const double *wanted, uint64_t count)
{
    double out[A * B * C];
    for (uint64_t first = 0; first < count; first++) {
        for (uint64_t n = 1; first + n <= count; n += 7) {
            CHECK(tt_model_read(view, first, n, out, NULL) == 0);
            CHECK(memcmp(out, wanted + first, n * sizeof *out) == 0);
        }
    }
    CHECK(tt_model_read(view, count, 1, out, NULL) != 0);
}

static void transposed(void)
{
    struct tt_model_tensor base = base_tensor(2, (int64_t[]){A, B * C}), view;
    struct tt_strided steps;
    double wanted[A * B * C];
    tt_strided_whole(&steps, &base);
    CHECK(tt_strided_transpose(&steps) == 0);
    tt_strided_tensor(&steps, 2, (int64_t[]){B * C, A}, &view);
    CHECK(view.form && view.base == &base);
    for (int r = 0; r < B * C; r++)
        for (int c = 0; c < A; c++)
            wanted[r * A + c] = numbers[c * B * C + r];
    check_values(&view, wanted, A * B * C);
    tt_made_tensor_free(&view);
}

/* [A * B, C] as [A, B, C], of which index 1 of the middle axis, then every second column. */
static void split_and_taken(void)
{
    struct tt_model_tensor base = base_tensor(2, (int64_t[]){A * B, C}), view;
    struct tt_strided steps;
    double wanted[A * 3];
    tt_strided_whole(&steps, &base);
    CHECK(tt_strided_reshape(&steps, 3, (int64_t[]){A, B, C}) == 0);
    CHECK(tt_strided_take(&steps, 1, 1, 1, 1) == 0 && tt_strided_take(&steps, 2, 0, 3, 2) == 0);
    tt_strided_tensor(&steps, 2, (int64_t[]){A, 3}, &view);
    for (int r = 0; r < A; r++)
        for (int c = 0; c < 3; c++)
            wanted[r * 3 + c] = numbers[(r * B + 1) * C + 2 * c];
    check_values(&view, wanted, A * 3);
    tt_made_tensor_free(&view);
}

/* Rows that lie in one piece are a plain tensor at its own place of the file. */
static void rows_stay_plain(void)
{
    struct tt_model_tensor base = base_tensor(2, (int64_t[]){A * B, C}), view;
    struct tt_strided steps;
    tt_strided_whole(&steps, &base);
    CHECK(tt_strided_take(&steps, 0, B, B, 1) == 0);
    tt_strided_tensor(&steps, 2, (int64_t[]){B, C}, &view);
    CHECK(!view.form && view.base == &base && view.offset == 64 + B * C * sizeof(float) &&
          view.nbytes == B * C * sizeof(float) && view.data == numbers + B * C);
    tt_made_tensor_free(&view);
}

static void stacked(void)
{
    struct tt_model_tensor base = base_tensor(3, (int64_t[]){A, B, C}), parts[2], view;
    const struct tt_model_tensor *pointers[] = {&parts[0], &parts[1]};
    struct tt_strided steps;
    double wanted[2 * B * C];
    for (int i = 0; i < 2; i++) { /* experts 3 and 1, each transposed */
        tt_strided_whole(&steps, &base);
        CHECK(tt_strided_transpose(&steps) == 0 && tt_strided_take(&steps, 0, 3 - 2 * i, 1, 1) == 0);
        tt_strided_tensor(&steps, 2, (int64_t[]){C, B}, &parts[i]);
        for (int c = 0; c < C; c++)
            for (int b = 0; b < B; b++)
                wanted[(i * C + c) * B + b] = numbers[((3 - 2 * i) * B + b) * C + c];
    }
    tt_stacked_tensor(pointers, 2, &view);
    CHECK(view.rank == 3 && view.shape[0] == 2 && view.shape[1] == C && view.shape[2] == B);
    check_values(&view, wanted, 2 * B * C);
    tt_made_tensor_free(&view);
    tt_made_tensor_free(&parts[0]);
    tt_made_tensor_free(&parts[1]);
}

static void refused(void)
{
    struct tt_model_tensor base = base_tensor(2, (int64_t[]){A, B});
    struct tt_strided steps;
    tt_strided_whole(&steps, &base);
    CHECK(tt_strided_take(&steps, 0, 1, A, 1) != 0 && tt_strided_take(&steps, 2, 0, 1, 1) != 0 &&
          tt_strided_take(&steps, 0, 0, 3, 2) != 0 && tt_strided_take(&steps, 0, -1, 1, 1) != 0);
    CHECK(tt_strided_take(&steps, 0, 1, INT64_MAX / 2, 4) != 0 && tt_strided_take(&steps, 1, INT64_MAX, 2, INT64_MAX) != 0);
    CHECK(tt_strided_reshape(&steps, 2, (int64_t[]){A + 1, B}) != 0);
    CHECK(tt_strided_reshape(&steps, 4, (int64_t[]){3, INT64_MAX / 2, INT64_MAX / 2, 4}) != 0);
    CHECK(tt_strided_transpose(&steps) == 0);
    CHECK(tt_strided_reshape(&steps, 1, (int64_t[]){A * B}) != 0); /* would need a copy */
    CHECK(tt_strided_reshape(&steps, 3, (int64_t[]){B, 2, A / 2}) == 0);
}

int main(void)
{
    transposed();
    split_and_taken();
    rows_stay_plain();
    stacked();
    refused();
    return failures != 0;
}
