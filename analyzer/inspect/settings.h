/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers of two configurations, by what the graph makes of them: a setting counts where some node computes with
 * another number, and is told under the name that the architecture file gives it.
 */
#ifndef TT_INSPECT_SETTINGS_H
#define TT_INSPECT_SETTINGS_H

#include "graph/graph.h"

struct tt_setting_difference {
    char name[48];            /* attribute, "axis", or of an entry of the configuration that no node uses */
    char components[128];     /* that compute with it, "" none */
    int layer, nlayers;       /* first layer, how many; -1: the model's ends */
    char expected[64], found[64];
    char evidence[240];       /* the entries behind it, and where the files say so */
};

struct tt_setting_differences {
    struct tt_setting_difference *items;
    int count;
    struct tt_setting_difference *unused; /* entries that differ without an effect */
    int nunused;
};

struct tt_setting_differences tt_compare_settings(struct tt_graph *a, struct tt_graph *b);
void tt_setting_differences_free(struct tt_setting_differences *differences);

/* A value as text: "'silu'" is silu, numbers as people write them; per-layer entries as runs. */
void tt_config_text(const struct tt_graph_config_entry *entry, char *text, size_t size);

#endif
