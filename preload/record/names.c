/* SPDX-License-Identifier: Apache-2.0
 *
 * Short names of operands (names.h).
 */
#include "record/names.h"

#include <stdint.h>
#include <string.h>

#define ROLE_MOST 64

static char *put_text(char *at, const char *text, size_t most)
{
    size_t length = strnlen(text, most);
    memcpy(at, text, length);
    at[length] = 0;
    return at + length;
}

static char *put_number(char *at, uint64_t value)
{
    char digits[24], *first = digits + sizeof digits;
    *--first = 0;
    do
        *--first = (char)('0' + value % 10);
    while (value /= 10);
    return put_text(at, first, sizeof digits);
}

void tt_operand_kind(const struct tt_call_scope *call, const char *role, char kind[TT_NAME_BYTES])
{
    char *at = put_text(kind, call->private_[1], TT_NAME_BYTES - ROLE_MOST - 2);
    at = put_text(at, ".", 1);
    put_text(at, role, ROLE_MOST);
}

void tt_operand_name(struct tt_call_scope *call, const char *role, enum tt_when when, char name[TT_NAME_BYTES])
{
    uintptr_t *stored = (uintptr_t *)&call->private_[3], *number = (uintptr_t *)&call->private_[4];
    uint64_t hash = 0;
    for (const char *c = role; *c; c++)
        hash = hash * 31 + (unsigned char)*c;
    uintptr_t mask = (uintptr_t)1 << ((hash * 2 + when) % (sizeof mask * 8));
    char *at = put_text(name, "c", 1);
    at = put_number(at, call->id);
    at = put_text(at, ".", 1);
    at = put_text(at, role, ROLE_MOST);
    at = put_text(at, when == TT_BEFORE ? ".before" : ".after", 8);
    if (*stored & mask) {
        at = put_text(at, ".", 1);
        put_number(at, ++*number);
    }
    *stored |= mask;
}
