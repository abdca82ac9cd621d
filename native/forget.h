// SPDX-License-Identifier: Apache-2.0
/* Paths of the host and other facts about it must not stay in the memory of a process in the container,
 * because root in the container can read it. */
#ifndef CHRUN_FORGET_H
#define CHRUN_FORGET_H

#include "plan.h"

/* Clear the stack of the calls that have returned. */
void forget_calls(void);

/* Unmap the plan. */
int forget_plan(const struct plan *plan);

/* Where the stack ends, behind command line and environment; NULL where the kernel does not say. */
char *stack_end(void);

/* Clear the stack from `frame` to its end, but for the name of the program. The functions whose
 * frames lie there must not be returned to. */
void forget_callers(char *frame, const char *end);

#endif
