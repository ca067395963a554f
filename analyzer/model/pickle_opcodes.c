/* SPDX-License-Identifier: Apache-2.0
 *
 * Job: the instructions of a pickle, without what makes them dangerous: nothing is imported, called or built; REDUCE
 * and NEWOBJ leave a note of what would be called. Format: Python's Lib/pickletools.py.
 */
#include <string.h>

#include "model/file.h"
#include "model/pickle_machine.h"

/* ---- what opcodes carry ---- */

static int push_integer(struct machine *m, enum tt_pickle_kind kind, int64_t integer)
{
    struct tt_pickle_value *value = tt_pickle_new_value(m, kind);
    if (value)
        value->integer = integer;
    return tt_pickle_push(m, value);
}

static int push_text(struct machine *m, enum tt_pickle_kind kind, const void *at, size_t length)
{
    struct tt_pickle_value *value = at ? tt_pickle_new_value(m, kind) : NULL;
    if (value) {
        value->text.at = at;
        value->text.length = length;
    }
    return tt_pickle_push(m, value);
}

/* A text behind its length of `width` bytes. */
static int op_text(struct machine *m, unsigned width)
{
    uint64_t length;
    return tt_pickle_take_number(m, width, &length) ? -1 : push_text(m, TT_PICKLE_TEXT, tt_pickle_take(m, length), length);
}

static int op_integer(struct machine *m, unsigned width)
{
    uint64_t number;
    if (tt_pickle_take_number(m, width, &number))
        return -1;
    return push_integer(m, TT_PICKLE_INTEGER, width == 4 ? (int32_t)number : (int64_t)number);
}

/* Two's complement of any length: longer ones than 64 bits are no sizes of tensors. */
static int op_long(struct machine *m, unsigned width)
{
    uint64_t length, number = 0;

    if (tt_pickle_take_number(m, width, &length))
        return -1;
    const uint8_t *at = tt_pickle_take(m, length);
    if (!at)
        return -1;
    if (length > 8)
        return tt_pickle_push(m, tt_pickle_new_value(m, TT_PICKLE_NONE));
    if (length > 0)
        memcpy(&number, at, length);
    number = le64toh(number);
    if (length > 0 && length < 8 && at[length - 1] & 0x80)
        number |= ~0ull << (8 * length);
    return push_integer(m, TT_PICKLE_INTEGER, (int64_t)number);
}

static int op_float(struct machine *m, unsigned unused)
{
    const uint8_t *at = tt_pickle_take(m, 8);
    struct tt_pickle_value *value = at ? tt_pickle_new_value(m, TT_PICKLE_NUMBER) : NULL;
    uint64_t bits;

    (void)unused;
    if (value) {
        memcpy(&bits, at, 8);
        bits = be64toh(bits);
        memcpy(&value->number, &bits, 8);
    }
    return tt_pickle_push(m, value);
}

static int op_empty(struct machine *m, unsigned kind)
{
    return tt_pickle_push(m, tt_pickle_new_value(m, (enum tt_pickle_kind)kind));
}

static int op_bool(struct machine *m, unsigned truth)
{
    return push_integer(m, TT_PICKLE_BOOL, truth);
}

/* ---- globals ---- */

static int check_global(struct machine *m, const struct tt_pickle_value *global)
{
    for (const char *const *name = m->globals; *name; name++)
        if (tt_pickle_is(global, *name))
            return 0;
    struct tt_printable name = tt_printable(global->text.at, global->text.length);
    for (char *space = name.text; *space; space++)
        *space = *space == ' ' ? '.' : *space;
    return tt_fail(m->error, TT_EINPUT,
                   "%s needs the Python object %s, which is not tensors in dictionaries and is never loaded; save "
                   "model.state_dict() or use safetensors",
                   m->what, name.text);
}

