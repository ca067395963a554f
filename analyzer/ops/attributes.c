/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of attributes.
 */
#include <string.h>

#include "ops/op.h"

static const struct tt_attribute_value *find(const struct tt_attributes *attributes, const char *name)
{
    for (int i = attributes ? attributes->count - 1 : -1; i >= 0; i--) {
        if (!strcmp(attributes->items[i].name, name))
            return &attributes->items[i];
    }
    return NULL;
}

double tt_attributes_number(const struct tt_attributes *attributes, const char *name, double fallback)
{
    const struct tt_attribute_value *item = find(attributes, name);
    return item && !item->string ? item->number : fallback;
}

const char *tt_attributes_string(const struct tt_attributes *attributes, const char *name,
                                 const char *fallback)
{
    const struct tt_attribute_value *item = find(attributes, name);
    return item && item->string ? item->string : fallback;
}

static struct tt_attribute_value *place(struct tt_attributes *attributes, const char *name)
{
    struct tt_attribute_value *item = (struct tt_attribute_value *)find(attributes, name);
    if (item)
        return item;
    if (attributes->count == (int)(sizeof attributes->items / sizeof *attributes->items))
        return NULL;
    return &attributes->items[attributes->count++];
}

int tt_attributes_set_number(struct tt_attributes *attributes, const char *name, double number)
{
    struct tt_attribute_value *item = place(attributes, name);
    if (!item)
        return -1;
    *item = (struct tt_attribute_value){.name = name, .number = number};
    return 0;
}

int tt_attributes_set_string(struct tt_attributes *attributes, const char *name, const char *string)
{
    struct tt_attribute_value *item = place(attributes, name);
    if (!item)
        return -1;
    *item = (struct tt_attribute_value){.name = name, .string = string};
    return 0;
}
