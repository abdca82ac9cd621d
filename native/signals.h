// SPDX-License-Identifier: Apache-2.0
#ifndef CHRUN_SIGNALS_H
#define CHRUN_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* The signals that the monitor takes for the container: all but those that tell of its own bugs. */
sigset_t forwarded_signals(void);

/* True when a signal ends a process that does nothing about it: signal(7). */
bool is_deadly(int number);

/* True when the process catches, blocks or ignores the signal, by its /proc/PID/status; also when
 * that cannot be read, for a server that would have saved its data must not be killed on a guess. */
bool is_handled(pid_t pid, int number);

#endif
