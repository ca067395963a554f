/* SPDX-License-Identifier: Apache-2.0
 *
 * Which function would the caller have reached without us?
 *
 * The answer depends on the calling object: two plugins loaded RTLD_LOCAL may each bring a BLAS of their own,
 * and then dlsym(RTLD_NEXT) finds none. So it is found per (name, calling object) and kept; a hit costs a load
 * and two comparisons.
 *
 * Known limit: a function that ends in a tail call to a routine shows its own caller's return address. That
 * matters only with two BLASes, and is written down in the capture when it happens.
 */
#ifndef TT_PRELOAD_REAL_H
#define TT_PRELOAD_REAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct tt_binding { /* immutable once published; freed never, there are few */
    uintptr_t low, high; /* addresses of the calling object: [low, high) */
    void *function; /* NULL: there is none */
    bool genuine; /* see tt_real_genuine */
    struct tt_binding *next;
};

struct tt_site { /* one per wrapped name */
    const char *name;
    const char *companion; /* a name that a library with the expected signature exports too, or NULL */
    _Atomic(struct tt_binding *) bindings;
    atomic_bool told; /* that nothing defines the name */
};

/* Slow path of the two functions below. Never returns NULL; the binding's function is NULL when no loaded
 * object defines the name. */
const struct tt_binding *tt_real_bind(struct tt_site *site, const void *caller);

static inline const struct tt_binding *tt_real_binding(struct tt_site *site, const void *caller)
{
    struct tt_binding *binding = atomic_load_explicit(&site->bindings, memory_order_acquire);
    for (; binding; binding = binding->next)
        if ((uintptr_t)caller - binding->low < binding->high - binding->low)
            return binding;
    return tt_real_bind(site, caller);
}

/* The function itself, as the caller would have found it, or NULL. */
static inline void *tt_real(struct tt_site *site, const void *caller)
{
    return tt_real_binding(site, caller)->function;
}

/* Does this binding's library really mean the routine that the name suggests? Names without decoration (saxpy)
 * are popular: they count only beside their companion (saxpy_) in the same object. */
static inline bool tt_real_genuine(const struct tt_binding *binding)
{
    return binding->genuine;
}

#endif
