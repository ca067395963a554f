/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors and allocation for the analyzer (base/error.h).
 */
#include "base/error.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A message quotes foreign files and stays one line, whatever they hold. */
static void keep_printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == '\x7f')
            *text = '?';
}

int(tt_fail)(struct tt_error *error, enum tt_error_code code, const char *format, ...)
{
    if (!error)
        return -1;
    va_list arguments;
    va_start(arguments, format);
    error->code = code;
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    keep_printable(error->message);
    return -1;
}

static void *checked(void *memory, size_t bytes)
{
    if (memory || bytes == 0)
        return memory;
    fprintf(stderr, "tensortap: out of memory (%zu bytes asked for)\n", bytes);
    exit(2);
}

void *tt_alloc(size_t bytes)
{
    size_t size = bytes ? bytes : 1;
    return checked(calloc(1, size), size);
}

static size_t product(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        checked(NULL, SIZE_MAX);
    return bytes;
}

void *tt_alloc_array(size_t count, size_t size)
{
    return tt_alloc(product(count, size));
}

void *tt_grow(void *old, size_t count, size_t size)
{
    size_t bytes = product(count, size);
    return checked(realloc(old, bytes ? bytes : 1), bytes ? bytes : 1);
}

char *tt_strdup(const char *text)
{
    if (!text)
        return NULL;
    size_t bytes = strlen(text) + 1;
    return memcpy(tt_alloc(bytes), text, bytes);
}

char *tt_format(const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = tt_alloc(length < 0 ? 1 : (size_t)length + 1);
    if (length >= 0)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}
