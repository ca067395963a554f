/* SPDX-License-Identifier: Apache-2.0
 *
 * Selection expressions: `op=matmul,pass<5,role=a,b,size>4096,dtype!=f64`.
 *
 * Terms are joined by "and"; a piece without an operator adds a value to the list before it. Values are
 * numbers, ranges `2-5`, or names with * and ?. Keys that only the analyzer can know (layer,
 * component, …) are not applied here: they are reported, never ignored in silence.
 */
#ifndef TT_RECORD_SELECT_H
#define TT_RECORD_SELECT_H

#include <stdbool.h>
#include <stdint.h>

#define TT_MOST_TERMS  16
#define TT_MOST_VALUES 16

enum tt_select_key {
    TT_SELECT_OP, TT_SELECT_ROLE, TT_SELECT_DTYPE, TT_SELECT_THREAD, TT_SELECT_PASS, TT_SELECT_SIZE,
    TT_SELECT_UNKNOWN,
};

struct tt_selection {
    char *text; /* owned; values point into it */
    int nterms;
    bool by_pass; /* a term asks for passes */
    struct tt_term {
        enum tt_select_key key;
        const char *name;     /* of the key, as given */
        char comparison;      /* '=' '!' '<' '>' 'l' (<=) 'g' (>=) */
        int nvalues;
        const char *values[TT_MOST_VALUES];
    } terms[TT_MOST_TERMS];
};

/* NULL or "": everything. 0 or -errno (-EINVAL: too long or malformed; then everything is selected). */
int tt_selection_parse(struct tt_selection *selection, const char *expression);
void tt_selection_free(struct tt_selection *selection);
bool tt_selection_call(const struct tt_selection *selection, const char *op, uint32_t thread);
bool tt_selection_pass(const struct tt_selection *selection, uint64_t epoch);
bool tt_selection_operand(const struct tt_selection *selection, const char *role, const char *dtype,
                          uint64_t nbytes);

/* "0-3,7" contains value? Used for passes too. */
bool tt_ranges_contain(const char *ranges, uint64_t value);

#endif