static const uint8_t *take_line(struct machine *m, size_t *length)
{
    const uint8_t *end = memchr(m->at, '\n', (size_t)(m->end - m->at)), *start = m->at;

    if (!end) {
        tt_pickle_damaged(m, "a name has no end");
        return NULL;
    }
    *length = (size_t)(end - start);
    m->at = end + 1;
    return start;
}

/* "module\nname\n": the same bytes with a blank between, which needs a copy. */
static int push_global(struct machine *m, const void *module, size_t module_length, const void *name,
                       size_t name_length)
{
    struct tt_pickle_value *value = tt_pickle_new_value(m, TT_PICKLE_GLOBAL);

    if (!value)
        return -1;
    value->text.length = module_length + 1 + name_length;
    char *text = tt_alloc(value->text.length);
    memcpy(text, module, module_length);
    text[module_length] = ' ';
    memcpy(text + module_length + 1, name, name_length);
    value->text.at = text;
    return check_global(m, value) ? -1 : tt_pickle_push(m, value);
}

static int op_global(struct machine *m, unsigned unused)
{
    size_t module_length, name_length;
    const uint8_t *module = take_line(m, &module_length);
    const uint8_t *name = module ? take_line(m, &name_length) : NULL;

    (void)unused;
    return name ? push_global(m, module, module_length, name, name_length) : -1;
}

static int op_stack_global(struct machine *m, unsigned unused)
{
    struct tt_pickle_value *name = tt_pickle_pop(m), *module = name ? tt_pickle_pop(m) : NULL;

    (void)unused;
    if (!module)
        return -1;
    if (name->kind != TT_PICKLE_TEXT || module->kind != TT_PICKLE_TEXT)
        return tt_pickle_damaged(m, "the name of an object is no text");
    return push_global(m, module->text.at, module->text.length, name->text.at, name->text.length);
}

/* ---- containers ---- */

static int op_mark(struct machine *m, unsigned unused)
{
    (void)unused;
    return tt_pickle_push(m, tt_pickle_new_value(m, TT_PICKLE_MARK));
}

/* All above the mark as one sequence. */
static int op_tuple_of_mark(struct machine *m, unsigned kind)
{
    size_t mark = tt_pickle_find_mark(m);
    struct tt_pickle_value *value = mark < m->depth ? tt_pickle_new_value(m, (enum tt_pickle_kind)kind) : NULL;

    if (!value)
        return -1;
    for (size_t i = mark + 1; i < m->depth; i++)
        tt_pickle_append(value, m->stack[i]);
    m->depth = mark;
    return tt_pickle_push(m, value);
}

static int op_tuple(struct machine *m, unsigned count)
{
    struct tt_pickle_value *items[3];
    struct tt_pickle_value *value = tt_pickle_new_value(m, TT_PICKLE_SEQUENCE);

    for (unsigned i = count; i-- > 0;)
        if (!value || !(items[i] = tt_pickle_pop(m)))
            return -1;
    for (unsigned i = 0; i < count && value; i++)
        tt_pickle_append(value, items[i]);
    return tt_pickle_push(m, value);
}

static bool is_dictionary_call(const struct tt_pickle_value *value)
{
    return value->kind == TT_PICKLE_CALL && (tt_pickle_is(value->called, "collections OrderedDict") ||
                                             tt_pickle_is(value->called, "collections defaultdict"));
}

/* The object that items are added to: an OrderedDict is the note of a call at first. */
static struct tt_pickle_value *container(struct machine *m, enum tt_pickle_kind kind)
{
    struct tt_pickle_value *value = m->depth > 0 ? m->stack[m->depth - 1] : NULL;

    if (value && kind == TT_PICKLE_DICTIONARY && is_dictionary_call(value)) {
        value->kind = TT_PICKLE_DICTIONARY;
        value->count = 0; /* a defaultdict's factory */
    }
    if (value && value->kind == kind)
        return value;
    tt_pickle_damaged(m, "items are added to what holds none");
    return NULL;
}

