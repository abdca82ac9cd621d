// SPDX-License-Identifier: Apache-2.0
/* The plan's last act: executing the command, alone or under a reaping PID 1. */
#ifndef CHRUN_COMMAND_H
#define CHRUN_COMMAND_H

#include <stdbool.h>

#include "plan.h"
#include "steps.h"

enum exit_status {
	EXIT_CHRUN_FAILED = 125,
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127,
	EXIT_SIGNALLED = 128, /* plus the signal */
};

struct command {
	char **argv, **env;
	bool init;
};

/* Take the command from its record, and add `tail` to it. Allocates, so that nothing has to after
 * the clone. */
int command_prepare(struct command *command, const struct record *exec, char **tail);

/* Become the command: give -errno if that fails. With `init`, stay as its parent instead, which does
 * not return. */
int command_run(const struct command *command, struct container *c);

/* chrun's own exit status for a failed step: 127 and 126 are about the command. */
int exit_status_of(uint32_t step_number, int error);

/* A shell's exit status for what waitpid(2) says. */
int exit_status_from(int wait_status);

#endif
