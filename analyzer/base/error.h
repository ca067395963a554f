/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors of the analyzer: a code and one line that says what, where and what to do.
 */
#ifndef TT_BASE_ERROR_H
#define TT_BASE_ERROR_H

#include <stddef.h>

enum tt_error_code {
    TT_OK = 0,
    TT_EINPUT,  /* bad input or usage: exit 2 */
    TT_ESYSTEM, /* the system refused (disk, memory, permission): exit 2 */
};

struct tt_error {
    enum tt_error_code code;
    char message[1024];
};

/* Formats the message, returns -1 so that a caller can write `return tt_fail(error, …)`. `error` may be NULL. */
int tt_fail(struct tt_error *error, enum tt_error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Shows the compiler the -1, which it needs to see that what a function sets on success is set. */
static inline int tt_failed(int result)
{
    (void)result;
    return -1;
}
#define tt_fail(...) tt_failed(tt_fail(__VA_ARGS__))

/* Aborting allocators would lose work in progress nowhere in an offline tool: these exit(2) with a line. */
void *tt_alloc(size_t bytes);                 /* zeroed */
void *tt_alloc_array(size_t count, size_t size); /* zeroed, checked product */
void *tt_grow(void *old, size_t count, size_t size);
char *tt_strdup(const char *text);
char *tt_format(const char *format, ...) __attribute__((format(printf, 1, 2))); /* owned by the caller */

#endif
