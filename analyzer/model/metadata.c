/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: metadata by key, GGUF and config.json behind the same questions.
 */
#include "model/config.h"
#include "model/model.h"
#include "model/parts.h"

static const struct tt_gguf_value *gguf_value(const struct tt_model *model, const char *key, bool array)
{
    const struct tt_gguf_value *value = model->gguf.keys ? tt_gguf_find(&model->gguf, key) : NULL;
    return value && value->array == array ? value : NULL;
}

static const cJSON *config_value(const struct tt_model *model, const char *key)
{
    return model->config ? tt_config_at(model->config, key) : NULL;
}

static bool json_number(const cJSON *item, double *out)
{
    if (cJSON_IsBool(item))
        *out = cJSON_IsTrue(item);
    else if (cJSON_IsNumber(item))
        *out = item->valuedouble;
    else
        return false;
    return true;
}

bool tt_model_number(const struct tt_model *model, const char *key, double *out)
{
    const struct tt_gguf_value *value = gguf_value(model, key, false);
    return value ? tt_gguf_number(value, 0, out) : json_number(config_value(model, key), out);
}

bool tt_model_string(const struct tt_model *model, const char *key, const char **out)
{
    const struct tt_gguf_value *value = gguf_value(model, key, false);
    const char *text = value ? value->text : cJSON_GetStringValue(config_value(model, key));

    if (text)
        *out = text;
    return text != NULL;
}

bool tt_model_has_key(const struct tt_model *model, const char *key)
{
    return (model->gguf.keys && tt_gguf_find(&model->gguf, key)) || config_value(model, key);
}

bool tt_model_key_is_null(const struct tt_model *model, const char *key)
{
    return cJSON_IsNull(config_value(model, key));
}

size_t tt_model_array_length(const struct tt_model *model, const char *key)
{
    const struct tt_gguf_value *value = gguf_value(model, key, true);
    const cJSON *item = value ? NULL : config_value(model, key);

    if (value)
        return value->count;
    return cJSON_IsArray(item) ? (size_t)cJSON_GetArraySize(item) : 0;
}

bool tt_model_array_number(const struct tt_model *model, const char *key, size_t index, double *out)
{
    const struct tt_gguf_value *value = gguf_value(model, key, true);
    const cJSON *array = value ? NULL : config_value(model, key);

    if (value)
        return tt_gguf_number(value, index, out);
    return cJSON_IsArray(array) && index <= INT32_MAX &&
           json_number(cJSON_GetArrayItem(array, (int)index), out);
}

bool tt_model_array_string(const struct tt_model *model, const char *key, size_t index, const char **out,
                           size_t *length)
{
    const struct tt_gguf_value *value = gguf_value(model, key, true);
    const cJSON *array = value ? NULL : config_value(model, key);

    if (value && value->strings && index < value->count) {
        const uint8_t *at = value->data + value->strings[index];
        *out = (const char *)at + 8;
        *length = tt_load_u64(at);
        return true;
    }
    const char *text = cJSON_IsArray(array) && index <= INT32_MAX
                           ? cJSON_GetStringValue(cJSON_GetArrayItem(array, (int)index))
                           : NULL;
    *out = text;
    *length = text ? strlen(text) : 0;
    return text != NULL;
}