/* Items above the mark go into the container below it. */
static int op_extend(struct machine *m, unsigned kind)
{
    size_t depth = m->depth, mark = tt_pickle_find_mark(m);

    if (mark == depth)
        return -1;
    m->depth = mark;
    struct tt_pickle_value *into = container(m, (enum tt_pickle_kind)kind);
    if (!into)
        return -1;
    if (kind == TT_PICKLE_DICTIONARY && (depth - mark) % 2 == 0)
        return tt_pickle_damaged(m, "a key has no value");
    for (size_t i = mark + 1; i < depth; i++)
        tt_pickle_append(into, m->stack[i]);
    return 0;
}

static int op_append(struct machine *m, unsigned unused)
{
    struct tt_pickle_value *item = tt_pickle_pop(m), *into = item ? container(m, TT_PICKLE_SEQUENCE) : NULL;

    (void)unused;
    if (!into)
        return -1;
    tt_pickle_append(into, item);
    return 0;
}

static int op_set_item(struct machine *m, unsigned unused)
{
    struct tt_pickle_value *item = tt_pickle_pop(m), *key = item ? tt_pickle_pop(m) : NULL;
    struct tt_pickle_value *into = key ? container(m, TT_PICKLE_DICTIONARY) : NULL;

    (void)unused;
    if (!into)
        return -1;
    tt_pickle_append(into, key);
    tt_pickle_append(into, item);
    return 0;
}

/* ---- what would be executed ---- */

static int op_call(struct machine *m, unsigned unused)
{
    struct tt_pickle_value *arguments = tt_pickle_pop(m), *called = arguments ? tt_pickle_pop(m) : NULL;

    (void)unused;
    if (!called)
        return -1;
    if (called->kind != TT_PICKLE_GLOBAL || arguments->kind != TT_PICKLE_SEQUENCE)
        return tt_pickle_damaged(m, "something else than a named object is called");
    struct tt_pickle_value *value = tt_pickle_new_value(m, TT_PICKLE_CALL);
    if (!value)
        return -1;
    for (uint32_t i = 0; i < arguments->count; i++)
        tt_pickle_append(value, arguments->items[i]);
    value->called = called;
    return tt_pickle_push(m, value);
}

/* State of an object (a dictionary's `_metadata`): nothing that tensors need. */
static int op_build(struct machine *m, unsigned unused)
{
    (void)unused;
    if (!tt_pickle_pop(m))
        return -1;
    return m->depth > 0 ? 0 : tt_pickle_damaged(m, "a value is missing");
}

static int op_persistent(struct machine *m, unsigned unused)
{
    struct tt_pickle_value *id = tt_pickle_pop(m), *value = id ? tt_pickle_new_value(m, TT_PICKLE_PERSISTENT) : NULL;

    (void)unused;
    if (!value)
        return -1;
    tt_pickle_append(value, id);
    return tt_pickle_push(m, value);
}

/* ---- memo ---- */

static int op_put(struct machine *m, unsigned width)
{
    uint64_t index;
    return tt_pickle_take_number(m, width, &index) ? -1 : tt_pickle_memo_put(m, index);
}

static int op_memoize(struct machine *m, unsigned unused)
{
    (void)unused;
    return tt_pickle_memo_put(m, m->memo_next++);
}

static int op_get(struct machine *m, unsigned width)
{
    uint64_t index;

    if (tt_pickle_take_number(m, width, &index))
        return -1;
    if (index >= m->memo_room || !m->memo[index])
        return tt_pickle_damaged(m, "an object is used that was never made");
    return tt_pickle_push(m, m->memo[index]);
}

/* ---- the rest ---- */

static int op_skip(struct machine *m, unsigned count)
{
    return tt_pickle_take(m, count) ? 0 : -1;
}

static int op_pop(struct machine *m, unsigned unused)
{
    (void)unused;
    if (m->depth == 0)
        return tt_pickle_damaged(m, "a value is missing");
    m->depth--;
    return 0;
}

