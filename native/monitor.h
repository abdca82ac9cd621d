// SPDX-License-Identifier: Apache-2.0
/* The process outside: it starts the container, passes signals and terminal bytes on, waits, and
 * carries out the plan's clean-up steps. */
#ifndef CHRUN_MONITOR_H
#define CHRUN_MONITOR_H

#include "command.h"
#include "plan.h"

/* How chrun-init was started. Descriptors are -1, texts "", where nothing was given. */
struct options {
	int plan, report, lifeline, hold, gate;
	const char *id, *scratch;
	char **tail; /* words that end the command line, then NULL */
};

/* Run a container from its clone to its last clean-up step. Gives the exit status. */
int monitor(const struct plan *plan, const struct options *options);

#endif
