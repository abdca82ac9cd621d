// SPDX-License-Identifier: Apache-2.0
/* The container's first process, from the clone to its end or to being the command. */
#ifndef CHRUN_FIRST_H
#define CHRUN_FIRST_H

#include "monitor.h"

struct relatives {
	int monitor;  /* a socket */
	pid_t parent; /* what getppid(2) returns while the parent lives */
};

/* Build the container and run the command. */
_Noreturn void run_container(const struct plan *plan, const struct options *options,
			     const struct command *command, const struct relatives *relatives);

#endif
