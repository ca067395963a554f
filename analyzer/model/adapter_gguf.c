/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: LoRA adapters as GGUF: general.type "adapter", adapter.type "lora", adapter.lora.alpha, and for each weight
 * X.weight the tensors X.weight.lora_a [rank, in] and X.weight.lora_b [out, rank]. An adapter of token embeddings
 * has lora_a as rows of tokens: [vocab, rank] and lora_b [hidden, rank].
 */
#include "model/adapter.h"

#include <stdlib.h>

#include "model/forms.h"
#include "model/quantised.h"

static int refuse(const struct tt_model *adapter, const char *what, const char *name, struct tt_error *error)
{
    return tt_fail(error, TT_EINPUT, "%s: %s '%s'; only LoRA adapters of plain weights are known", adapter->path, what,
                   tt_printable(name, strlen(name)).text);
}

static int check_kind(const struct tt_model *adapter, struct tt_error *error)
{
    const char *type = "model", *kind = "lora";

    tt_model_string(adapter, "general.type", &type);
    tt_model_string(adapter, "adapter.type", &kind);
    if (strcmp(type, "adapter") != 0)
        return refuse(adapter, "it is no adapter but a", type, error);
    return strcmp(kind, "lora") == 0 ? 0 : refuse(adapter, "its adapter.type is", kind, error);
}

/* Alpha 0 or absent: the scale alone. */
static double factor(const struct tt_model *adapter, double scale, uint64_t rank)
{
    double alpha = 0;
    tt_model_number(adapter, "adapter.lora.alpha", &alpha);
    return alpha != 0 ? scale * alpha / (double)rank : scale;
}

static int add_pair(struct tt_model *model, const struct tt_model *adapter, const struct tt_model_tensor *a,
                    size_t stem, double scale, struct tt_error *error)
{
    const struct tt_model_tensor *b = tt_model_sibling(adapter, a->name, stem, ".lora_b");

    if (!b)
        return refuse(adapter, "it lacks the lora_b for", a->name, error);
    bool tokens = a->rank == 2 && tt_axis(a, 0) != tt_axis(b, -1) && tt_axis(a, 1) == tt_axis(b, -1);
    struct tt_adapter_pair pair = {.left = tokens ? a : b, .right = tokens ? b : a, .right_transposed = tokens,
                                   .scale = factor(adapter, scale, tt_axis(b, -1))};
    char *name = tt_format("%.*s", (int)stem, a->name);
    int rc = tt_adapter_apply(model, name, &pair, adapter->path, error);
    free(name);
    return rc;
}

int tt_adapter_add_gguf(struct tt_model *model, const struct tt_model *adapter, double scale, struct tt_error *error)
{
    int rc = check_kind(adapter, error);

    for (size_t i = 0; i < adapter->tensors.count && rc == 0; i++) {
        const struct tt_model_tensor *tensor = &adapter->tensors.items[i];
        size_t stem = tt_stem(tensor->name, ".lora_a");
        if (stem)
            rc = add_pair(model, adapter, tensor, stem, scale, error);
        else if (!tt_stem(tensor->name, ".lora_b"))
            rc = refuse(adapter, "it has a tensor", tensor->name, error);
    }
    return rc;
}
