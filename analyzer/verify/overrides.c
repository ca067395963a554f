/* SPDX-License-Identifier: Apache-2.0
 *
 * Overrides: nodes done differently. Strings of an override lie in the override itself, so copies are made here only.
 */
#include <stdio.h>
#include <string.h>

#include "verify/private.h"

int tt_override_set(struct tt_override *override, const char *name, const struct tt_scalar *value)
{
    if (!value->is_string)
        return tt_attributes_set_number(&override->set, name, value->number);
    for (int i = 0; i < 4; i++) {
        if (!override->text[i][0] || strcmp(override->text[i], value->text) == 0) {
            snprintf(override->text[i], sizeof override->text[i], "%s", value->text);
            return tt_attributes_set_string(&override->set, name, override->text[i]);
        }
    }
    return -1;
}

struct tt_override *tt_overrides_add(struct tt_overrides *overrides, int node)
{
    if (overrides->count == (int)(sizeof overrides->items / sizeof *overrides->items))
        return NULL;
    struct tt_override *made = &overrides->items[overrides->count++];
    memset(made, 0, sizeof *made);
    made->node = node;
    made->nin = -1;
    made->as = -1;
    return made;
}

const struct tt_override *tt_overrides_find(const struct tt_overrides *overrides, int node)
{
    for (int i = 0; overrides && i < overrides->count; i++)
        if (overrides->items[i].node == node)
            return &overrides->items[i];
    return NULL;
}

/* Strings of an override lie in the override itself: a copy must point into the copy. */
static void copy_override(struct tt_override *to, const struct tt_override *from)
{
    const char *first = from->text[0], *end = first + sizeof from->text;
    *to = *from;
    for (int j = 0; j < to->set.count; j++) {
        struct tt_attribute_value *item = &to->set.items[j];
        if (item->string >= first && item->string < end)
            item->string = to->text[0] + (item->string - first);
    }
}

void tt_overrides_copy(struct tt_overrides *to, const struct tt_overrides *from)
{
    to->count = 0;
    tt_overrides_append(to, from);
}

int tt_overrides_append(struct tt_overrides *to, const struct tt_overrides *from)
{
    for (int i = 0; i < from->count; i++) {
        struct tt_override *made = tt_overrides_add(to, from->items[i].node);
        if (!made)
            return -1;
        copy_override(made, &from->items[i]);
    }
    return 0;
}

void tt_override_apply(struct tt_attributes *attributes, const struct tt_override *override)
{
    for (int i = 0; override && i < override->set.count; i++) {
        const struct tt_attribute_value *item = &override->set.items[i];
        if (item->string)
            tt_attributes_set_string(attributes, item->name, item->string);
        else
            tt_attributes_set_number(attributes, item->name, item->number);
    }
}
