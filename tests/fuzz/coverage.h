/* SPDX-License-Identifier: Apache-2.0
 *
 * Which ways a case takes through the code that is built with -fsanitize-coverage=trace-pc.
 */
#ifndef TT_FUZZ_COVERAGE_H
#define TT_FUZZ_COVERAGE_H

#include <stdbool.h>

void coverage_begin(void);
/* True when the case since coverage_begin went where none went before, or a way more often than any. */
bool coverage_is_new(void);

#endif
