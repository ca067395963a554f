/* SPDX-License-Identifier: Apache-2.0
 *
 * What a struct tt_model is made of; for this folder alone.
 */
#ifndef TT_MODEL_PARTS_H
#define TT_MODEL_PARTS_H

#include <cjson/cJSON.h>

#include "model/gguf.h"
#include "model/names.h"
#include "model/tensors.h"

struct tt_model {
    char *path;             /* of the file that was opened first */
    const char *scheme;     /* "gguf", "hf" */
    struct tt_file **files; /* [nfiles] */
    size_t nfiles;
    struct tt_tensors tensors;
    struct tt_names *names; /* of the tensors */
    struct tt_gguf gguf;    /* metadata of a GGUF model, of its first file */
    cJSON *config;          /* config.json of an HF model, NULL: none */
    void **owned;           /* [nowned] forms and what they need, freed with the model */
    size_t nowned;
    struct tt_model **adapters; /* [nadapters] closed with the model */
    size_t nadapters;
};

/* Zeroed memory that lives as long as the model. */
void *tt_model_alloc(struct tt_model *model, size_t bytes);
/* Hands memory from malloc over to the model. */
void tt_model_own(struct tt_model *model, void *memory);

/* Maps a file that lives as long as the model. NULL with one line. */
const struct tt_file *tt_model_add_file(struct tt_model *model, const char *path, struct tt_error *error);

/* One per container; each fills files, tensors, metadata. */
int tt_model_load_gguf(struct tt_model *model, const char *path, struct tt_error *error);
int tt_model_load_safetensors(struct tt_model *model, const char *path, struct tt_error *error);
int tt_model_load_torch(struct tt_model *model, const char *path, struct tt_error *error);
int tt_model_load_index(struct tt_model *model, const char *path, struct tt_error *error);

/* config.json beside `path`; none is no error. */
int tt_model_load_config(struct tt_model *model, const char *path, struct tt_error *error);
/* Tensors of one safetensors or PyTorch file are added to the model's. */
int tt_model_add_tensors(struct tt_model *model, const char *path, struct tt_error *error);

#endif
