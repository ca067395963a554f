/* SPDX-License-Identifier: Apache-2.0
 *
 * What a verdict means for the exit status, and its end.
 */
#include "verify/verdict.h"

#include <stdlib.h>
#include <string.h>

const char *tt_confidence_name(enum tt_confidence confidence)
{
    static const char *const names[] = {"certain", "likely", "unsure"};
    return names[confidence];
}

int tt_verdict_status(const struct tt_verdict *v, bool strict)
{
    if (v->nfaults)
        return 1;
    for (int i = 0; strict && i < v->nrows; i++)
        if (v->rows[i].judged.status == TT_DRIFT && !v->rows[i].explained)
            return 1;
    return strcmp(v->overall, "match") == 0 ? 0 : 3;
}

void tt_verdict_free(struct tt_verdict *v)
{
    if (!v)
        return;
    for (int i = 0; i < v->nfaults; i++) {
        free(v->faults[i].layers);
        free(v->faults[i].passes);
        free(v->faults[i].repaired);
    }
    free(v->faults);
    free(v->rows);
    free(v->coverage.unmeasured);
    free(v->unobservable);
    free(v);
}