static int op_stop(struct machine *m, unsigned unused)
{
    (void)unused;
    m->root = tt_pickle_pop(m);
    m->stopped = true;
    return m->root ? 0 : -1;
}

static const struct opcode {
    int (*run)(struct machine *, unsigned argument);
    unsigned argument;
} opcodes[256] = {
    [0x80] = {op_skip, 1},     /* PROTO */
    [0x95] = {op_skip, 8},     /* FRAME */
    ['.'] = {op_stop, 0},      /* STOP */
    ['('] = {op_mark, 0},      /* MARK */
    ['0'] = {op_pop, 0},       /* POP */
    ['N'] = {op_empty, TT_PICKLE_NONE},
    [0x88] = {op_bool, 1},     /* NEWTRUE */
    [0x89] = {op_bool, 0},     /* NEWFALSE */
    ['J'] = {op_integer, 4},   /* BININT */
    ['M'] = {op_integer, 2},   /* BININT2 */
    ['K'] = {op_integer, 1},   /* BININT1 */
    [0x8a] = {op_long, 1},     /* LONG1 */
    [0x8b] = {op_long, 4},     /* LONG4 */
    ['G'] = {op_float, 0},     /* BINFLOAT */
    ['X'] = {op_text, 4},      /* BINUNICODE */
    [0x8c] = {op_text, 1},     /* SHORT_BINUNICODE */
    [0x8d] = {op_text, 8},     /* BINUNICODE8 */
    ['T'] = {op_text, 4},      /* BINSTRING */
    ['U'] = {op_text, 1},      /* SHORT_BINSTRING */
    ['B'] = {op_text, 4},      /* BINBYTES */
    ['C'] = {op_text, 1},      /* SHORT_BINBYTES */
    ['c'] = {op_global, 0},    /* GLOBAL */
    [0x93] = {op_stack_global, 0},
    [')'] = {op_empty, TT_PICKLE_SEQUENCE},   /* EMPTY_TUPLE */
    [']'] = {op_empty, TT_PICKLE_SEQUENCE},   /* EMPTY_LIST */
    ['}'] = {op_empty, TT_PICKLE_DICTIONARY}, /* EMPTY_DICT */
    [0x8f] = {op_empty, TT_PICKLE_SEQUENCE},  /* EMPTY_SET */
    ['t'] = {op_tuple_of_mark, TT_PICKLE_SEQUENCE},
    ['l'] = {op_tuple_of_mark, TT_PICKLE_SEQUENCE},
    [0x85] = {op_tuple, 1},
    [0x86] = {op_tuple, 2},
    [0x87] = {op_tuple, 3},
    ['a'] = {op_append, 0},
    ['e'] = {op_extend, TT_PICKLE_SEQUENCE},   /* APPENDS */
    [0x90] = {op_extend, TT_PICKLE_SEQUENCE},  /* ADDITEMS */
    ['s'] = {op_set_item, 0},
    ['u'] = {op_extend, TT_PICKLE_DICTIONARY}, /* SETITEMS */
    ['R'] = {op_call, 0},                      /* REDUCE */
    [0x81] = {op_call, 0},                     /* NEWOBJ */
    ['b'] = {op_build, 0},                     /* BUILD */
    ['Q'] = {op_persistent, 0},                /* BINPERSID */
    ['q'] = {op_put, 1},
    ['r'] = {op_put, 4},
    [0x94] = {op_memoize, 0},
    ['h'] = {op_get, 1},
    ['j'] = {op_get, 4},
};

int tt_pickle_step(struct machine *m)
{
    const uint8_t *code = tt_pickle_take(m, 1);

    if (!code)
        return -1;
    if (!opcodes[*code].run)
        return tt_pickle_damaged(m, "an instruction that no dictionary of tensors needs");
    return opcodes[*code].run(m, opcodes[*code].argument);
}
