/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of Python's pickle format (protocols 2 to 5) that containers of tensors need, read and never executed: a
 * global is only a name here, and one that is not on the caller's list ends the reading.
 */
#ifndef TT_MODEL_PICKLE_H
#define TT_MODEL_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum tt_pickle_kind {
    TT_PICKLE_NONE,
    TT_PICKLE_BOOL,
    TT_PICKLE_INTEGER,
    TT_PICKLE_NUMBER,
    TT_PICKLE_TEXT,       /* bytes of the pickle, UTF-8 or not */
    TT_PICKLE_SEQUENCE,   /* tuple or list */
    TT_PICKLE_DICTIONARY, /* items: key, value, key, value … */
    TT_PICKLE_GLOBAL,     /* text: "module name" */
    TT_PICKLE_CALL,       /* of a global, with its arguments */
    TT_PICKLE_PERSISTENT, /* items[0]: what the archive keeps elsewhere */
    TT_PICKLE_MARK,       /* inside of the reader only */
};

/* Values refer to each other freely: the same one may occur many times, or within itself. */
struct tt_pickle_value {
    enum tt_pickle_kind kind;
    uint32_t count, capacity;       /* of items */
    struct tt_pickle_value **items; /* SEQUENCE, DICTIONARY, CALL's arguments, PERSISTENT */
    union {
        int64_t integer; /* BOOL, INTEGER */
        double number;
        struct {
            const char *at; /* not terminated */
            size_t length;
        } text;                         /* TEXT, GLOBAL */
        struct tt_pickle_value *called; /* CALL: the GLOBAL */
    };
};

struct tt_pickle; /* owns all values */

/* `globals`: names "module name" that may occur, NULL at the end. `what` names the pickle in messages; `bytes` must
 * outlive the result. NULL with one line. */
struct tt_pickle *tt_pickle_read(const uint8_t *bytes, uint64_t size, const char *const *globals, const char *what,
                                 struct tt_error *error);
void tt_pickle_free(struct tt_pickle *pickle); /* NULL is allowed */
const struct tt_pickle_value *tt_pickle_root(const struct tt_pickle *pickle);

bool tt_pickle_is(const struct tt_pickle_value *value, const char *text); /* a TEXT or GLOBAL that says `text` */

#endif
