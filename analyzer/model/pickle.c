/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: the machine that a pickle is a program for, without its instructions (pickle_opcodes.c).
 * Invariants: each value made costs a byte of the pickle at least, and no more than MOST_VALUES are; no read passes
 * the end. Format: Python's Lib/pickletools.py.
 */
#include "model/pickle_machine.h"

#include <stdlib.h>
#include <string.h>

#include "model/file.h"

#define MOST_VALUES   (8u << 20)
#define CHUNK         1024 /* values allocated together */
#define DEEPEST_STACK (1u << 20)

struct chunk {
    struct chunk *next;
    unsigned used;
    struct tt_pickle_value values[CHUNK];
};

struct tt_pickle {
    struct chunk *chunks;
    size_t count; /* of values */
    struct tt_pickle_value *root;
};

int tt_pickle_damaged(const struct machine *m, const char *fault)
{
    return tt_fail(m->error, TT_EINPUT, "%s: %s at byte %llu: it is damaged; save or download it again", m->what, fault,
                   (unsigned long long)(m->at - m->start));
}

/* ---- values ---- */

struct tt_pickle_value *tt_pickle_new_value(struct machine *m, enum tt_pickle_kind kind)
{
    struct tt_pickle *pickle = m->pickle;

    if (pickle->count++ == MOST_VALUES) {
        tt_pickle_damaged(m, "more objects than any model's tensors need");
        return NULL;
    }
    if (!pickle->chunks || pickle->chunks->used == CHUNK) {
        struct chunk *chunk = tt_alloc(sizeof *chunk);
        chunk->next = pickle->chunks;
        pickle->chunks = chunk;
    }
    struct tt_pickle_value *value = &pickle->chunks->values[pickle->chunks->used++];
    value->kind = kind;
    return value;
}

void tt_pickle_append(struct tt_pickle_value *value, struct tt_pickle_value *item)
{
    if (value->count == value->capacity) {
        value->capacity = value->capacity ? 2 * value->capacity : 4;
        value->items = tt_grow(value->items, value->capacity, sizeof(struct tt_pickle_value *));
    }
    value->items[value->count++] = item;
}

int tt_pickle_push(struct machine *m, struct tt_pickle_value *value)
{
    if (!value)
        return -1;
    if (m->depth == DEEPEST_STACK)
        return tt_pickle_damaged(m, "too many values on the stack");
    if (m->depth == m->stack_room) {
        m->stack_room = m->stack_room ? 2 * m->stack_room : 64;
        m->stack = tt_grow(m->stack, m->stack_room, sizeof(struct tt_pickle_value *));
    }
    m->stack[m->depth++] = value;
    return 0;
}

struct tt_pickle_value *tt_pickle_pop(struct machine *m)
{
    if (m->depth == 0 || m->stack[m->depth - 1]->kind == TT_PICKLE_MARK) {
        tt_pickle_damaged(m, "a value is missing");
        return NULL;
    }
    return m->stack[--m->depth];
}

size_t tt_pickle_find_mark(struct machine *m)
{
    for (size_t i = m->depth; i-- > 0;)
        if (m->stack[i]->kind == TT_PICKLE_MARK)
            return i;
    tt_pickle_damaged(m, "a mark is missing");
    return m->depth;
}

const uint8_t *tt_pickle_take(struct machine *m, uint64_t count)
{
    if (count > (uint64_t)(m->end - m->at)) {
        tt_pickle_damaged(m, "it ends in the middle");
        return NULL;
    }
    m->at += count;
    return m->at - count;
}

int tt_pickle_take_number(struct machine *m, unsigned width, uint64_t *number)
{
    const uint8_t *at = tt_pickle_take(m, width);

    *number = 0;
    if (!at)
        return -1;
    memcpy(number, at, width);
    *number = le64toh(*number);
    return 0;
}

/* ---- memo ---- */

int tt_pickle_memo_put(struct machine *m, uint64_t index)
{
    if (m->depth == 0 || index >= MOST_VALUES || m->stack[m->depth - 1]->kind == TT_PICKLE_MARK)
        return tt_pickle_damaged(m, "nothing to remember, or too much");
    if (index >= m->memo_room) {
        size_t room = m->memo_room, wanted = 2 * (size_t)index + 64;
        if (index > m->pickle->count + 256) /* numbers run from 0 on */
            return tt_pickle_damaged(m, "an object is remembered under a wild number");
        m->memo = tt_grow(m->memo, wanted, sizeof(struct tt_pickle_value *));
        memset(m->memo + room, 0, (wanted - room) * sizeof(struct tt_pickle_value *));
        m->memo_room = wanted;
    }
    m->memo[index] = m->stack[m->depth - 1];
    return 0;
}

/* ---- all ---- */

static int run(struct machine *m)
{
    while (!m->stopped)
        if (tt_pickle_step(m))
            return -1;
    return 0;
}

struct tt_pickle *tt_pickle_read(const uint8_t *bytes, uint64_t size, const char *const *globals, const char *what,
                                 struct tt_error *error)
{
    struct machine m = {.pickle = tt_alloc(sizeof(struct tt_pickle)), .start = bytes, .at = bytes,
                        .end = bytes + size, .globals = globals, .what = what, .error = error};
    int rc = run(&m);

    m.pickle->root = m.root;
    free(m.stack);
    free(m.memo);
    if (rc == 0)
        return m.pickle;
    tt_pickle_free(m.pickle);
    return NULL;
}

void tt_pickle_free(struct tt_pickle *pickle)
{
    struct chunk *next;

    for (struct chunk *chunk = pickle ? pickle->chunks : NULL; chunk; chunk = next) {
        for (unsigned i = 0; i < chunk->used; i++) {
            free(chunk->values[i].items);
            if (chunk->values[i].kind == TT_PICKLE_GLOBAL)
                free((char *)chunk->values[i].text.at);
        }
        next = chunk->next;
        free(chunk);
    }
    free(pickle);
}

const struct tt_pickle_value *tt_pickle_root(const struct tt_pickle *pickle)
{
    return pickle->root;
}

bool tt_pickle_is(const struct tt_pickle_value *value, const char *text)
{
    return value && (value->kind == TT_PICKLE_TEXT || value->kind == TT_PICKLE_GLOBAL) &&
           value->text.length == strlen(text) && memcmp(value->text.at, text, value->text.length) == 0;
}
