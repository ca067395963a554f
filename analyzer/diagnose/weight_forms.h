/* SPDX-License-Identifier: Apache-2.0
 *
 * What is the weight that an engine used, seen from the one in the file? Two matrices in, a name out: transposed,
 * permuted, scaled, cut off, shifted, rounded to another type … Knows nothing of captures or graphs.
 */
#ifndef TT_DIAGNOSE_WEIGHT_FORMS_H
#define TT_DIAGNOSE_WEIGHT_FORMS_H

#include <stdbool.h>
#include <stdint.h>

#include "tensortap/dtype.h"

struct tt_weight_pair {
    int64_t rows, columns; /* of both: [outputs, inputs] */
    const double *used;    /* [rows, columns] as the call read it */
    const double *file;    /* [rows, columns] */
    enum tt_dtype dtype;   /* in which the file holds it */
    double noise;          /* NMSE that rounding to a type leaves between the two where nothing is wrong; 0: none */
};

struct tt_weight_form {
    char cause[48];     /* "" when the form is no fault */
    const char *benign; /* name of that form, static, NULL: a fault */
    char found[64];     /* a few words for the fault card */
    char text[200];     /* a sentence's end: "the weight that the engine used is …" */
};

/* The same numbers, but for the last digits of a conversion to f32. */
bool tt_weight_same(const struct tt_weight_pair *pair);

/* The simplest form that turns the file's numbers into the used ones; false: none is known. */
bool tt_weight_form(const struct tt_weight_pair *pair, struct tt_weight_form *form);

/* What can be said where no form fits: how many elements, rows and columns differ. */
void tt_weight_difference(const struct tt_weight_pair *pair, struct tt_weight_form *form);

/* ---- between the files of this module ---- */

/* NMSE up to which two numbers are the same one: 8-bit rounding is 3e-5, unrelated weights are near 2. */
static inline double tt_weight_close(const struct tt_weight_pair *pair)
{
    return pair->noise > 0.25e-3 ? 4 * pair->noise : 1e-3;
}

/* One form as a prediction of the used element [row, column]; NaN: this element tells nothing. */
struct tt_weight_rule {
    double (*predict)(const struct tt_weight_pair *pair, const struct tt_weight_rule *rule, int64_t row, int64_t column);
    int64_t first, step, size; /* as the rule means them */
    double scale;
    const int64_t *map;        /* [rows] or [columns] */
    const double *numbers;     /* fitted, per row or block */
};

/* Whether the rule predicts what was used to tt_weight_close of its energy and far better than the file as it is, on at
 * least half of the elements. */
bool tt_weight_obeys(const struct tt_weight_pair *pair, const struct tt_weight_rule *rule);

/* weight_places.c: the right numbers in other places. weight_types.c: other numbers of the same meaning. */
bool tt_weight_moved(const struct tt_weight_pair *pair, struct tt_weight_form *form);
bool tt_weight_rounded(const struct tt_weight_pair *pair, struct tt_weight_form *form);

#endif
