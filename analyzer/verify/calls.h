/* SPDX-License-Identifier: Apache-2.0
 *
 * Did a recorded call compute what its own arguments asked for? Needs no model: matmul, matvec, dot, axpy and scal are
 * recomputed in f64 from the operands in the capture and judged by the error model of their types.
 */
#ifndef TT_VERIFY_CALLS_H
#define TT_VERIFY_CALLS_H

#include "tensortap/reader.h"
#include "verify/verdict.h"

struct tt_call_check {
    const struct tt_recorded_call *call;
    const struct tt_operand *result; /* NULL: the call has none */
    struct tt_judgement judged;      /* n == 0: an operand's values were not kept */
    const char *form;                /* benign form that explains a deviation, static, NULL: none */
    char cause[48];                  /* of a wrong one: "linear.tile_remainder" … "unknown", "" when it is right */
    char expected[64], found[64];
    double chi2_after;               /* with that cause, NaN: cannot be re-executed */
};

/* One of the ops above, with sound arguments. */
bool tt_call_checkable(const struct tt_recorded_call *call);

/* `judged` only, or with the search for a form or a cause. */
void tt_call_judge(const struct tt_capture *capture, const struct tt_recorded_call *call, struct tt_call_check *out);
void tt_call_check(const struct tt_capture *capture, const struct tt_recorded_call *call, struct tt_call_check *out);

/* NULL when there is none of this id. */
const struct tt_recorded_call *tt_call_by_id(const struct tt_capture *capture, uint64_t id);

/* "cblas_sgemm, call 21" */
void tt_call_place(const struct tt_recorded_call *call, char *text, size_t size);

struct tt_calls_options {
    bool (*skip)(void *user, uint64_t call); /* calls that are verified elsewhere; NULL: none */
    void *user;
    bool stop_at_first;
};

/* Adds a row for each checkable call of the capture, and a fault for each wrong one, in execution order. Decides
 * `overall` when no trace was verified before. */
void tt_verify_calls(struct tt_verdict *verdict, const struct tt_capture *capture, const struct tt_calls_options *options);

/* ---- between the files of this module ---- */

/* A call's operands in f64. Elementwise calls have m = 1 and no b. */
struct tt_call_product {
    int64_t batch, m, n, k;
    double alpha, beta;
    double *a, *b, *c; /* [batch, m, k], [batch, n, k] (b transposed), [batch, m, n] as it was, NULL: not read */
    bool elementwise;  /* y = alpha·a + beta·c over n */
    double u_store, u_acc;
    struct tt_observation seen;
};

/* 0 or -1 when something was not kept. */
int tt_call_product_read(const struct tt_capture *capture, const struct tt_recorded_call *call, struct tt_call_product *out);
void tt_call_product_free(struct tt_call_product *product);
/* What the call should have left, in the shape of product->seen. Operands are rounded to `operand_unit` first, 0: not;
 * sums are taken with round-off u_acc. */
struct tt_value tt_call_product_expected(const struct tt_call_product *product, double operand_unit, double u_acc);
/* Fills form or cause of a check whose judgement is not right. */
void tt_call_explain(const struct tt_call_product *product, struct tt_call_check *check);

#endif
