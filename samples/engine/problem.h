/* SPDX-License-Identifier: Apache-2.0
 *
 * Why something failed: one line that says what and where.
 */
#ifndef ENGINE_PROBLEM_H
#define ENGINE_PROBLEM_H

struct problem {
    char text[600];
};

/* Formats the line and returns −1, so that a caller can write `return fail(problem, …)`. */
int fail(struct problem *problem, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
