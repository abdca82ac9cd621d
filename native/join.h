// SPDX-License-Identifier: Apache-2.0
/* Starting the container's processes in new namespaces, and in those of other containers. */
#ifndef CHRUN_JOIN_H
#define CHRUN_JOIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "gate.h"
#include "plan.h"

/* Start the reaper in the new namespaces of these flags and in those that steps 27 of the plan name.
 * With a gate's descriptor, that gate holds the process that joins, and then the reaper. Returns its
 * pid, 0 in the reaper itself, or -errno and the position of the step that failed. */
pid_t start_reaper(const struct plan *plan, uint64_t namespaces, struct gate *gate,
		   uint32_t *position);

/* clone3(2), or clone(2) where that is missing: before Linux 5.3, and where a filter refuses it because
 * it cannot look into clone3's memory. */
pid_t clone_process(uint64_t flags);

/* Whether a plan joins a namespace of the type that a clone(2) flag stands for. */
bool joins(const struct plan *plan, uint64_t flag);

/* Open the user namespace that a plan joins; -1 when it joins none. */
int open_joined_users(const struct plan *plan);

#endif
