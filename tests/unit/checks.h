/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks that go on after a failure. A test ends with `return failures != 0`.
 */
#ifndef TT_TESTS_CHECKS_H
#define TT_TESTS_CHECKS_H

#include <stdio.h>

static int failures;

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s: not so: %s\n", __FILE__, __LINE__, __func__, #condition);            \
            failures++;                                                                                      \
        }                                                                                                    \
    } while (0)

#endif
