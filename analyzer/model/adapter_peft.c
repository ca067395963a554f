/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: LoRA adapters as PEFT saves them: adapter_config.json beside adapter_model.safetensors, whose names are the
 * module's behind "base_model.model.". Definition: peft's LoraLayer, merged.
 *   X.lora_A.weight [r, in], X.lora_B.weight [out, r]        the update of X.weight
 *   X.lora_embedding_A [r, vocab], X.lora_embedding_B [hidden, r]
 *   any other name                                           a tensor trained whole, in place of the model's
 * Scale: lora_alpha / r, with use_rslora / sqrt(r); rank and alpha may differ by module. r is read off the tensors.
 */
#include "model/adapter.h"

#include <math.h>
#include <regex.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "base/json.h"
#include "model/forms.h"
#include "model/locate.h"
#include "model/quantised.h"

#define PREFIX "base_model.model."

struct peft {
    struct tt_model *model;
    const struct tt_model *adapter;
    const cJSON *config;
    double scale;
};

static int check_config(const struct peft *p, struct tt_error *error)
{
    const char *kind = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(p->config, "peft_type"));

    if (kind && strcmp(kind, "LORA") != 0)
        return tt_fail(error, TT_EINPUT, "%s: its peft_type is %s; only LORA is known", p->adapter->path,
                       tt_printable(kind, strlen(kind)).text);
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(p->config, "use_dora")))
        return tt_fail(error, TT_EINPUT, "%s was trained with DoRA, which is not known; merge it into the model first",
                       p->adapter->path);
    return 0;
}

/* Counts and back references can make the compiler or the search run out of memory or time; no one uses them here. */
static bool harmless(const char *pattern)
{
    for (const char *at = pattern; *at; at++)
        if (*at == '{' || (*at == '\\' && at[1] >= '0' && at[1] <= '9'))
            return false;
    return strlen(pattern) < 256;
}

/* Patterns are regular expressions for the end of a module's name. */
static bool matches(const char *pattern, const char *module)
{
    char *whole = tt_format("^(.*\\.)?(%s)$", pattern);
    regex_t compiled;
    bool found = false;

    if (harmless(pattern) && regcomp(&compiled, whole, REG_EXTENDED | REG_NOSUB) == 0) {
        found = regexec(&compiled, module, 0, NULL, 0) == 0;
        regfree(&compiled);
    }
    free(whole);
    return found;
}

static double alpha_of(const struct peft *p, const char *module, uint64_t rank)
{
    const cJSON *alpha = cJSON_GetObjectItemCaseSensitive(p->config, "lora_alpha"), *entry;

    cJSON_ArrayForEach (entry, cJSON_GetObjectItemCaseSensitive(p->config, "alpha_pattern"))
        if (entry->string && cJSON_IsNumber(entry) && matches(entry->string, module))
            return entry->valuedouble;
    return cJSON_IsNumber(alpha) ? alpha->valuedouble : (double)rank;
}

static double factor(const struct peft *p, const char *module, uint64_t rank)
{
    bool root = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(p->config, "use_rslora"));
    return p->scale * alpha_of(p, module, rank) / (root ? sqrt((double)rank) : (double)rank);
}

/* Ends of the names of a pair. */
static const struct end {
    const char *a, *b;
    bool embedding;
} ends[] = {
    {".lora_A.weight", ".lora_B.weight", false},
    {".lora_A.default.weight", ".lora_B.default.weight", false},
    {".lora_embedding_A", ".lora_embedding_B", true},
};

static const char *bare_name(const char *name)
{
    return strncmp(name, PREFIX, sizeof PREFIX - 1) == 0 ? name + sizeof PREFIX - 1 : name;
}

static int add_pair(const struct peft *p, const struct tt_model_tensor *a, size_t stem, const struct end *end,
                    struct tt_error *error)
{
    const struct tt_model_tensor *b = tt_model_sibling(p->adapter, a->name, stem, end->b);
    bool turned = end->embedding || cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(p->config, "fan_in_fan_out"));
    size_t prefix = (size_t)(bare_name(a->name) - a->name);
    char *module = tt_format("%.*s", (int)(stem - prefix), a->name + prefix);
    char *weight = tt_format("%s.weight", module);
    struct tt_adapter_pair pair = {turned ? a : b, turned ? b : a, turned, turned, factor(p, module, tt_axis(a, 0))};
    int rc = b ? tt_adapter_apply(p->model, weight, &pair, p->adapter->path, error)
               : tt_fail(error, TT_EINPUT, "%s lacks %s for '%s'; download it again", p->adapter->path, end->b + 1,
                         tt_printable(module, strlen(module)).text);

    free(module);
    free(weight);
    return rc;
}

static bool is_factor(const char *name)
{
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (tt_stem(name, ends[i].a) || tt_stem(name, ends[i].b))
            return true;
    return false;
}

static int add_if_first(const struct peft *p, const struct tt_model_tensor *tensor, struct tt_error *error)
{
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t stem = tt_stem(tensor->name, ends[i].a);
        if (stem)
            return add_pair(p, tensor, stem, &ends[i], error);
    }
    return 0;
}

/* A tensor that is no factor stands for the model's own, which an updated module keeps as its base_layer. */
static int replace_if_whole(const struct peft *p, const struct tt_model_tensor *tensor, struct tt_error *error)
{
    static const char base[] = ".base_layer";
    const char *bare = bare_name(tensor->name), *inner = strstr(bare, base);

    if (is_factor(tensor->name))
        return 0;
    char *name = inner ? tt_format("%.*s%s", (int)(inner - bare), bare, inner + sizeof base - 1) : tt_strdup(bare);
    int rc = tt_adapter_replace(p->model, name, tensor, p->adapter->path, error);
    free(name);
    return rc;
}

int tt_adapter_add_peft(struct tt_model *model, const struct tt_model *adapter, double scale, struct tt_error *error)
{
    char *path = tt_path_beside(adapter->path, "adapter_config.json");
    cJSON *config = tt_json_read(path, error);
    struct peft p = {model, adapter, config, scale};
    int rc = config ? check_config(&p, error) : -1;

    for (size_t i = 0; i < adapter->tensors.count && rc == 0; i++)
        rc = replace_if_whole(&p, &adapter->tensors.items[i], error);
    for (size_t i = 0; i < adapter->tensors.count && rc == 0; i++)
        rc = add_if_first(&p, &adapter->tensors.items[i], error);
    cJSON_Delete(config);
    free(path);
    return rc;
}
