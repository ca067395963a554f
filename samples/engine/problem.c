/* SPDX-License-Identifier: Apache-2.0
 *
 * See problem.h.
 */
#include "problem.h"

#include <stdarg.h>
#include <stdio.h>

int fail(struct problem *problem, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(problem->text, sizeof(problem->text), format, arguments);
    va_end(arguments);
    return -1;
}
