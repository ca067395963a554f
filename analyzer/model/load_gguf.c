/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: a model out of one GGUF file or of all splits of one ("name-00001-of-00003.gguf").
 * The first split carries the model's metadata; whichever is named, all are opened.
 */
#include "model/parts.h"

#include <stdio.h>
#include <stdlib.h>

#define SPLIT_SUFFIX  20     /* characters of "-00001-of-00003.gguf" */
#define LARGEST_SPLIT 99999u /* five digits */

/* The common part of a split's path, owned by the caller; NULL: not named like one. */
static char *split_stem(const char *path, unsigned *count)
{
    unsigned number;
    int end = 0;
    size_t length = strlen(path);

    if (length < SPLIT_SUFFIX)
        return NULL;
    const char *suffix = path + length - SPLIT_SUFFIX;
    if (sscanf(suffix, "-%5u-of-%5u.gguf%n", &number, count, &end) != 2 || end != SPLIT_SUFFIX)
        return NULL;
    return tt_format("%.*s", (int)(length - SPLIT_SUFFIX), path);
}

/* A number of the metadata, `missing` without. */
static double declared(const struct tt_gguf *gguf, const char *key, double missing)
{
    const struct tt_gguf_value *value = tt_gguf_find(gguf, key);
    double number = missing;

    if (value && !value->array)
        tt_gguf_number(value, 0, &number);
    return number;
}

/* Splits that the metadata of a file declares, 1: a whole model. */
static unsigned declared_splits(const struct tt_gguf *gguf)
{
    double count = declared(gguf, "split.count", 1);
    return count > 1 && count <= LARGEST_SPLIT ? (unsigned)count : 1;
}

/* Splits of different conversions may lie beside each other under the same names. */
static int check_total(const struct tt_model *model, const char *stem, struct tt_error *error)
{
    double total = declared(&model->gguf, "split.tensors.count", (double)model->tensors.count);

    if (total == (double)model->tensors.count)
        return 0;
    return tt_fail(error, TT_EINPUT,
                   "the splits of %s hold %zu tensors, where the first promises %.0f: they are not of one "
                   "conversion; download all of them again",
                   stem, model->tensors.count, total);
}

static int load_one(struct tt_model *model, const char *path, struct tt_gguf *gguf, struct tt_error *error)
{
    const struct tt_file *file = tt_model_add_file(model, path, error);
    return file ? tt_gguf_parse(file, gguf, &model->tensors, error) : -1;
}

static int load_splits(struct tt_model *model, const char *stem, unsigned count, struct tt_error *error)
{
    int rc = 0;

    for (unsigned i = 1; i <= count && rc == 0; i++) {
        struct tt_gguf other = {0};
        char *path = tt_format("%s-%05u-of-%05u.gguf", stem, i, count);
        rc = load_one(model, path, i == 1 ? &model->gguf : &other, error);
        tt_gguf_free(&other);
        free(path);
    }
    return rc == 0 ? check_total(model, stem, error) : rc;
}

int tt_model_load_gguf(struct tt_model *model, const char *path, struct tt_error *error)
{
    unsigned count = 0;
    char *stem = split_stem(path, &count);
    int rc;

    if (stem && count > 1) {
        rc = load_splits(model, stem, count, error);
        free(stem);
        return rc;
    }
    free(stem);
    rc = load_one(model, path, &model->gguf, error);
    if (rc == 0 && declared_splits(&model->gguf) > 1)
        return tt_fail(
            error, TT_EINPUT,
            "%s is one of %u splits, but is not named like one (NAME-00001-of-%05u.gguf): rename all of "
            "them back",
            path, declared_splits(&model->gguf), declared_splits(&model->gguf));
    return rc;
}
