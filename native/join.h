// SPDX-License-Identifier: Apache-2.0
/* Starting the container's first process: in new namespaces, and in those of other containers. */
#ifndef CHRUN_JOIN_H
#define CHRUN_JOIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

/* Start a process in the new namespaces of these flags and in those that steps 27 of the plan name;
 * `is_held` says that the monitor will trace it (gate.h). Gives its pid, 0 in the process itself, or
 * -errno and the position of the step that failed. */
pid_t start_process(const struct plan *plan, uint64_t namespaces, bool is_held,
		    uint32_t *position);

/* Keep this process, in which the machine's files are still in sight, from being looked into by a
 * joined container that has CAP_SYS_PTRACE in its user namespace (CVE-2016-9962). execve(2) ends
 * it. */
int hide_from_joined(void);

/* Open the user namespace that a plan joins; -1 when it joins none. */
int open_joined_users(const struct plan *plan);

#endif
