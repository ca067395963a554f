/* SPDX-License-Identifier: Apache-2.0
 *
 * The weights of a model as one table: component, names in both kinds of file, shape. The loader, the
 * model maker and the fault planter read it.
 */
#ifndef ENGINE_PARTS_H
#define ENGINE_PARTS_H

#include <stddef.h>

struct config;

enum part_kind { PART_EMBEDDING, PART_NORM, PART_LINEAR };
enum dimension { DIM_HIDDEN, DIM_QUERY, DIM_KEY_VALUE, DIM_FFN, DIM_VOCAB };

struct part {
    const char *component;
    enum part_kind kind;
    const char *hf, *gguf;          /* without layer prefix and .weight/.bias */
    enum dimension outputs, inputs; /* a norm has inputs only */
    size_t offset;                  /* of its struct in struct layer or, for the ends, struct model */
};

extern const struct part layer_parts[];
extern const size_t nlayer_parts;
extern const struct part end_parts[]; /* embedding, final norm, head */
extern const size_t nend_parts;

int dimension_size(const struct config *config, enum dimension dimension);

/* Full tensor name: layer −1 for the ends, suffix "weight" or "bias". */
void part_name(const struct part *part, int gguf, int layer, const char *suffix, char *out, size_t size);

#endif
