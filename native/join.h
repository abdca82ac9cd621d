// SPDX-License-Identifier: Apache-2.0
/* Starting the container's first process: in new namespaces, and in those of other containers. */
#ifndef CHRUN_JOIN_H
#define CHRUN_JOIN_H

#include <stdint.h>
#include <sys/types.h>

#include "gate.h"
#include "plan.h"

/* Start a process in the new namespaces of these flags and in those that steps 27 of the plan name;
 * with a gate's descriptor, who joins is held by that gate. Gives its pid, 0 in the process itself,
 * or -errno and the position of the step that failed. */
pid_t start_process(const struct plan *plan, uint64_t namespaces, struct gate *gate,
		    uint32_t *position);

/* Open the user namespace that a plan joins; -1 when it joins none. */
int open_joined_users(const struct plan *plan);

#endif
