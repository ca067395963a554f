/* SPDX-License-Identifier: Apache-2.0
 *
 * See faults.h.
 */
#include "faults.h"

int fault_plant(struct model *model, const char *name, int layer, const char *component,
                struct problem *problem)
{
    return fail(problem, "--fault %.60s: no such fault, see --list-faults", name);
}

void fault_list(void)
{
}
