/* SPDX-License-Identifier: Apache-2.0
 *
 * An index from names to numbers. Names are borrowed and must outlive the index.
 */
#ifndef TT_MODEL_NAMES_H
#define TT_MODEL_NAMES_H

#include <stdbool.h>
#include <stddef.h>

struct tt_names;

struct tt_names *tt_names_new(void);
void tt_names_free(struct tt_names *names); /* NULL is allowed */

/* False when the name is there already; its number then stays. */
bool tt_names_add(struct tt_names *names, const char *name, size_t number);
bool tt_names_find(const struct tt_names *names, const char *name, size_t *number);

#endif
