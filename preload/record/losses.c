/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting losses (losses.h). Callers hold the recorder's lock.
 */
#include "record/losses.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct tt_loss_count *find(struct tt_losses *losses, const char *what, const char *detail)
{
    for (uint32_t i = 0; i < losses->count; i++) {
        struct tt_loss_count *entry = &losses->entries[i];
        if (strcmp(entry->what, what) == 0 &&
            strncmp(entry->detail, detail, sizeof entry->detail - 1) == 0)
            return entry;
    }
    if (losses->count == TT_MOST_LOSSES) /* the last one gathers all that has no entry of its own */
        return &losses->entries[TT_MOST_LOSSES - 1];
    struct tt_loss_count *entry = &losses->entries[losses->count++];
    *entry = (struct tt_loss_count){.what = what}; /* a table that was emptied is used again */
    snprintf(entry->detail, sizeof entry->detail, "%s", losses->count == TT_MOST_LOSSES ? "others" : detail);
    return entry;
}

struct tt_loss_count *tt_losses_add(struct tt_losses *losses, const char *what, const char *detail,
                                    uint64_t times, uint64_t bytes)
{
    if (!losses->entries)
        losses->entries = calloc(TT_MOST_LOSSES, sizeof *losses->entries);
    if (!losses->entries)
        return NULL;
    struct tt_loss_count *entry = find(losses, what, detail ? detail : "");
    uint64_t before = entry->count;
    entry->count += times;
    entry->bytes += bytes;
    return (before ^ entry->count) > before ? entry : NULL; /* the highest bit is another one */
}

void tt_losses_free(struct tt_losses *losses)
{
    free(losses->entries);
    memset(losses, 0, sizeof *losses);
}
