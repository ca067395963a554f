/* SPDX-License-Identifier: Apache-2.0
 *
 * The functions of tensortap/tensortap.h: marks, start and stop, and calls recorded by foreign glue.
 */
#define TENSORTAP_API __attribute__((visibility("default")))
#include "tensortap/tensortap.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

struct tensortap_call {
    struct tt_call_scope scope;
    struct tt_recorder *recorder;
    char *values[TT_CALL_MAX_ATTRS]; /* texts of attributes, needed until the call has begun */
    int nvalues;
};

/* Names that glue sends: the recorder wants static strings, and there are few different ones. Open hashing,
 * never freed, never full in practice; a full table maps to one name. */
enum { INTERNED = 4096 };
static _Atomic(char *) interned[INTERNED];

static const char *intern(const char *text)
{
    size_t hash = 5381;
    for (const char *c = text ? text : ""; *c; c++)
        hash = hash * 33 + (unsigned char)*c;
    for (size_t i = 0; text && i < INTERNED; i++) {
        _Atomic(char *) *slot = &interned[(hash + i) % INTERNED];
        char *known = atomic_load(slot);
        if (!known) {
            char *copy = strdup(text);
            if (!copy)
                break;
            if (atomic_compare_exchange_strong(slot, &known, copy))
                return copy;
            free(copy);
        }
        if (strcmp(known, text) == 0)
            return known;
    }
    return "?";
}

static void mark(const char *text, bool epoch)
{
    struct tt_section section;
    struct tt_recorder *recorder = tt_core_on() ? tt_section_enter(&section) : NULL;
    if (!recorder)
        return;
    tt_recorder_mark(recorder, text ? text : "", epoch);
    tt_section_leave(&section);
}

void tensortap_mark(const char *text)
{
    mark(text, false);
}

void tensortap_pass(const char *text)
{
    mark(text, true);
}

void tensortap_start(void)
{
    atomic_store(&tt_paused, false);
}

void tensortap_stop(void)
{
    atomic_store(&tt_paused, true);
}

tensortap_call *tensortap_call_begin(const char *tap, const char *op, const char *name)
{
    struct tt_section section;
    struct tt_recorder *recorder = tt_core_on() ? tt_section_enter(&section) : NULL;
    if (!recorder)
        return NULL;
    tensortap_call *call = malloc(sizeof(*call));
    if (call) {
        call->recorder = recorder;
        call->nvalues = 0;
        if (!tt_call_enter(&call->scope, recorder, intern(tap), intern(op), intern(name))) {
            free(call);
            call = NULL;
        }
    }
    tt_section_leave(&section);
    return call;
}

void tensortap_call_attr_i64(tensortap_call *call, const char *name, int64_t value)
{
    if (call && !call->scope.begun)
        tt_call_i64(&call->scope, intern(name), value);
}

void tensortap_call_attr_f64(tensortap_call *call, const char *name, double value)
{
    if (call && !call->scope.begun)
        tt_call_f64(&call->scope, intern(name), value);
}

void tensortap_call_attr_str(tensortap_call *call, const char *name, const char *value)
{
    char *copy;
    if (!call || call->scope.begun || call->nvalues == TT_CALL_MAX_ATTRS || !value || !(copy = strdup(value)))
        return;
    call->values[call->nvalues++] = copy;
    tt_call_str(&call->scope, intern(name), copy);
}

static void row_major(int64_t *strides, const int64_t *shape, int rank)
{
    int64_t stride = 1;
    for (int axis = rank - 1; axis >= 0; axis--) {
        strides[axis] = stride;
        stride *= shape[axis];
    }
}

/* False when this is no tensor. */
static bool make_view(struct tt_tensor_view *view, int dtype, int rank, const int64_t *shape,
                      const int64_t *strides, const void *data)
{
    if (rank < 0 || rank > TT_MAX_RANK || dtype <= TT_NONE || dtype >= TT_DTYPE_COUNT)
        return false;
    *view = (struct tt_tensor_view){.dtype = (enum tt_dtype)dtype, .rank = rank, .data = data};
    if (rank)
        memcpy(view->shape, shape, (size_t)rank * sizeof(*shape));
    if (rank && strides)
        memcpy(view->strides, strides, (size_t)rank * sizeof(*strides));
    else
        row_major(view->strides, view->shape, rank);
    return true;
}

void tensortap_call_announce(tensortap_call *call, int dtype, int rank, const int64_t *shape,
                             const int64_t *strides, const void *data)
{
    struct tt_section section;
    struct tt_tensor_view view;
    if (!call || !make_view(&view, dtype, rank, shape, strides, data) ||
        !tt_section_resume(&section, call->recorder))
        return;
    tt_call_announce(&call->scope, &view);
    tt_section_leave(&section);
}

void tensortap_call_operand(tensortap_call *call, const char *role, int when, int dtype, int rank,
                            const int64_t *shape, const int64_t *strides, const void *data)
{
    struct tt_section section;
    struct tt_tensor_view view;
    if (!call || !make_view(&view, dtype, rank, shape, strides, data) ||
        !tt_section_resume(&section, call->recorder))
        return;
    if (!call->scope.begun)
        tt_call_begin(&call->scope);
    tt_call_operand(&call->scope, intern(role), when ? TT_AFTER : TT_BEFORE, &view);
    tt_section_leave(&section);
}

void tensortap_call_end(tensortap_call *call)
{
    struct tt_section section;
    if (!call)
        return;
    if (tt_section_resume(&section, call->recorder)) {
        if (!call->scope.begun)
            tt_call_begin(&call->scope);
        tt_call_end(&call->scope);
        tt_section_leave(&section);
    }
    for (int i = 0; i < call->nvalues; i++)
        free(call->values[i]);
    free(call);
}

int tensortap_dtype(const char *name)
{
    for (int dtype = 1; dtype < TT_DTYPE_COUNT; dtype++)
        if (name && strcmp(tt_dtype_info((unsigned)dtype)->name, name) == 0)
            return dtype;
    return 0;
}
