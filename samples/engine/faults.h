/* SPDX-License-Identifier: Apache-2.0
 *
 * Faults that can be planted into a loaded model: each gives one step of the forward pass a wrong argument.
 */
#ifndef ENGINE_FAULTS_H
#define ENGINE_FAULTS_H

#include "model.h"
#include "problem.h"

#define FAULT_DEFAULT_LAYER -2
#define FAULT_ALL_LAYERS    -1

/* `layer`: a layer, FAULT_ALL_LAYERS or FAULT_DEFAULT_LAYER. `component` chooses which norm, linear layer or
 * residual is hit, NULL: the table's. −1 when there is no such fault or the model cannot have it. */
int fault_plant(struct model *model, const char *name, int layer, const char *component,
                struct problem *problem);

/* The table, one fault a line, tab separated:
 * name, component, cause, model requirement, traffic requirement, default layer, what happens. */
void fault_list(void);

#endif
