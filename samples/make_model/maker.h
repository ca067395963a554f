/* SPDX-License-Identifier: Apache-2.0
 *
 * The model maker: weights from a seed, then the same weights as GGUF or as a Hugging Face folder.
 *
 * A tensor's values depend on the seed, its place in the model and its shape, never on the kind of file.
 * They are rounded to the chosen type first, so both kinds of file hold the same model.
 */
#ifndef MAKER_H
#define MAKER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "model.h"
#include "parts.h"
#include "problem.h"

enum number_type { TYPE_F32, TYPE_F16, TYPE_BF16 };

struct recipe {
    struct config config;
    enum number_type type;
    bool bias, tied;
    int context;
    uint64_t seed;
    const char *out;
};

/* One tensor of the model, as the family's Hugging Face code wants it. */
struct sheet {
    const struct part *part;
    int layer; /* −1: the model's ends */
    bool bias;
    int rows, columns; /* a norm or bias has one row */
};

/* Tensors in file order; the list is owned by the caller. NULL: out of memory. */
struct sheet *list_sheets(const struct recipe *recipe, size_t *count);

/* Fills values[rows · columns], rounded to the recipe's type. */
void fill_sheet(const struct recipe *recipe, const struct sheet *sheet, float *values);

size_t type_size(enum number_type type);

/* Writes `count` values as `type`. */
int write_values(FILE *file, const float *values, size_t count, enum number_type type);
void round_values(float *values, size_t count, enum number_type type);

/* −1 with one line in *problem. */
int write_gguf(const struct recipe *recipe, struct problem *problem);
int write_folder(const struct recipe *recipe, struct problem *problem);

#endif
