/* SPDX-License-Identifier: Apache-2.0
 *
 * Faults of wiring that a family knows, see "rewrites" in docs/architectures.md.
 */
#include "graph/architecture.h"
#include "graph/private.h"

static int add_rewrite_set(struct tt_graph *graph, struct tt_rewrite *rewrite, const cJSON *json,
                           struct tt_error *error)
{
    struct tt_rewrite_set *set = &rewrite->sets[rewrite->nsets];
    if (rewrite->nsets == (int)(sizeof rewrite->sets / sizeof *rewrite->sets) || !text_of(json, "node"))
        return tt_fail(error, TT_EINPUT, "architecture %s: rewrite %s is malformed", graph->family, rewrite->cause);
    *set = (struct tt_rewrite_set){.component = text_of(json, "node"), .nin = -1, .as = text_of(json, "as"),
                                   .attributes = text_of(json, "attributes")};
    for (int i = 0; i < TT_OP_MAX_INPUTS && tt_json_string_at(member(json, "in"), i); i++) {
        set->in[i] = tt_json_string_at(member(json, "in"), i);
        set->nin = i + 1;
    }
    rewrite->nsets++;
    return 0;
}

int tt_graph_add_rewrites(struct tt_graph *graph, struct tt_error *error)
{
    const cJSON *json, *item;
    cJSON_ArrayForEach(json, member(graph->json, "rewrites"))
    {
        struct tt_rewrite *rewrite = &graph->rewrites[graph->nrewrites];
        if (graph->nrewrites == MAX_REWRITES || !text_of(json, "cause") || !text_of(json, "at"))
            return tt_fail(error, TT_EINPUT, "architecture %s: rewrite %d is malformed", graph->family,
                           graph->nrewrites);
        *rewrite = (struct tt_rewrite){.cause = text_of(json, "cause"), .at = text_of(json, "at"),
                                       .found = text_of(json, "found")};
        cJSON_ArrayForEach(item, member(json, "set")) if (add_rewrite_set(graph, rewrite, item, error)) return -1;
        graph->nrewrites++;
    }
    return 0;
}
