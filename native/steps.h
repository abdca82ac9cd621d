// SPDX-License-Identifier: Apache-2.0
#ifndef CHRUN_STEPS_H
#define CHRUN_STEPS_H

#include <stdbool.h>
#include <sys/types.h>

#include "plan.h"

enum { MAX_TREES = 32 };

/* The container as it is being built, in its first process. */
struct container {
	const struct plan *plan;
	const char *id;          /* "" without one */
	const char *scratch;     /* "" without one */
	int monitor;             /* a socket: failures and the pty's master go there */
	pid_t parent;            /* what getppid(2) returns while the parent lives */
	int root;                /* its root directory, O_PATH; -1 before and after */
	uint32_t position;       /* the step that is being carried out */
	bool based;              /* the working directory is the base directory */
	int trees[MAX_TREES];    /* grabbed for volumes that are not in place yet; 0: none */
	bool has_terminal;       /* its stdio is its own pty */
	unsigned own_streams;    /* a bit for each of 0, 1 and 2 that is a pipe of its own */
	bool recorded;           /* others can find it, and end it should it outlive its monitor */
};

/* Carry out the steps between clone and exec. Stops at the first that fails, which `position` then
 * tells, and gives -errno. */
int run_steps(struct container *c);

/* Wait until the monitor has recorded this process, unless it has been waited for: before anything
 * else is heard from the monitor, before a filter that may know no recvfrom(2), before the command. */
int await_record(struct container *c);

/* Die when the parent dies. -EPIPE when it has died already. */
int bind_to_parent(const struct container *c);

#endif
