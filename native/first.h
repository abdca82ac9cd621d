// SPDX-License-Identifier: Apache-2.0
/* The container's first process, from the clone to its end or to being the command. */
#ifndef CHRUN_FIRST_H
#define CHRUN_FIRST_H

#include "monitor.h"

/* Build the container and run the command. `monitor` is the socket to the monitor. */
_Noreturn void run_container(const struct plan *plan, const struct options *options,
			     const struct command *command, int monitor);

#endif
