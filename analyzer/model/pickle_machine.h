/* SPDX-License-Identifier: Apache-2.0
 *
 * The machine that a pickle is a program for: its stack, its memo, and the values that it has made. For pickle.c and
 * pickle_opcodes.c alone.
 */
#ifndef TT_MODEL_PICKLE_MACHINE_H
#define TT_MODEL_PICKLE_MACHINE_H

#include "model/pickle.h"

struct machine {
    struct tt_pickle *pickle;
    const uint8_t *start, *at, *end;
    const char *const *globals;
    const char *what;
    struct tt_error *error;
    struct tt_pickle_value **stack; /* [depth] */
    size_t depth, stack_room;
    struct tt_pickle_value **memo; /* [memo_room], NULL: not set */
    size_t memo_room, memo_next;
    struct tt_pickle_value *root; /* what STOP found */
    bool stopped;
};

/* One line that names the pickle and the byte; -1. */
int tt_pickle_damaged(const struct machine *m, const char *fault);

/* NULL with one line: too many. */
struct tt_pickle_value *tt_pickle_new_value(struct machine *m, enum tt_pickle_kind kind);
void tt_pickle_append(struct tt_pickle_value *value, struct tt_pickle_value *item);

int tt_pickle_push(struct machine *m, struct tt_pickle_value *value); /* NULL: -1 */
/* NULL with one line when the stack has none above the last mark. */
struct tt_pickle_value *tt_pickle_pop(struct machine *m);
/* Place of the last mark; depth: none, with one line. */
size_t tt_pickle_find_mark(struct machine *m);
int tt_pickle_memo_put(struct machine *m, uint64_t index); /* the value on top */

/* The next `count` bytes; NULL with one line. */
const uint8_t *tt_pickle_take(struct machine *m, uint64_t count);
/* An unsigned number of 1, 2, 4 or 8 bytes. */
int tt_pickle_take_number(struct machine *m, unsigned width, uint64_t *number);

/* The instruction at `at`. */
int tt_pickle_step(struct machine *m);

#endif
