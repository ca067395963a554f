/* SPDX-License-Identifier: Apache-2.0
 *
 * Is what was seen compatible with what should have been, given how far a right implementation may be off?
 */
#ifndef TT_VERIFY_JUDGE_H
#define TT_VERIFY_JUDGE_H

#include "verify/trace.h"

#define TT_CHI2_PASS  4.0   /* χ²/N up to here: pass */
#define TT_CHI2_DRIFT 100.0 /* up to here: drift */
#define TT_Z_MAX      16.0  /* a single element beyond this is introduced whatever the mean says */

enum tt_outcome {
    TT_UNMEASURED,
    TT_EXACT,
    TT_PASS,
    TT_DRIFT,
    TT_INTRODUCED,
    TT_BROKEN_LINK,
    TT_PROPAGATED,
};
const char *tt_outcome_name(enum tt_outcome status);

struct tt_judgement {
    enum tt_outcome status;
    int64_t n;         /* elements judged */
    double chi2;       /* χ²/n */
    double z_max;      /* largest |deviation| / σ */
    double nmse;       /* Σ(seen − expected)² / Σ expected² */
    double floor;      /* the same, predicted for a right implementation */
    double cosine;
    double max_abs;
    int64_t at[TT_VALUE_RANK]; /* where |deviation|/σ is largest */
    int64_t nonfinite; /* elements that are NaN or Inf on one side only */
    double sign_z;     /* of the sign test: (#positive − #negative)/√n over deviations with σ known */
};

/* Judges the rows seen against `expected` (same shape). */
struct tt_judgement tt_judge(const struct tt_observation *seen, const struct tt_value *expected);

bool tt_judgement_right(const struct tt_judgement *judgement); /* exact, pass or drift */

#endif
