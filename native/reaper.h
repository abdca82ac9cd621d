// SPDX-License-Identifier: Apache-2.0
/* The process between the monitor and the container's first process. The reaper is PID 1 of a pid namespace
 * around the container's own, so the kernel kills every process of the container when it ends; the
 * container can neither see nor signal it. It ends when the monitor does, by SIGKILL too.
 *
 * Where the container has no pid namespace of its own, the reaper is a child subreaper instead
 * (PR_SET_CHILD_SUBREAPER, prctl(2)), and kills what is left below it. */
#ifndef CHRUN_REAPER_H
#define CHRUN_REAPER_H

#include <stdbool.h>
#include <stdint.h>

#include "command.h"
#include "monitor.h"

struct reaper {
	const struct plan *plan;
	const struct options *options;
	const struct command *command;
	uint64_t namespaces; /* clone(2) flags of the first process */
	int monitor;         /* a socket: the wait status of the first process goes there */
	int peer;            /* the first process's socket to the monitor */
};

/* Clone the first process, send the monitor its wait status, and wait for the end of the socket
 * before its pid is released. The exit status is 0, or the errno of end_orphans (process.h). */
_Noreturn void run_reaper(const struct reaper *r);

/* Whether the reaper, and the monitor above it, adopt what the container leaves: where it has no pid
 * namespace. Processes in a joined one end with that. */
bool is_subreaper(const struct plan *plan, uint64_t namespaces);

/* The clone(2) flags of the reaper, for a container with these namespaces. */
uint64_t reaper_namespaces(uint64_t namespaces);

#endif
