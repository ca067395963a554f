/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensor names, both ways.
 */
#include "commands/tensor_name.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int (*tt_resolve_component)(const struct tt_capture *capture, const char *name, struct tt_tensor_found *found,
                            struct tt_error *error);

struct tt_tensor_name tt_tensor_name_of(const struct tt_recorded_call *call, const struct tt_operand *operand)
{
    struct tt_tensor_name name;
    bool both = tt_call_find(call, operand->role, TT_BEFORE) && tt_call_find(call, operand->role, TT_AFTER);
    snprintf(name.text, sizeof name.text, "%" PRIu64 ".%s%s", call->id, operand->role,
             !both                        ? ""
             : operand->when == TT_BEFORE ? ".before"
                                          : ".after");
    return name;
}

static const struct tt_recorded_call *call_of(const struct tt_capture *capture, uint64_t id)
{
    for (size_t i = 0; i < tt_capture_ncalls(capture); i++)
        if (tt_capture_call(capture, i)->id == id)
            return tt_capture_call(capture, i);
    return NULL;
}

/* Cuts ".before" or ".after" off `role`; -1: neither. */
static int cut_when(char *role)
{
    char *dot = strrchr(role, '.');
    int when = dot && strcmp(dot, ".before") == 0  ? TT_BEFORE
               : dot && strcmp(dot, ".after") == 0 ? TT_AFTER
                                                   : -1;
    if (when >= 0)
        *dot = 0;
    return when;
}

static int no_role(const struct tt_recorded_call *call, const char *role, struct tt_error *error)
{
    char known[512] = "";
    size_t at = 0;
    for (uint32_t i = 0; i < call->noperands && at < sizeof known - 1; i++)
        at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "",
                               tt_tensor_name_of(call, call->operands[i]).text);
    return tt_fail(error, TT_EINPUT, "call %" PRIu64 " (%s) has no operand '%s'; it has %s", call->id,
                   call->routine, role, *known ? known : "none");
}

/* "17.a.before" after its number was read; `rest` is "a.before", changed in place. */
static int find_operand(const struct tt_recorded_call *call, char *rest, struct tt_tensor_found *found,
                        struct tt_error *error)
{
    const struct tt_operand *operand = NULL;
    char *asked = tt_strdup(rest);
    int when = cut_when(rest), result = 0;
    if (when != TT_BEFORE)
        operand = tt_call_find(call, rest, TT_AFTER); /* both exist: the result is what is meant */
    if (when != TT_AFTER && !operand)
        operand = tt_call_find(call, rest, TT_BEFORE);
    if (operand)
        *found = (struct tt_tensor_found){call, operand};
    else
        result = no_role(call, asked, error);
    free(asked);
    return result;
}

int tt_tensor_find(const struct tt_capture *capture, const char *name, struct tt_tensor_found *found,
                   struct tt_error *error)
{
    char *end;
    if (!isdigit((unsigned char)*name)) {
        if (tt_resolve_component)
            return tt_resolve_component(capture, name, found, error);
        return tt_fail(error, TT_EINPUT, "'%s' is no tensor name; `tensortap ls` prints them, as in 17.c",
                       name);
    }
    uint64_t id = strtoull(name, &end, 10);
    const struct tt_recorded_call *call = call_of(capture, id);
    if (!call)
        return tt_fail(error, TT_EINPUT, "no call %" PRIu64 " in %s; it has %zu calls", id,
                       tt_capture_path(capture), tt_capture_ncalls(capture));
    if (*end != '.' || !end[1])
        return no_role(call, "", error);
    char *rest = tt_strdup(end + 1);
    int result = find_operand(call, rest, found, error);
    free(rest);
    return result;
}
