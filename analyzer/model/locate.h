/* SPDX-License-Identifier: Apache-2.0
 *
 * From what a user names (a file, a folder, an id in the local Hugging Face cache) to the file to open.
 */
#ifndef TT_MODEL_LOCATE_H
#define TT_MODEL_LOCATE_H

#include "base/error.h"

enum tt_model_kind { TT_MODEL_GGUF, TT_MODEL_SAFETENSORS, TT_MODEL_TORCH, TT_MODEL_INDEX };

struct tt_model_place {
    char *path; /* owned by the caller */
    enum tt_model_kind kind;
};

int tt_model_locate(const char *name, struct tt_model_place *place, struct tt_error *error);

/* A file in the same folder as `path`; owned by the caller. */
char *tt_path_beside(const char *path, const char *file);
/* Where the configuration of the model at `path` is: config.json, or meta_STEP.json of a model_STEP.pt. The caller's; it may
 * not exist. */
char *tt_config_beside(const char *path);

#endif
