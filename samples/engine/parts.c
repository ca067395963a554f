/* SPDX-License-Identifier: Apache-2.0
 *
 * See parts.h.
 */
#include "parts.h"

#include <stdio.h>

#include "model.h"

#define AT(field) offsetof(struct layer, field)

const struct part layer_parts[] = {
    {"attn_norm", PART_NORM, "input_layernorm", "attn_norm", DIM_HIDDEN, DIM_HIDDEN, AT(attn_norm)},
    {"attn.q_proj", PART_LINEAR, "self_attn.q_proj", "attn_q", DIM_QUERY, DIM_HIDDEN, AT(q_proj)},
    {"attn.k_proj", PART_LINEAR, "self_attn.k_proj", "attn_k", DIM_KEY_VALUE, DIM_HIDDEN, AT(k_proj)},
    {"attn.v_proj", PART_LINEAR, "self_attn.v_proj", "attn_v", DIM_KEY_VALUE, DIM_HIDDEN, AT(v_proj)},
    {"attn.o_proj", PART_LINEAR, "self_attn.o_proj", "attn_output", DIM_HIDDEN, DIM_QUERY, AT(o_proj)},
    {"ffn_norm", PART_NORM, "post_attention_layernorm", "ffn_norm", DIM_HIDDEN, DIM_HIDDEN, AT(ffn_norm)},
    {"ffn.gate_proj", PART_LINEAR, "mlp.gate_proj", "ffn_gate", DIM_FFN, DIM_HIDDEN, AT(gate_proj)},
    {"ffn.up_proj", PART_LINEAR, "mlp.up_proj", "ffn_up", DIM_FFN, DIM_HIDDEN, AT(up_proj)},
    {"ffn.down_proj", PART_LINEAR, "mlp.down_proj", "ffn_down", DIM_HIDDEN, DIM_FFN, AT(down_proj)},
};
const size_t nlayer_parts = sizeof(layer_parts) / sizeof(layer_parts[0]);

#undef AT
#define AT(field) offsetof(struct model, field)

const struct part end_parts[] = {
    {"embed", PART_EMBEDDING, "model.embed_tokens", "token_embd", DIM_VOCAB, DIM_HIDDEN, AT(embed)},
    {"final_norm", PART_NORM, "model.norm", "output_norm", DIM_HIDDEN, DIM_HIDDEN, AT(final_norm)},
    {"lm_head", PART_LINEAR, "lm_head", "output", DIM_VOCAB, DIM_HIDDEN, AT(lm_head)},
};
const size_t nend_parts = sizeof(end_parts) / sizeof(end_parts[0]);

int dimension_size(const struct config *config, enum dimension dimension)
{
    switch (dimension) {
    case DIM_QUERY:
        return config->heads * config->head_dim;
    case DIM_KEY_VALUE:
        return config->kv_heads * config->head_dim;
    case DIM_FFN:
        return config->ffn;
    case DIM_VOCAB:
        return config->vocab;
    case DIM_HIDDEN:
        break;
    }
    return config->hidden;
}

void part_name(const struct part *part, int gguf, int layer, const char *suffix, char *out, size_t size)
{
    const char *name = gguf ? part->gguf : part->hf;

    if (layer < 0)
        snprintf(out, size, "%s.%s", name, suffix);
    else
        snprintf(out, size, gguf ? "blk.%d.%s.%s" : "model.layers.%d.%s.%s", layer, name, suffix);
}
