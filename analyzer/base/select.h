/* SPDX-License-Identifier: Apache-2.0
 *
 * Selections: 'layer=0-1,pass<5,component=attn.*+ffn.*,token=-1,role!=a'.
 *
 *   selection := term (',' term)*
 *   term      := key operator item (('+' | '|') item)*  |  item      (continues the term before it:
 * layer=0-1,3) operator  := '=' '!=' '<' '<=' '>' '>='              ('<' … take one number) item      :=
 * integer | first-last | first- | glob     negative integers count from the end (-1: the last)
 *
 * Terms hold together (and); terms with '=' on one key widen it (or). Globs are for the word keys.
 */
#ifndef TT_BASE_SELECT_H
#define TT_BASE_SELECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/*    enum       name         words (globs) or numbers */
#define TT_SELECT_KEYS(X)                                                                                    \
    X(PASS, "pass", false)                                                                                   \
    X(LAYER, "layer", false)                                                                                 \
    X(COMPONENT, "component", true)                                                                          \
    X(OP, "op", true)                                                                                        \
    X(TOKEN, "token", false)                                                                                 \
    X(PHASE, "phase", true)                                                                                  \
    X(SEQ, "seq", false)                                                                                     \
    X(POS, "pos", false)                                                                                     \
    X(HEAD, "head", false)                                                                                   \
    X(DTYPE, "dtype", true)                                                                                  \
    X(SIZE, "size", false) /* bytes, suffixes allowed */                                                     \
    X(ROLE, "role", true)                                                                                    \
    X(THREAD, "thread", false)                                                                               \
    X(TAP, "tap", true)                                                                                      \
    X(EPOCH, "epoch", false)                                                                                 \
    X(CALL, "call", false)                                                                                   \
    X(ROUTINE, "routine", true)                                                                              \
    X(EXPERT, "expert", false)                                                                               \
    X(RANK, "rank", false)                                                                                   \
    X(KEPT, "kept", true)

enum tt_select_key {
#define X(key, name, words) TT_SELECT_##key,
    TT_SELECT_KEYS(X)
#undef X
        TT_SELECT_KEY_COUNT
};

struct tt_select;

/* NULL with one line and the position in *error. */
struct tt_select *tt_select_parse(const char *text, struct tt_error *error);
void tt_select_free(struct tt_select *select);

/* The selection in its plainest form, one term a key and operator, only ',' between items: what a tap parses.
 * Owned by the caller. */
char *tt_select_plain(const struct tt_select *select);
/* A term on `key` counts from the end (-1: the last). */
bool tt_select_from_end(const struct tt_select *select, enum tt_select_key key);

/* Which keys the selection mentions: bit 1 << enum tt_select_key. A NULL selection mentions none. */
uint32_t tt_select_mentions(const struct tt_select *select);
const char *tt_select_key_name(enum tt_select_key key);

/* One key of a thing against the selection; true where the selection does not mention the key or is
 * NULL. `total`: number of values on this axis, for negative items (0: unknown, those never match). */
bool tt_select_number(const struct tt_select *select, enum tt_select_key key, int64_t value, int64_t total);
bool tt_select_word(const struct tt_select *select, enum tt_select_key key, const char *word);

/* What is known of one thing; keys left out of `known` are not looked at (see tt_select_unknown). */
struct tt_select_subject {
    uint32_t known; /* bits 1 << key */
    int64_t numbers[TT_SELECT_KEY_COUNT];
    int64_t totals[TT_SELECT_KEY_COUNT];
    const char *words[TT_SELECT_KEY_COUNT];
};
void tt_select_set_number(struct tt_select_subject *subject, enum tt_select_key key, int64_t value,
                          int64_t total);
void tt_select_set_word(struct tt_select_subject *subject, enum tt_select_key key, const char *word);

/* All mentioned keys that the subject knows hold. */
bool tt_select_match(const struct tt_select *select, const struct tt_select_subject *subject);

/* Names of mentioned keys outside `known`, "layer, component", owned by the caller; NULL when there are
 * none. For the line that says what could not be applied: a filter is never ignored in silence. */
char *tt_select_unknown(const struct tt_select *select, uint32_t known);

#endif
