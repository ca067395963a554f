/* SPDX-License-Identifier: Apache-2.0
 *
 * Mutation test of the verdict on the user's own run: for right values of the first layer and of the model's ends, would
 * each listed wrong form have shown? A cause that would not is reported with the reason and the prompt that decides.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diagnose/hypotheses.h"
#include "diagnose/coverage.h"

#define MAX_CAUSES 128
#define MAX_ELEMENTS (1 << 22) /* values too large to try all forms on are skipped: later passes are smaller */
#define ENOUGH 2               /* passes looked at */

struct tt_visibility_of_causes {
    int count;
    struct {
        char cause[48];
        bool visible;
        double largest; /* χ² of the most visible form */
    } causes[MAX_CAUSES];
};

struct tt_visibility_of_causes *tt_visibility_new(struct tt_graph *graph)
{
    (void)graph;
    return tt_alloc(sizeof(struct tt_visibility_of_causes));
}

void tt_visibility_free(struct tt_visibility_of_causes *visibility)
{
    free(visibility);
}

static void note(struct tt_visibility_of_causes *v, const char *cause, bool visible, double chi2)
{
    int i = 0;
    while (i < v->count && strcmp(v->causes[i].cause, cause) != 0)
        i++;
    if (i == MAX_CAUSES)
        return;
    if (i == v->count)
        snprintf(v->causes[v->count++].cause, sizeof v->causes[0].cause, "%s", cause);
    v->causes[i].visible = v->causes[i].visible || visible;
    if (chi2 > v->causes[i].largest)
        v->causes[i].largest = chi2;
}

static bool already(const struct tt_visibility_of_causes *v, const char *cause)
{
    for (int i = 0; i < v->count; i++)
        if (strcmp(v->causes[i].cause, cause) == 0)
            return v->causes[i].visible;
    return false;
}

void tt_note_visible_causes(struct tt_visibility_of_causes *v, const struct tt_diagnosis *d,
                            const struct tt_observation *seen, const int *span, int n)
{
    struct tt_hypotheses list = {0};
    const struct tt_node *node = tt_graph_node(d->graph, seen->node);
    if (node->layer > 0 || d->pass->pass >= ENOUGH || tt_value_count(&seen->value) > MAX_ELEMENTS)
        return;
    int fresh[512], count = 0;
    for (int i = 0; i < n; i++)
        if (!d->confirmed[span[i]] && tt_graph_node(d->graph, span[i])->layer <= 0)
            fresh[count++] = span[i];
    uint8_t *rows = tt_choose_rows(d, seen, &(struct tt_judgement){0});
    tt_evaluator_focus(d->evaluator, rows);
    tt_hypotheses_listed(d, fresh, count, &list);
    for (int i = 0; i < list.count; i++) {
        struct tt_value wrong;
        if (already(v, list.items[i].cause) ||
            tt_evaluate_as(d->evaluator, seen, &list.items[i].overrides, &wrong, NULL))
            continue;
        struct tt_judgement j = tt_judge(seen, &wrong);
        note(v, list.items[i].cause, !tt_judgement_right(&j), j.chi2);
        tt_value_free(&wrong);
    }
    tt_evaluator_focus(d->evaluator, NULL);
    free(rows);
    tt_hypotheses_free(&list);
}

void tt_note_hidden_causes(struct tt_visibility_of_causes *v, const struct tt_diagnosis *d, const uint8_t *reached)
{
    for (int node = 0; node < tt_graph_nnodes(d->graph); node++) {
        struct tt_hypotheses list = {0};
        if (reached[node] || tt_graph_node(d->graph, node)->layer > 0)
            continue;
        tt_hypotheses_listed(d, &node, 1, &list);
        for (int i = 0; i < list.count; i++)
            note(v, list.items[i].cause, false, 0);
        tt_hypotheses_free(&list);
    }
}

/* What would decide, by family of causes. */
static const char *prompt_for(const char *cause)
{
    static const struct {
        const char *prefix, *prompt;
    } prompts[] = {
        {"rope.", "at least 32 tokens; thousands for frequency scaling"},
        {"attn.mask", "at least two tokens in one pass"},
        {"attn.window", "more tokens than the window holds"},
        {"attn.", "at least eight different tokens"},
        {"kv.", "a prompt of several tokens and at least two decoded ones"},
        {"norm.eps", "tokens whose hidden state is small (rms near the square root of eps)"},
        {"norm.cast", "a run in bf16 or f16"},
        {"residual.", "two layers or more"},
        {"logits.", "a capture of what happens behind the last matrix product"},
    };
    for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++)
        if (strncmp(cause, prompts[i].prefix, strlen(prompts[i].prefix)) == 0)
            return prompts[i].prompt;
    return "a longer prompt of different tokens";
}

void tt_visibility_report(const struct tt_visibility_of_causes *v, struct tt_verdict *verdict)
{
    verdict->causes_total = v->count;
    for (int i = 0; i < v->count; i++) {
        verdict->causes_visible += v->causes[i].visible;
        if (v->causes[i].visible)
            continue;
        verdict->unobservable = tt_grow(verdict->unobservable, (size_t)verdict->nunobservable + 1,
                                        sizeof *verdict->unobservable);
        struct tt_unobservable *u = &verdict->unobservable[verdict->nunobservable++];
        snprintf(u->cause, sizeof u->cause, "%s", v->causes[i].cause);
        if (v->causes[i].largest > 0)
            snprintf(u->why, sizeof u->why, "its strongest form changes what was seen by chi2/N %.2g only",
                     v->causes[i].largest);
        else
            snprintf(u->why, sizeof u->why, "nothing that was captured depends on it");
        snprintf(u->prompt, sizeof u->prompt, "%s", prompt_for(v->causes[i].cause));
    }
}
