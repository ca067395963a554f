/* SPDX-License-Identifier: Apache-2.0
 *
 * A weight file mapped read-only, with its table of tensors and the configuration read from it.
 * Every tensor's bytes have been checked to lie inside the file.
 */
#ifndef ENGINE_CHECKPOINT_H
#define ENGINE_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "model.h"
#include "problem.h"

enum storage { STORED_F32, STORED_F16, STORED_BF16, STORED_OTHER };

struct mapping {
    const uint8_t *bytes;
    size_t size;
};

struct tensor {
    char name[96];
    enum storage storage;
    int rank;
    int64_t shape[4]; /* outermost first */
    const void *data; /* inside the mapping */
};

struct checkpoint {
    struct mapping file;
    struct tensor *tensors;
    size_t ntensors;
    int gguf; /* naming of the tensors */
    struct config config;
};

int mapping_open(struct mapping *mapping, const char *path, struct problem *problem);
void mapping_close(struct mapping *mapping);

/* Each fills a zeroed checkpoint; on failure checkpoint_close still has to be called. */
int gguf_open(struct checkpoint *checkpoint, const char *path, struct problem *problem);
int safetensors_open(struct checkpoint *checkpoint, const char *folder, struct problem *problem);
void checkpoint_close(struct checkpoint *checkpoint);

const struct tensor *checkpoint_find(const struct checkpoint *checkpoint, const char *name); /* NULL: none */
int64_t tensor_count(const struct tensor *tensor);
size_t storage_size(enum storage storage); /* bytes of one value, 0 for STORED_OTHER */
void tensor_to_float(const struct tensor *tensor, float *out);

/* Refuses sizes that no forward pass could use. */
int config_check(const struct config *config, const char *path, struct problem *problem);

#endif
